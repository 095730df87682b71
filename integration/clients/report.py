"""What the Python scripts have in common: features by group, run with and without /v1, each reported as one line of JSON.

A feature returns the names of the deployments that answered, as the answers name them, or a dictionary that says what it saw
otherwise. Every request that it sends carries `mark`, by which the test finds it again among what the provider received.
"""

import json
import os
import re
import sys
import traceback

URL = os.environ["LLM_BALANCER_URL"]
KEY = os.environ["LLM_BALANCER_KEY"]
# All that bytes can be, for files that have to arrive as they were sent.
BYTES = bytes(range(256))

_features = {}
_base = URL


def feature(group):
    """Registers a function of `mark` as a feature of this group."""

    def register(function):
        _features.setdefault(group, []).append(function)
        return function

    return register


def base():
    """The address that clients are given: with /v1 or without."""
    return _base


def who(text):
    """The deployment that wrote this text: `hi from paris`, `0 from paris 1 from paris`, `https://images.example/paris.png`."""
    names = set(re.findall(r"(?:from |images\.example/)(\w+)", text))
    assert len(names) == 1, f"one deployment should have written {text!r}"
    return names.pop()


def run():
    """Runs the group that is named on the command line."""
    global _base
    for _base in (URL, f"{URL}/v1"):
        for function in _features[sys.argv[1]]:
            mark = f"mark-{function.__name__}-{'v1' if _base.endswith('/v1') else 'root'}"
            try:
                seen = function(mark)
            except Exception:
                traceback.print_exc()
                sys.exit(f"{sys.argv[0]}: {function.__name__} failed at {_base}")
            seen = seen if isinstance(seen, dict) else {"deployments": seen}
            print(json.dumps({"feature": function.__name__, "mark": mark, **seen}), flush=True)

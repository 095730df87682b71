"""Anthropic's own Python client, as its documentation uses it, and the requests of Claude Code."""

import asyncio
import json
import urllib.request

import anthropic

from report import KEY, URL, feature, run, who

# Each request is made once: trying again is the balancer's work.
OPTIONS = {"base_url": URL, "max_retries": 0, "timeout": 20}


def client(api_key=KEY, **options):
    return anthropic.Anthropic(api_key=api_key, **{**OPTIONS, **options})


def asynchronous():
    return anthropic.AsyncAnthropic(api_key=KEY, **OPTIONS)


def asks(mark, **members):
    return {"model": "claude", "max_tokens": 1024, "messages": [{"role": "user", "content": mark}], **members}


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}
TOOL = {"name": "weather", "description": "The weather of a city", "input_schema": WEATHER}


# Messages, and what is around them


@feature("sync")
def message(mark):
    raw = client().messages.with_raw_response.create(**asks(mark, stop_sequences=["x"], metadata={"user_id": "u-1"}))
    answer = raw.parse()
    served = raw.headers["x-litellm-model-id"]
    assert (answer.content[0].text, answer.stop_reason) == (f"hi from {served}", "end_turn"), answer
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 7), answer
    return [served]


@feature("sync")
def both_deployments_get_their_turn(mark):
    with client() as one:
        served = [who(one.messages.create(**asks(mark)).content[0].text) for _ in range(30)]
    assert set(served) == {"lyon", "rome"}, served
    return served


@feature("sync")
def stream(mark):
    with client().messages.create(**asks(mark), stream=True) as events:
        seen = list(events)
    kinds = [event.type for event in seen]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"]), kinds
    assert (seen[0].message.usage.input_tokens, seen[-2].usage.output_tokens) == (5, 7), seen
    return [who("".join(event.delta.text for event in seen if event.type == "content_block_delta"))]


@feature("sync")
def stream_helper(mark):
    with client().messages.stream(**asks(mark)) as events:
        words = list(events.text_stream)
        final = events.get_final_message()
    served = who("".join(words))
    assert words == [f"{n} from {served} " for n in range(3)], words
    assert (final.content[0].text, final.usage.input_tokens, final.usage.output_tokens) == ("".join(words), 5, 7), final
    return [served]


@feature("sync")
def stream_left_early(mark):
    with client().messages.stream(**asks(mark)) as events:
        return [who(next(iter(events.text_stream)))]


@feature("sync")
def thinking(mark):
    thinks = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    answer = client().messages.create(**asks(mark, **thinks))
    assert (answer.content[0].thinking, answer.content[0].signature) == ("let me see", "c2ln"), answer
    with client().messages.stream(**asks(mark, **thinks)) as events:
        streamed = events.get_final_message()
    assert streamed.content[0].signature == "c2ln", streamed
    return [who(answer.content[1].text), who(streamed.content[1].text)]


@feature("sync")
def prompt_caching(mark):
    system = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    return [who(client().messages.create(**asks(mark, system=system)).content[0].text)]


@feature("sync")
def betas(mark):
    answer = client().beta.messages.create(**asks(mark), betas=["context-1m-2025-08-07", "effort-2025-11-24"])
    return [who(answer.content[0].text)]


@feature("sync")
def count_tokens(mark):
    request = asks(mark, tools=[TOOL], system="be brief")
    del request["max_tokens"]
    raw = client().messages.with_raw_response.count_tokens(**request)
    assert raw.parse().input_tokens == 5, raw.parse()
    return [raw.headers["x-litellm-model-id"]]


@feature("sync")
def key_as_bearer(mark):
    one = anthropic.Anthropic(auth_token=KEY, **OPTIONS)
    return [who(one.messages.create(**asks(mark)).content[0].text)]


@feature("sync")
def fallbacks_of_a_request(mark):
    raw = client().messages.with_raw_response.create(**asks(mark, model="failing"), extra_body={"fallbacks": ["claude"]})
    assert (raw.headers["x-litellm-attempted-fallbacks"], raw.headers["x-litellm-model-group"]) == ("1", "claude"), raw.headers
    return ["failing_messages", who(raw.parse().content[0].text)]


@feature("sync")
def models(mark):
    whole = client().models.list()
    listed = [model.id for model in whole.data]
    assert "claude" in listed and len(listed) > 3, listed
    assert (whole.has_more, whole.first_id, whole.last_id) == (False, listed[0], listed[-1]), whole
    # The client fetches page after page.
    assert [model.id for model in client().models.list(limit=1)] == listed
    assert [model.id for model in client().models.list(limit=2, after_id=listed[0])] == listed[1:]
    backwards = client().models.list(limit=1, before_id=listed[-1])
    assert [model.id for model in backwards] == listed[-2::-1], backwards
    one = client().models.retrieve("claude")
    assert (one.id, one.type, one.display_name, one.lifecycle) == ("claude", "model", "claude", "active"), one
    assert one.created_at.year == 2023 and one.max_tokens is None, one
    return []


# The asynchronous client


@feature("async")
def async_messages_at_once(mark):
    async def messages():
        async with asynchronous() as one:
            return await asyncio.gather(*(one.messages.create(**asks(mark)) for _ in range(16)))

    return [who(answer.content[0].text) for answer in asyncio.run(messages())]


@feature("async")
def async_stream(mark):
    async def words():
        async with asynchronous() as one, one.messages.stream(**asks(mark)) as events:
            return [text async for text in events.text_stream]

    return [who("".join(asyncio.run(words())))]


@feature("async")
def async_models(mark):
    async def listed(**parameters):
        async with asynchronous() as one:
            return [model.id async for model in one.models.list(**parameters)]

    assert asyncio.run(listed(limit=1)) == asyncio.run(listed())
    return []


@feature("async")
def async_count_tokens(mark):
    async def counted():
        async with asynchronous() as one:
            return await one.messages.count_tokens(model="claude", messages=[{"role": "user", "content": mark}])

    assert asyncio.run(counted()).input_tokens == 5
    return {}


# Tools


def told(mark, answer):
    call = next(block for block in answer.content if block.type == "tool_use")
    assert answer.stop_reason == "tool_use" and call.name == "weather", answer
    assert call.input == {"city": call.input["city"], "days": 7}, answer
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    history = [{"role": "user", "content": mark}, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    final = client().messages.create(**asks(mark, tools=[TOOL], messages=history))
    assert final.content[0].text.endswith(" after sunny"), final
    return [call.input["city"], who(final.content[0].text)]


@feature("tools")
def tools(mark):
    return told(mark, client().messages.create(**asks(mark, tools=[TOOL], tool_choice={"type": "auto"})))


@feature("tools")
def tools_streamed(mark):
    with client().messages.stream(**asks(mark, tools=[TOOL])) as events:
        return told(mark, events.get_final_message())


# What Claude Code sends, by its gateway protocol reference


def code(mark, path="/v1/messages?beta=true", **members):
    body = {
        "model": "claude",
        "messages": [{"role": "user", "content": [{"type": "text", "text": mark, "cache_control": {"type": "ephemeral"}}]}],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.69; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [TOOL],
        **members,
    }
    headers = {
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "accept": "application/json",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24",
        "anthropic-dangerous-direct-browser-access": "true",
        "x-app": "cli",
        "x-claude-code-session-id": "b4e5aaaa-9a3e-47c4-84ad-3a70f38c676e",
        "x-stainless-lang": "js",
        "user-agent": "claude-cli/2.1.69 (external, cli)",
    }
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.headers["x-litellm-model-id"], response.read().decode()


@feature("code")
def code_turn(mark):
    served, events = code(
        mark,
        max_tokens=32000,
        stream=True,
        thinking={"type": "adaptive"},
        metadata={"user_id": "user_0784_account_261d5434_session_b4e5aaaa"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        output_config={"effort": "medium"},
    )
    assert events.startswith("event: message_start\n") and events.endswith('{"type":"message_stop"}\n\n'), events
    return [served]


@feature("code")
def code_counts_tokens(mark):
    served, answer = code(mark, "/v1/messages/count_tokens?beta=true")
    assert json.loads(answer) == {"input_tokens": 5}, answer
    return [served]


@feature("code")
def code_discovers_models(mark):
    headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01", "user-agent": "claude-cli/2.1.129 (external, cli)"}
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/v1/models?limit=1000", headers=headers), timeout=3) as response:
        listed = json.load(response)["data"]
    # It shows those whose id begins with `claude` or `anthropic`, by their display name.
    assert ["claude"] == [model["display_name"] for model in listed if model["id"].startswith(("claude", "anthropic"))], listed
    return []


# Errors


def raised(action):
    """What an error looks like to the program that catches it."""
    try:
        action()
    except anthropic.APIStatusError as error:
        assert error.body["type"] == "error", error.body
        after = error.response.headers.get("retry-after")
        seen = {"raised": type(error).__name__, "status": error.status_code, "retry_after": after}
        return {**seen, "message": error.body["error"]["message"], "kind": error.body["error"]["type"]}
    raise AssertionError("nothing was raised")


def asked(model, mark, **options):
    return raised(lambda: client(**options).messages.create(**asks(mark, model=model)))


@feature("errors")
def unknown_model(mark):
    return asked("no-such-model", mark)


@feature("errors")
def unknown_model_retrieved(mark):
    return raised(lambda: client().models.retrieve("no-such-model"))


@feature("errors")
def page_behind_an_unknown_model(mark):
    return raised(lambda: client().models.list(after_id="no-such-model"))


@feature("errors")
def model_of_openais_api_alone(mark):
    return asked("gpt", mark)


@feature("errors")
def route_that_is_not_served(mark):
    return raised(lambda: client().messages.batches.list())


@feature("errors")
def wrong_key(mark):
    return asked("claude", mark, api_key="sk-wrong")


@feature("errors")
def missing_max_tokens(mark):
    return raised(lambda: client().post("/v1/messages", cast_to=object, body={"model": "claude", "messages": [{"role": "user", "content": mark}]}))


@feature("errors")
def provider_bad_request(mark):
    return asked("refusing", mark)


@feature("errors")
def provider_unauthorized(mark):
    return asked("unauthorized", mark)


@feature("errors")
def provider_not_found(mark):
    return asked("missing", mark)


@feature("errors")
def provider_limited(mark):
    return asked("limited", mark)


@feature("errors")
def provider_overloaded(mark):
    return asked("overloaded", mark)


@feature("errors")
def provider_failing(mark):
    return asked("failing", mark)


@feature("errors")
def provider_hanging(mark):
    return asked("hanging", mark)


@feature("errors")
def limit_of_the_balancer(mark):
    # One is served in a minute; which one depends on what came before, and the minute may turn once.
    def until_refused():
        for _ in range(3):
            client().messages.create(**asks(mark, model="narrow"))

    return raised(until_refused)


@feature("errors")
def streamed_error(mark):
    return raised(lambda: client().messages.create(**asks(mark, model="limited"), stream=True))


@feature("errors")
def own_retry_waits_as_told(mark):
    """The client tries again by itself, as it does unless told otherwise; `later` says 429 first, and to come again in a second."""
    import time

    started = time.monotonic()
    answer = client(max_retries=1).messages.create(**asks(mark, model="later"))
    waited = time.monotonic() - started
    assert 1 <= waited < 10, f"waited {waited} s"
    return ["later_messages", who(answer.content[0].text)]


if __name__ == "__main__":
    run()

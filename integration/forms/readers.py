"""Reads forms as FastAPI servers (vLLM, faster-whisper, LiteLLM) do: Starlette's Request.form() with python-multipart.

A line of input is one form, {"content_type": .., "body": ..}; a line of output its parts, [[name, value], [name, file name, content], ..],
or {"error": ..}. A letter is a byte."""

import asyncio
import json
import sys

from starlette.datastructures import UploadFile
from starlette.requests import Request


def letters(value: str | bytes) -> str:
    return (value.encode() if isinstance(value, str) else value).decode("latin-1")


async def read(form: dict) -> list:
    async def receive() -> dict:
        return {"type": "http.request", "body": form["body"].encode("latin-1"), "more_body": False}

    headers = [(b"content-type", form["content_type"].encode("latin-1"))]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    parts = []
    for name, value in (await request.form()).multi_items():
        if isinstance(value, UploadFile):
            parts.append([letters(name), letters(value.filename or ""), letters(await value.read())])
        else:
            parts.append([letters(name), letters(value)])
    return parts


for line in sys.stdin:
    try:
        print(json.dumps(asyncio.run(read(json.loads(line)))))
    except Exception as error:
        print(json.dumps({"error": repr(error)}))

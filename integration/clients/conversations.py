"""Conversations of OpenAI's Python client, many at once, over one balancer or several."""

import asyncio
import json
import os
import sys
import traceback

import openai

TURNS = 4
AT_ONCE = 12
KEY = os.environ["LLM_BALANCER_KEY"]
RETRIES = int(os.environ.get("LLM_BALANCER_CLIENT_RETRIES", "0"))
CLIENTS = [
    openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=RETRIES, timeout=60)
    for url in os.environ["LLM_BALANCER_URLS"].split(",")
]


async def turn(client, streams, **request):
    if not streams:
        return await client.responses.create(model="gpt", **request)
    events = await client.responses.create(model="gpt", stream=True, **request)
    last = [event async for event in events][-1]
    assert last.type == "response.completed", last
    return last.response


async def conversation(number):
    previous = None
    for place in range(TURNS):
        client = CLIENTS[(number + place) % len(CLIENTS)]
        streams = (number + place) % 2 == 0
        response = await turn(client, streams, input=f"turn {place} of {number}", previous_response_id=previous)
        assert response.previous_response_id == previous, response
        previous = response.id
    if number % 3 == 0:
        await look_back(CLIENTS[number % len(CLIENTS)], previous, f"turn {TURNS - 1} of {number}")
    if number % 3 == 1:
        await cancel(CLIENTS[number % len(CLIENTS)])


async def look_back(client, id, text):
    assert (await client.responses.retrieve(id)).id == id
    replayed = [event async for event in await client.responses.retrieve(id, stream=True)]
    assert replayed[0].response.id == id and replayed[-1].type == "response.completed", replayed
    items = await client.responses.input_items.list(id, limit=1, order="asc")
    assert items.data[0].content[0].text == text, items
    await client.responses.delete(id)
    # Nobody knows it now. A deployment that is asked may refuse, and the SDK asks again, as it does
    # by default.
    try:
        await client.with_options(max_retries=2).responses.retrieve(id)
    except openai.NotFoundError as error:
        assert id in error.message, error
    else:
        raise AssertionError(f"{id} was deleted")


async def cancel(client):
    made = await client.responses.create(model="gpt", input="a long task", background=True)
    cancelled = await client.responses.cancel(made.id)
    assert (cancelled.id, cancelled.status) == (made.id, "cancelled"), cancelled


async def reasoning(number):
    """Encrypted reasoning, which the client keeps and the provider does not."""
    input = [{"role": "user", "content": "think"}]
    for place in range(TURNS):
        client = CLIENTS[(number + place) % len(CLIENTS)]
        response = await client.responses.create(
            model="gpt", input=input, store=False, include=["reasoning.encrypted_content"]
        )
        input += [item.model_dump(exclude_none=True) for item in response.output]


async def items(number):
    """Items of the turns before: as references, as the Vercel AI SDK has them by default, or whole and
    with their ids, as the OpenAI Agents SDK has them."""
    input = [{"role": "user", "content": "think"}]
    tools = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]
    for place in range(TURNS):
        client = CLIENTS[(number + place) % len(CLIENTS)]
        request = {"tools": tools} if number % 3 == 0 else {}
        response = await turn(client, (number + place) % 2 == 0, input=input, reasoning={"effort": "low"}, **request)
        assert [item.id[:2] for item in response.output][0] == "rs", response
        for item in response.output:
            refers = number % 4 < 2
            input.append({"type": "item_reference", "id": item.id} if refers else item.model_dump(exclude_none=True))
        calls = [item.call_id for item in response.output if item.type == "function_call"]
        input += [{"type": "function_call_output", "call_id": id, "output": "12"} for id in calls]
        if not calls:
            input.append({"role": "user", "content": f"turn {place} of {number}"})


async def main(kind, count):
    waiting = asyncio.Semaphore(AT_ONCE)
    errors = []

    async def one(number):
        async with waiting:
            try:
                await kind(number)
            except Exception:
                errors.append(traceback.format_exc(limit=-3))

    await asyncio.gather(*(one(number) for number in range(count)))
    print(json.dumps({"errors": errors}))


asyncio.run(main({"conversation": conversation, "reasoning": reasoning, "items": items}[sys.argv[1]], int(sys.argv[2])))

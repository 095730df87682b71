"""Conversations of OpenAI's Python client by previous_response_id, many at once, over one balancer or several."""

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


async def turn(client, text, previous, streams):
    if not streams:
        return await client.responses.create(model="gpt", input=text, previous_response_id=previous)
    events = await client.responses.create(model="gpt", input=text, previous_response_id=previous, stream=True)
    last = [event async for event in events][-1]
    assert last.type == "response.completed", last
    return last.response


async def conversation(number):
    previous = None
    for place in range(TURNS):
        client = CLIENTS[(number + place) % len(CLIENTS)]
        response = await turn(client, f"turn {place} of {number}", previous, (number + place) % 2 == 0)
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


asyncio.run(main({"conversation": conversation, "reasoning": reasoning}[sys.argv[1]], int(sys.argv[2])))

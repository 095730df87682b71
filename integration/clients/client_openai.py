"""OpenAI's own Python client, as its documentation uses it."""

import asyncio
import base64
import json

import openai
from pydantic import BaseModel

from report import BYTES, KEY, URL, base, feature, run, who

# Each request is made once: trying again is the balancer's work.
OPTIONS = {"max_retries": 0, "timeout": 20}


def client(api_key=KEY, **options):
    return openai.OpenAI(base_url=base(), api_key=api_key, **{**OPTIONS, **options})


def asynchronous():
    return openai.AsyncOpenAI(base_url=base(), api_key=KEY, **OPTIONS)


def says(mark):
    return [{"role": "user", "content": mark}]


class Weather(BaseModel):
    city: str
    days: int


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city", "parameters": WEATHER}}
RESPONSES_TOOL = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}


# Chat, and what is around it


@feature("sync")
def chat(mark):
    raw = client().chat.completions.with_raw_response.create(model="gpt", messages=says(mark), temperature=0.5, seed=11)
    answer = raw.parse()
    served = raw.headers["x-litellm-model-id"]
    assert answer.choices[0].message.content == f"hi from {served}", answer
    assert (answer.usage.total_tokens, answer.choices[0].finish_reason) == (12, "stop"), answer
    return [served]


@feature("sync")
def both_deployments_get_their_turn(mark):
    with client() as one:
        served = [who(one.chat.completions.create(model="gpt", messages=says(mark)).choices[0].message.content) for _ in range(30)]
    assert set(served) == {"paris", "virginia"}, served
    return served


@feature("sync")
def stream(mark):
    with client().chat.completions.create(
        model="gpt", messages=says(mark), stream=True, stream_options={"include_usage": True}
    ) as events:
        chunks = list(events)
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    served = who("".join(words))
    assert words == [f"{n} from {served} " for n in range(3)] + [""], words
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [12], chunks
    return [served]


@feature("sync")
def stream_without_usage(mark):
    with client().chat.completions.create(model="gpt", messages=says(mark), stream=True) as events:
        chunks = list(events)
    assert all(chunk.choices and not chunk.usage for chunk in chunks), "usage arrived unasked"
    return [who("".join(chunk.choices[0].delta.content or "" for chunk in chunks))]


@feature("sync")
def structured_output(mark):
    answer = client().chat.completions.parse(model="gpt", messages=says(mark), response_format=Weather)
    assert answer.choices[0].message.parsed == Weather(city=answer.system_fingerprint, days=7), answer
    return [answer.system_fingerprint]


@feature("sync")
def completions(mark):
    return [who(client().completions.create(model="gpt", prompt=mark).choices[0].text)]


@feature("sync")
def moderations(mark):
    answer = client().moderations.create(model="gpt", input=mark)
    assert not answer.results[0].flagged
    return [answer.id.removeprefix("modr-")]


@feature("sync")
def models(mark):
    listed = [model.id for model in client().models.list()]
    assert "gpt" in listed and client().models.retrieve("gpt").id == "gpt", listed
    return []


@feature("sync")
def fallbacks_of_a_request(mark):
    raw = client().chat.completions.with_raw_response.create(
        model="failing", messages=says(mark), extra_body={"fallbacks": ["gpt"]}
    )
    assert (raw.headers["x-litellm-attempted-fallbacks"], raw.headers["x-litellm-model-group"]) == ("1", "gpt"), raw.headers
    return ["failing", who(raw.parse().choices[0].message.content)]


@feature("sync")
def azure(mark):
    one = openai.AzureOpenAI(azure_endpoint=URL, api_key=KEY, api_version="2024-06-01", **OPTIONS)
    return [who(one.chat.completions.create(model="gpt", messages=says(mark)).choices[0].message.content)]


# The asynchronous client


@feature("async")
def async_chats_at_once(mark):
    async def chats():
        async with asynchronous() as one:
            return await asyncio.gather(*(one.chat.completions.create(model="gpt", messages=says(mark)) for _ in range(16)))

    return [who(answer.choices[0].message.content) for answer in asyncio.run(chats())]


@feature("async")
def async_stream(mark):
    async def words():
        async with asynchronous() as one:
            events = await one.chat.completions.create(model="gpt", messages=says(mark), stream=True)
            return [event.choices[0].delta.content or "" async for event in events]

    return [who("".join(asyncio.run(words())))]


@feature("async")
def async_stream_left_early(mark):
    async def first_word():
        async with asynchronous() as one, one.chat.completions.stream(model="gpt", messages=says(mark)) as events:
            async for event in events:
                if event.type == "content.delta":
                    return event.delta

    return [who(asyncio.run(first_word()))]


@feature("async")
def async_embeddings(mark):
    async def vectors():
        async with asynchronous() as one:
            return await one.embeddings.create(model="gpt", input=[mark, "two"])

    answer = asyncio.run(vectors())
    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 1.0], [0.25, -0.5, 2.0]], answer
    return [answer.served_by]


@feature("async")
def async_models(mark):
    async def listed():
        async with asynchronous() as one:
            return [model.id async for model in one.models.list()]

    assert "gpt" in asyncio.run(listed())
    return []


# Streams of which the last chunk comes late


WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@feature("ends")
def chats_to_the_end(mark):
    def chat():
        return list(client().chat.completions.create(model="lingering", messages=says(mark), **WITH_USAGE))

    return [who(text_of(chat())) for _ in range(5)]


@feature("ends")
def async_chats_to_the_end(mark):
    async def chats():
        async with asynchronous() as one:
            for _ in range(5):
                events = await one.chat.completions.create(model="lingering", messages=says(mark), **WITH_USAGE)
                yield text_of([event async for event in events])

    async def served():
        return [who(text) async for text in chats()]

    return asyncio.run(served())


@feature("ends")
def completions_to_the_end(mark):
    def text():
        events = client().completions.create(model="lingering", prompt=mark, **WITH_USAGE)
        return "".join(event.choices[0].text for event in events if event.choices)

    return [who(text()) for _ in range(5)]


@feature("ends")
def responses_to_the_end(mark):
    def last():
        *_, event = client().responses.create(model="lingering", input=mark, stream=True)
        return event.response.output_text

    return [who(last()) for _ in range(5)]


# Tools


@feature("tools")
def tools(mark):
    asked = says(mark)
    answer = client().chat.completions.create(model="gpt", messages=asked, tools=[TOOL], tool_choice="auto")
    assert answer.choices[0].finish_reason == "tool_calls", answer
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "weather", call
    arguments = json.loads(call.function.arguments)
    assert arguments["days"] == 7, arguments
    told = [*asked, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    second = client().chat.completions.create(model="gpt", messages=told, tools=[TOOL])
    assert second.choices[0].message.content.endswith(" after sunny"), second
    return [arguments["city"], who(second.choices[0].message.content)]


@feature("tools")
def tools_streamed(mark):
    with client().chat.completions.stream(model="gpt", messages=says(mark), tools=[TOOL]) as events:
        deltas = [event.arguments_delta for event in events if event.type == "tool_calls.function.arguments.delta"]
        answer = events.get_final_completion()
    [call] = answer.choices[0].message.tool_calls
    assert len(deltas) > 1 and "".join(deltas) == call.function.arguments, deltas
    return [json.loads(call.function.arguments)["city"]]


@feature("tools")
def tools_of_responses(mark):
    asked = [{"role": "user", "content": mark}]
    answer = client().responses.create(model="gpt", input=asked, tools=[RESPONSES_TOOL])
    [call] = answer.output
    assert (call.type, call.name) == ("function_call", "weather"), call
    told = [*asked, call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    second = client().responses.create(model="gpt", input=told, tools=[RESPONSES_TOOL])
    assert second.output_text.endswith(" after sunny"), second
    return [json.loads(call.arguments)["city"], who(second.output_text)]


@feature("tools")
def tools_of_responses_streamed(mark):
    with client().responses.stream(model="gpt", input=mark, tools=[RESPONSES_TOOL]) as events:
        deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        [call] = events.get_final_response().output
    assert len(deltas) > 1 and "".join(deltas) == call.arguments, deltas
    return [json.loads(call.arguments)["city"]]


# Embeddings and images


@feature("media")
def embeddings_as_base64(mark):
    answer = client().embeddings.create(model="gpt", input=[mark, "two", "three"])
    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 1.0 + n] for n in range(3)], answer
    return [answer.served_by]


@feature("media")
def embeddings_as_numbers(mark):
    answer = client().embeddings.create(model="gpt", input=mark, encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5, 1.0], answer
    return [answer.served_by]


@feature("media")
def image_generation(mark):
    answer = client().images.generate(model="gpt", prompt=mark, n=2)
    assert [image.revised_prompt for image in answer.data] == [mark, mark], answer
    return [who(answer.data[0].url)]


@feature("media")
def image_generation_as_base64(mark):
    answer = client().images.generate(model="gpt", prompt=mark, response_format="b64_json")
    return [base64.b64decode(answer.data[0].b64_json).decode().removeprefix("\x89PNG ")]


@feature("media")
def image_edit(mark):
    answer = client().images.edit(model="gpt", image=[("cat.png", BYTES), ("hat.png", BYTES)], mask=("mask.png", b"\x89PNG"), prompt=mark)
    assert answer.data[0].revised_prompt == mark, answer
    return [who(answer.data[0].url)]


# Sound


@feature("audio")
def transcription(mark):
    answer = client().audio.transcriptions.create(model="gpt", file=("a.mp3", BYTES * 100), prompt=mark)
    assert answer.usage.total_tokens == 12, answer
    return [who(answer.text)]


@feature("audio")
def transcription_in_detail(mark):
    answer = client().audio.transcriptions.create(model="gpt", file=("a.mp3", BYTES), prompt=mark, response_format="verbose_json")
    assert (answer.duration, answer.segments[0].text) == (1.5, answer.text), answer
    return [who(answer.text)]


@feature("audio")
def transcription_as_text(mark):
    return [who(client().audio.transcriptions.create(model="gpt", file=("a.mp3", BYTES), prompt=mark, response_format="text"))]


@feature("audio")
def transcription_streamed(mark):
    with client().audio.transcriptions.create(model="gpt", file=("a.mp3", BYTES), prompt=mark, stream=True) as events:
        seen = list(events)
    assert [event.type for event in seen] == ["transcript.text.delta"] * 3 + ["transcript.text.done"], seen
    return [who(seen[-1].text)]


@feature("audio")
def translation(mark):
    return [who(client().audio.translations.create(model="gpt", file=("a.mp3", BYTES), prompt=mark).text)]


def voice(sound):
    assert sound.startswith(b"ID3") and sound.endswith(BYTES), sound
    return sound[3 : -len(BYTES)].decode()


@feature("audio")
def speech(mark):
    return [voice(client().audio.speech.create(model="gpt", voice="alloy", input=mark).content)]


@feature("audio")
def speech_as_it_arrives(mark):
    with client().audio.speech.with_streaming_response.create(
        model="gpt", voice="alloy", input=mark, response_format="wav"
    ) as response:
        assert response.headers["content-type"] == "audio/wav", response.headers
        return [voice(b"".join(response.iter_bytes()))]


# The responses API


@feature("responses")
def response(mark):
    answer = client().responses.create(model="gpt", input=mark, instructions="be brief")
    assert (answer.status, answer.instructions, answer.usage.total_tokens) == ("completed", "be brief", 12), answer
    return [who(answer.output_text)]


@feature("responses")
def response_events(mark):
    with client().responses.create(model="gpt", input=mark, stream=True) as events:
        seen = list(events)
    assert (seen[0].type, seen[-1].type) == ("response.created", "response.completed"), seen
    assert [event.sequence_number for event in seen] == list(range(len(seen))), seen
    words = [event.delta for event in seen if event.type == "response.output_text.delta"]
    assert len(words) == 3 and "".join(words) == seen[-1].response.output_text, words
    return [who("".join(words))]


@feature("responses")
def response_helper(mark):
    with client().responses.stream(model="gpt", input=mark) as events:
        for _ in events:
            pass
        answer = events.get_final_response()
    return [who(answer.output_text)]


@feature("responses")
def response_structured(mark):
    answer = client().responses.parse(model="gpt", input=mark, text_format=Weather)
    served = answer.metadata["served_by"]
    assert answer.output_parsed == Weather(city=served, days=7), answer
    return [served]


@feature("responses")
def response_async(mark):
    async def events():
        async with asynchronous() as one:
            return [event async for event in await one.responses.create(model="gpt", input=mark, stream=True)]

    return [who(asyncio.run(events())[-1].response.output_text)]


@feature("responses")
def response_compacted(mark):
    with client() as one:
        first = one.responses.create(model="gpt", input=mark)
        short = one.responses.compact(model="gpt", input=mark, previous_response_id=first.id)
        assert (short.object, short.usage.total_tokens) == ("response.compaction", 12), short
        item = short.output[0]
        # Only its maker can read it.
        kept = [item.to_dict(), {"role": "user", "content": mark}]
        answers = [one.responses.create(model="gpt", input=kept) for _ in range(6)]
    served = [who(answer.output_text) for answer in answers]
    assert set(served) == {item.created_by}, (served, item)
    return [who(first.output_text), item.created_by, *served]


@feature("responses")
def response_input_counted(mark):
    counted = client().responses.input_tokens.with_raw_response.count(model="gpt", input=mark)
    assert counted.parse().input_tokens == 5, counted.parse()
    return [counted.headers["x-litellm-model-id"]]


# Azure's clients


AZURE = {"api_key": KEY, "api_version": "2025-04-01-preview", **OPTIONS}


def by_every_route(one, mark, model="gpt"):
    """Each method that has a route here, on a client of either kind; models are looked up by the way."""
    file = ("a.mp3", BYTES)
    image = ("cat.png", BYTES, "image/png")
    assert "gpt" in [listed.id for listed in one.models.list()] and one.models.retrieve("gpt").id == "gpt"
    with one.chat.completions.create(model=model, messages=says(mark), stream=True) as events:
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in events if chunk.choices)
    with one.responses.create(model="gpt", input=mark, stream=True) as events:
        *_, last = events
    return [
        who(streamed),
        who(last.response.output_text),
        who(one.chat.completions.create(model=model, messages=says(mark)).choices[0].message.content),
        who(one.completions.create(model=model, prompt=mark).choices[0].text),
        one.embeddings.create(model=model, input=mark).served_by,
        who(one.images.generate(model=model, prompt=mark).data[0].url),
        who(one.images.edit(model=model, image=image, prompt=mark).data[0].url),
        who(one.images.create_variation(model="gpt", image=image, user=mark).data[0].url),
        who(one.audio.transcriptions.create(model=model, file=file, prompt=mark).text),
        who(one.audio.translations.create(model=model, file=file, prompt=mark).text),
        voice(one.audio.speech.create(model=model, voice="alloy", input=mark).content),
        one.moderations.create(model="gpt", input=mark).id.removeprefix("modr-"),
        who(one.responses.create(model="gpt", input=mark).output_text),
    ]


@feature("azure")
def azure_by_endpoint(mark):
    return by_every_route(openai.AzureOpenAI(azure_endpoint=base(), **AZURE), mark)


@feature("azure")
def azure_by_deployment(mark):
    one = openai.AzureOpenAI(azure_endpoint=base(), azure_deployment="gpt", **AZURE)
    return by_every_route(one, mark, model="no-such-model")


@feature("azure")
def azure_by_base_url(mark):
    return by_every_route(openai.AzureOpenAI(base_url=f"{base()}/openai", **AZURE), mark)


@feature("azure")
def azure_v1(mark):
    return by_every_route(openai.OpenAI(base_url=f"{base()}/openai/v1/", api_key=KEY, **OPTIONS), mark)


@feature("azure")
def azure_async(mark):
    async def answers():
        async with openai.AsyncAzureOpenAI(azure_endpoint=base(), **AZURE) as one:
            chat = await one.chat.completions.create(model="gpt", messages=says(mark))
            edit = await one.images.edit(model="gpt", image=("cat.png", BYTES, "image/png"), prompt=mark)
            response = await one.responses.create(model="gpt", input=mark)
        return [who(chat.choices[0].message.content), who(edit.data[0].url), who(response.output_text)]

    return asyncio.run(answers())


# Errors


def raised(action):
    """What an error looks like to the program that catches it."""
    try:
        action()
    except openai.APIStatusError as error:
        body = error.body or {}
        after = error.response.headers.get("retry-after")
        return {"raised": type(error).__name__, "status": error.status_code, "retry_after": after, "message": body.get("message"), "code": body.get("code")}
    raise AssertionError("nothing was raised")


def asked(model, mark, **options):
    return raised(lambda: client(**options).chat.completions.create(model=model, messages=says(mark)))


@feature("errors")
def unknown_model(mark):
    return asked("no-such-model", mark)


@feature("errors")
def unknown_model_retrieved(mark):
    return raised(lambda: client().models.retrieve("no-such-model"))


@feature("errors")
def route_that_is_not_served(mark):
    return raised(lambda: client().files.list())


@feature("errors")
def no_json(mark):
    return raised(lambda: client().post("/chat/completions", cast_to=object, content=b"{"))


@feature("errors")
def wrong_key(mark):
    return asked("gpt", mark, api_key="sk-wrong")


@feature("errors")
def provider_bad_request(mark):
    return asked("refusing", mark)


@feature("errors")
def provider_unauthorized(mark):
    return asked("unauthorized", mark)


@feature("errors")
def provider_forbidden(mark):
    return asked("forbidden", mark)


@feature("errors")
def provider_not_found(mark):
    return asked("missing", mark)


@feature("errors")
def provider_limited(mark):
    return asked("limited", mark)


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
            client().chat.completions.create(model="narrow", messages=says(mark))

    return raised(until_refused)


@feature("errors")
def streamed_error(mark):
    return raised(lambda: client().chat.completions.create(model="limited", messages=says(mark), stream=True))


@feature("errors")
def own_retry_waits_as_told(mark):
    """The client tries again by itself, as it does unless told otherwise; `later` says 429 first, and to come again in a second."""
    import time

    started = time.monotonic()
    answer = client(max_retries=1).chat.completions.create(model="later", messages=says(mark))
    waited = time.monotonic() - started
    assert 1 <= waited < 10, f"waited {waited} s"
    return ["later", who(answer.choices[0].message.content)]


if __name__ == "__main__":
    run()

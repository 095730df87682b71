"""LiteLLM's library as a client, by its provider for anything that speaks OpenAI and by the one for its own proxy."""

import asyncio
import json
import os

# By default it downloads a table of prices; this makes it use the built-in one.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from report import BYTES, KEY, base, feature, run, who

litellm.telemetry = False
litellm.suppress_debug_info = True
PROVIDERS = ("openai", "litellm_proxy")

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}


def to(name, **options):
    return {"model": name, "api_base": base(), "api_key": KEY, "max_retries": 0, "timeout": 20, **options}


def says(mark):
    return [{"role": "user", "content": mark}]


def each(mark, ask):
    """The same through both providers: who answered, in the order of PROVIDERS."""
    return [ask(f"{provider}/gpt") for provider in PROVIDERS]


# Chat


@feature("chat")
def completion(mark):
    def ask(name):
        answer = litellm.completion(**to(name), messages=says(mark), temperature=0.5)
        assert answer.usage.total_tokens == 12, answer
        return who(answer.choices[0].message.content)

    return each(mark, ask)


@feature("chat")
def stream(mark):
    def ask(name):
        chunks = list(litellm.completion(**to(name), messages=says(mark), stream=True, stream_options={"include_usage": True}))
        words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
        assert len(words) == 3, words
        assert [chunk.usage.total_tokens for chunk in chunks if getattr(chunk, "usage", None)] == [12], chunks
        return who("".join(words))

    return each(mark, ask)


@feature("chat")
def asynchronous(mark):
    async def ask(name):
        whole, streamed = await asyncio.gather(
            litellm.acompletion(**to(name), messages=says(mark)), litellm.acompletion(**to(name), messages=says(mark), stream=True)
        )
        words = [chunk.choices[0].delta.content or "" async for chunk in streamed]
        return [who(whole.choices[0].message.content), who("".join(words))]

    async def both():
        return [who for provider in PROVIDERS for who in await ask(f"{provider}/gpt")]

    return asyncio.run(both())


@feature("chat")
def text_completion(mark):
    return each(mark, lambda name: who(litellm.text_completion(**to(name), prompt=mark).choices[0].text))


@feature("chat")
def headers_say_who(mark):
    def ask(name):
        answer = litellm.completion(**to(name), messages=says(mark))
        served = answer._hidden_params["additional_headers"]["llm_provider-x-litellm-model-id"]
        assert served == who(answer.choices[0].message.content), answer
        return served

    return each(mark, ask)


@feature("chat")
def tools(mark):
    def ask(name):
        first = litellm.completion(**to(name), messages=says(mark), tools=[TOOL])
        [call] = first.choices[0].message.tool_calls
        served = json.loads(call.function.arguments)["city"]
        told = [*says(mark), first.choices[0].message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        second = litellm.completion(**to(name), messages=told, tools=[TOOL])
        assert second.choices[0].message.content.endswith(" after sunny"), second
        return [served, who(second.choices[0].message.content)]

    return [who for pair in each(mark, ask) for who in pair]


@feature("chat")
def tools_streamed(mark):
    def ask(name):
        chunks = list(litellm.completion(**to(name), messages=says(mark), tools=[TOOL], stream=True))
        [call] = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls
        return json.loads(call.function.arguments)["city"]

    return each(mark, ask)


# Everything else


@feature("media")
def embedding(mark):
    def ask(name):
        answer = litellm.embedding(**to(name), input=[mark, "two"], encoding_format="float")
        vectors = [item["embedding"] for item in answer.data]
        assert vectors == [[0.25, -0.5, 1.0], [0.25, -0.5, 2.0]], vectors
        return answer._hidden_params["additional_headers"]["llm_provider-x-litellm-model-id"]

    return each(mark, ask)


@feature("media")
def image_generation(mark):
    def ask(name):
        answer = litellm.image_generation(**to(name), prompt=mark)
        assert answer.data[0].revised_prompt == mark, answer
        return who(answer.data[0].url)

    return each(mark, ask)


@feature("media")
def transcription(mark):
    return each(mark, lambda name: who(litellm.transcription(**to(name), file=("a.mp3", BYTES), prompt=mark).text))


@feature("media")
def speech(mark):
    def ask(name):
        sound = litellm.speech(**to(name), voice="alloy", input=mark).content
        assert sound.startswith(b"ID3") and sound.endswith(BYTES), sound
        return sound[3 : -len(BYTES)].decode()

    return each(mark, ask)


@feature("media")
def responses(mark):
    def ask(name):
        answer = litellm.responses(**to(name), input=mark)
        return who(answer.output[0].content[0].text)

    return each(mark, ask)


@feature("media")
def responses_streamed(mark):
    def ask(name):
        events = list(litellm.responses(**to(name), input=mark, stream=True))
        assert events[-1].type == "response.completed", events[-1]
        return who("".join(event.delta for event in events if event.type == "response.output_text.delta"))

    return each(mark, ask)


# Errors


def raised(name, mark, **options):
    try:
        litellm.completion(**to(f"openai/{name}", **options), messages=says(mark))
    except Exception as error:
        after = (getattr(error, "litellm_response_headers", None) or {}).get("retry-after")
        return {"raised": type(error).__name__, "status": error.status_code, "retry_after": after, "message": str(error)}
    raise AssertionError("nothing was raised")


@feature("errors")
def unknown_model(mark):
    return raised("no-such-model", mark)


@feature("errors")
def wrong_key(mark):
    return raised("gpt", mark, api_key="sk-wrong")


@feature("errors")
def provider_not_found(mark):
    return raised("missing", mark)


@feature("errors")
def provider_limited(mark):
    return raised("limited", mark)


@feature("errors")
def provider_failing(mark):
    return raised("failing", mark)


if __name__ == "__main__":
    run()

"""langchain-openai, with the chat API and the responses API underneath."""

import asyncio
import os

os.environ["LANGSMITH_TRACING"] = "false"

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from report import KEY, URL, base, feature, run, who


def model(name="gpt", api_key=KEY, **options):
    return ChatOpenAI(model=name, base_url=base(), api_key=api_key, max_retries=0, timeout=20, **options)


@tool
def weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"sunny in {city} for {days} days"


class Forecast(BaseModel):
    """What the weather will be."""

    city: str
    days: int


# Chat


@feature("chat")
def invoke(mark):
    answer = model(temperature=0.5).invoke([("system", "be brief"), ("human", mark)])
    assert answer.usage_metadata["total_tokens"] == 12, answer
    return [who(answer.content)]


@feature("chat")
def stream(mark):
    words = [chunk.content for chunk in model().stream(mark)]
    assert len([word for word in words if word]) == 3, words
    return [who("".join(words))]


@feature("chat")
def stream_with_usage(mark):
    whole = None
    for chunk in model(stream_usage=True).stream(mark):
        whole = chunk if whole is None else whole + chunk
    assert whole.usage_metadata["total_tokens"] == 12, whole
    return [who(whole.content)]


@feature("chat")
def batch(mark):
    return [who(answer.content) for answer in model().batch([mark] * 8)]


@feature("chat")
def asynchronous(mark):
    async def both():
        one = model()
        streamed = [chunk.content async for chunk in one.astream(mark)]
        return (await one.ainvoke(mark)).content, "".join(streamed)

    return [who(text) for text in asyncio.run(both())]


@feature("chat")
def fallbacks_of_a_request(mark):
    answer = model("failing", extra_body={"fallbacks": ["gpt"]}, include_response_headers=True).invoke(mark)
    assert answer.response_metadata["headers"]["x-litellm-attempted-fallbacks"] == "1", answer
    return ["failing", who(answer.content)]


@feature("chat")
def azure(mark):
    one = AzureChatOpenAI(azure_endpoint=URL, azure_deployment="gpt", api_key=KEY, api_version="2024-06-01", max_retries=0)
    return [who(one.invoke(mark).content)]


@feature("chat")
def responses(mark):
    one = model(use_responses_api=True)
    return [who(one.invoke(mark).text), who("".join(chunk.text for chunk in one.stream(mark)))]


# Tools


def call_and_tell(bound, mark):
    """The whole round: the model calls, the function runs, the model is told."""
    asked = HumanMessage(mark)
    answer = bound.invoke([asked])
    [call] = answer.tool_calls
    assert (call["name"], call["args"]["days"]) == ("weather", 7), call
    told = weather.invoke(call)
    assert isinstance(told, ToolMessage), told
    second = bound.invoke([asked, answer, told])
    served = call["args"]["city"]
    assert f"sunny in {served} for 7 days" in second.text, second
    return [served, second.text.removeprefix("hi from ").split()[0]]


@feature("tools")
def bind_tools(mark):
    return call_and_tell(model().bind_tools([weather]), mark)


@feature("tools")
def bind_tools_streamed(mark):
    whole = None
    for chunk in model().bind_tools([weather]).stream(mark):
        whole = chunk if whole is None else whole + chunk
    [call] = whole.tool_calls
    assert call["args"]["days"] == 7, call
    return [call["args"]["city"]]


@feature("tools")
def structured_output(mark):
    forecast = model().with_structured_output(Forecast).invoke(mark)
    assert forecast.days == 7, forecast
    return [forecast.city]


@feature("tools")
def structured_output_by_tool(mark):
    forecast = model().with_structured_output(Forecast, method="function_calling").invoke(mark)
    assert forecast.days == 7, forecast
    return [forecast.city]


@feature("tools")
def bind_tools_of_responses(mark):
    return call_and_tell(model(use_responses_api=True).bind_tools([weather]), mark)


# Embeddings. Counting tokens beforehand would fetch a vocabulary from afar.


def embeddings():
    return OpenAIEmbeddings(model="gpt", base_url=base(), api_key=KEY, max_retries=0, check_embedding_ctx_length=False)


@feature("embeddings")
def embed_documents(mark):
    vectors = embeddings().embed_documents([mark, "two"])
    assert vectors == [[0.25, -0.5, 1.0], [0.25, -0.5, 2.0]], vectors
    return {}


@feature("embeddings")
def embed_query(mark):
    assert embeddings().embed_query(mark) == [0.25, -0.5, 1.0]
    return {}


@feature("embeddings")
def embed_query_asynchronously(mark):
    assert asyncio.run(embeddings().aembed_query(mark)) == [0.25, -0.5, 1.0]
    return {}


# Errors, which are those of OpenAI's client


def raised(name, mark, **options):
    try:
        model(name, **options).invoke(mark)
    except openai.APIStatusError as error:
        after = error.response.headers.get("retry-after")
        classes = [base.__name__ for base in type(error).__mro__]
        own = next(name for name in classes if hasattr(openai, name))
        return {"raised": own, "status": error.status_code, "retry_after": after, "message": error.body.get("message")}
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
def provider_limited_streaming(mark):
    return raised("limited", mark, streaming=True)


@feature("errors")
def provider_failing(mark):
    return raised("failing", mark)


if __name__ == "__main__":
    run()

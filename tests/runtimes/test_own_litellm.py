"""What only LiteLLM has: its provider interface, awaited and streamed, and what it builds of chunks."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from agent.bedrock.testing import Cut, FakeBedrock, Reasoning, Refusal, Reply, Text, ToolCall, Usage

if os.environ.get("RUNTIME") != "litellm":
    pytest.skip("LiteLLM is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import litellm

from tests.runtimes.players.litellm_calls import Player as Client
from tests.runtimes.players.litellm_provider import Player as Provider
from tests.runtimes.players.stage import MODEL, WEATHER, Stage

pytestmark = pytest.mark.leaves_threads

ASKED: Any = [{"role": "user", "content": "Weather?"}]
ANSWER = Reply(
    Reasoning(["Two ", "cities."], "c2lnbmVk"),
    Text(["Let ", "me see."]),
    ToolCall("weather", {"city": "Graz"}, id="tooluse_graz", pieces=['{"city"', ':"Graz"}']),
    ToolCall("weather", {"city": "Linz"}, id="tooluse_linz"),
    usage=Usage(input=20, output=7, cache_read=5),
)


def awaited_chunks(**options: Any) -> list[Any]:
    async def read() -> list[Any]:
        answer = await litellm.acompletion(model=f"converse/{MODEL}", messages=ASKED, stream=True, **options)
        return [chunk async for chunk in answer]

    return asyncio.run(read())


@pytest.mark.parametrize("asked", [{}, {"stream_options": {"include_usage": True}}], ids=["", "usage-asked"])
@pytest.mark.parametrize("player", [Client, Provider, None], ids=["client", "provider", "provider-awaited"])
def test_chunks_build_the_answer_with_reasoning_and_usage(player: Any, asked: dict[str, Any]) -> None:
    with FakeBedrock([ANSWER]) as fake:
        playing = (player or Provider)(Stage(fake))
        if player is None:
            chunks = awaited_chunks(tools=[WEATHER], **asked)
        else:
            chunks = list(playing._complete(ASKED, tools=[WEATHER], stream=True, **asked))
    reasoning = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks if chunk.choices]
    assert [piece for piece in reasoning if piece] == ["Two ", "cities."]
    built = litellm.stream_chunk_builder(chunks, messages=ASKED)
    message = built.choices[0].message
    assert message.reasoning_content == "Two cities."
    assert message.content == "Let me see."
    assert [(call.id, call.function.arguments) for call in message.tool_calls] == [
        ("tooluse_graz", '{"city":"Graz"}'),
        ("tooluse_linz", '{"city":"Linz"}'),
    ]
    assert built.choices[0].finish_reason == "tool_calls"
    assert (built.usage.prompt_tokens, built.usage.completion_tokens) == (25, 7)
    assert fake.requests[0].operation == "converse-stream"


def test_an_answer_can_be_awaited() -> None:
    async def ask() -> Any:
        return await litellm.acompletion(model=f"converse/{MODEL}", messages=ASKED, tools=[WEATHER])

    with FakeBedrock([ANSWER]) as fake:
        Provider(Stage(fake))
        message = asyncio.run(ask()).choices[0].message
    assert message.reasoning_content == "Two cities."
    assert [call.id for call in message.tool_calls] == ["tooluse_graz", "tooluse_linz"]


def test_an_awaited_stream_that_is_refused_names_the_limit_of_the_rate() -> None:
    with FakeBedrock([Refusal("ThrottlingException", "Too many requests.")]) as fake:
        Provider(Stage(fake))
        with pytest.raises(litellm.exceptions.MidStreamFallbackError) as caught:
            awaited_chunks()
    assert isinstance(caught.value.original_exception, litellm.RateLimitError)
    assert caught.value.is_pre_first_chunk


@pytest.mark.parametrize("player", [Client, Provider])
def test_a_stream_that_breaks_off_is_an_error_and_not_an_answer(player: Any) -> None:
    with FakeBedrock([Reply(Text("word " * 200), fault=Cut(at=400))]) as fake:
        stream = player(Stage(fake))._complete(ASKED, stream=True)
        with pytest.raises((litellm.APIConnectionError, litellm.exceptions.MidStreamFallbackError, litellm.APIError)):
            list(stream)


def test_every_kind_of_failure_is_an_exception_of_litellms() -> None:
    table = {
        "ThrottlingException": litellm.RateLimitError,
        "AccessDeniedException": litellm.BadRequestError,
        "ResourceNotFoundException": litellm.NotFoundError,
        "ServiceUnavailableException": litellm.ServiceUnavailableError,
        "ValidationException": litellm.BadRequestError,
        "UnrecognizedClientException": litellm.AuthenticationError,
    }
    for code, expected in table.items():
        with FakeBedrock([Refusal(code, "No.")]) as fake, pytest.raises(expected):
            Provider(Stage(fake))._complete(ASKED)

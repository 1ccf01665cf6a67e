"""One set of scenes that every agent runtime plays: the real runtime, over the transport, against the stand-in.

They run in environments of their own (`scripts/test-runtimes`), which name the runtime in `RUNTIME`; anywhere else they
are skipped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, RecordedRequest, Refusal, Reply, Text, ToolCall, Usage

if "RUNTIME" not in os.environ:
    pytest.skip("no runtime is named; scripts/test-runtimes has them", allow_module_level=True)

from tests.runtimes.players.stage import Stage

PLAYERS = {
    "openai2": "openai_sdk",
    "openai3": "openai_sdk",
    "pydantic-ai": "pydantic_ai_agent",
    "openai-agents": "openai_agents",
    "langchain": "langgraph_agent",
    "instructor": "instructor_client",
    "smolagents": "smolagents_agent",
    "litellm": "litellm_calls",
}

pytestmark = [
    pytest.mark.leaves_threads,  # runtimes keep threads of their own
    pytest.mark.filterwarnings("default"),  # and their warnings are their own
]


@pytest.fixture
def player_class() -> Any:
    return import_module(f"tests.runtimes.players.{PLAYERS[os.environ['RUNTIME']]}").Player


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock() as started:
        yield started


@pytest.fixture
def player(player_class: Any, fake: FakeBedrock) -> Any:
    return player_class(Stage(fake))


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts take no time."""
    import asyncio

    import anyio

    sleep, async_sleep, any_sleep = time.sleep, asyncio.sleep, anyio.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, result=None: async_sleep(min(seconds, 0.01), result))
    monkeypatch.setattr(anyio, "sleep", lambda seconds: any_sleep(min(seconds, 0.01)))


THOUGHT = {"text": "Two cities, two calls.", "signature": "c2lnbmVk"}


def tool_names(request: RecordedRequest) -> list[str]:
    tools = request.body.get("toolConfig", {}).get("tools", [])
    return [tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool]


def forecast(request: RecordedRequest) -> Reply:
    """Two parallel calls with signed reasoning first, then the answer."""
    if len(request.body["messages"]) > 1:
        if "final_answer" in tool_names(request):  # smolagents ends by a tool
            return Reply(ToolCall("final_answer", {"answer": "Sunny in both."}))
        return Reply(Text(["Sunny ", "in ", "both."]), usage=Usage(input=20, output=4))
    return Reply(
        Reasoning(THOUGHT["text"], THOUGHT["signature"]),
        ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"),
        ToolCall("weather", {"city": "Linz"}, id="tooluse_linz"),
    )


def city(request: RecordedRequest) -> Reply:
    """A city, by whatever way the runtime asked for an object."""
    names = tool_names(request)
    return Reply(ToolCall(names[0], {"name": "Graz"})) if names else Reply('{"name": "Graz"}')


def test_plain(player: Any, fake: FakeBedrock) -> None:
    fake.queue(Reply("Hello!"))
    assert player.ask("Hi") == "Hello!"
    assert fake.requests[0].body["messages"][-1]["content"][0] == {"text": "Hi"}


def test_stream(player: Any, fake: FakeBedrock) -> None:
    fake.queue(Reply(Text(["Hel", "lo", "!"])))
    pieces = player.stream("Hi")
    assert "".join(pieces) == "Hello!"
    assert len(pieces) > 1
    assert fake.requests[0].operation == "converse-stream"


@pytest.mark.parametrize("stream", [False, True])
def test_two_parallel_tools_and_signed_reasoning_survive(player_class: Any, stream: bool) -> None:
    with FakeBedrock(forecast) as fake:
        player = player_class(Stage(fake))
        assert player.use_tools("Weather in Graz and Linz?", stream=stream) == "Sunny in both."
        assert [request.operation for request in fake.requests] == ["converse-stream" if stream else "converse"] * 2
        if not player.carries_calls:
            return
        _, assistant, results = [turn["content"] for turn in fake.requests[1].body["messages"]]
    assert assistant[0]["reasoningContent"]["reasoningText"] == THOUGHT
    calls = [block["toolUse"] for block in assistant if "toolUse" in block]
    answers = [block["toolResult"] for block in results if "toolResult" in block]
    ids = ["tooluse_graz", "tooluse_linz"]
    assert [(call["toolUseId"], call["input"]["city"]) for call in calls] == list(
        zip(ids, ["Graz", "Linz"], strict=True)
    )
    assert [answer["toolUseId"] for answer in answers] == ids
    assert ["Sunny in Graz" in str(answers[0]), "Sunny in Linz" in str(answers[1])] == [True, True]


def test_structured_output(player_class: Any) -> None:
    with FakeBedrock(city) as fake:
        answer = player_class(Stage(fake)).structured("Which city?")
    assert (answer if isinstance(answer, dict) else answer.model_dump()) == {"name": "Graz"}


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("stream", [False, True])
def test_429(player_class: Any, stream: bool) -> None:
    with FakeBedrock(lambda request: Refusal("ThrottlingException", "Too many requests, please wait.")) as fake:
        player = player_class(Stage(fake))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the runtime's own judge follows
            (player.stream if stream else player.ask)("Hi")
        assert player.is_throttle(caught.value), repr(caught.value)
        assert len(fake.requests) == player.tries


@pytest.mark.usefixtures("_no_waiting")
def test_context_overflow(player: Any, fake: FakeBedrock) -> None:
    fake.queue(*[Refusal("ValidationException", "Input is too long for requested model.")] * 9)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the runtime's own judge follows
        player.ask("Hi")
    assert player.is_overflow(caught.value), repr(caught.value)
    assert len(fake.requests) == 1

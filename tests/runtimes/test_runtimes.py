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

from tests.runtimes.players.stage import Stage, close_servers

PLAYERS = {
    "openai2": ("openai_sdk",),
    "openai3": ("openai_sdk", "openai_over_http"),
    "pydantic-ai": ("pydantic_ai_agent",),
    "openai-agents": ("openai_agents",),
    "langchain": ("langgraph_agent",),
    "instructor": ("instructor_client",),
    "smolagents": ("smolagents_agent",),
    "litellm": ("litellm_calls", "litellm_provider"),
    "autogen": ("autogen_agent",),
    "dspy": ("dspy_program",),
    "llm": ("llm_plugin",),
    "mini-swe-agent": ("mini_swe_agent",),
    "aider": ("aider_cli",),
}
"""Modules of `players` by the environment that they play in."""

pytestmark = [
    pytest.mark.leaves_threads,  # runtimes keep threads of their own
    pytest.mark.filterwarnings("default"),  # and their warnings are their own
]


@pytest.fixture(params=PLAYERS[os.environ["RUNTIME"]])
def player_class(request: pytest.FixtureRequest) -> Any:
    return import_module(f"tests.runtimes.players.{request.param}").Player


@pytest.fixture(autouse=True)
def _no_server_is_left() -> Iterator[None]:
    yield
    close_servers()


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


def skip_what_it_cannot(player: Any, *scenes: str) -> None:
    for scene in scenes:
        reason = getattr(player, "skips", {}).get(scene)
        if reason:
            pytest.skip(reason)


THOUGHT = {"text": "Two cities, two calls.", "signature": "c2lnbmVk"}


def tool_names(request: RecordedRequest) -> list[str]:
    tools = request.body.get("toolConfig", {}).get("tools", [])
    return [tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool]


def forecast(request: RecordedRequest) -> Reply:
    """Two parallel calls with signed reasoning first, then the answer; some runtimes take that by a tool only."""
    names = tool_names(request)
    if len(request.body["messages"]) == 1:
        return Reply(Reasoning(THOUGHT["text"], THOUGHT["signature"]), *(_call(names, city) for city in CITIES))
    if "final_answer" in names:
        return Reply(ToolCall("final_answer", {"answer": ANSWER}))
    if "bash" in names:
        return Reply(ToolCall("bash", {"command": f"echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && echo {ANSWER}"}))
    return Reply(Text(["Sunny ", "in ", "both."]), usage=Usage(input=20, output=4))


def _call(names: list[str], city: str) -> ToolCall:
    call_id = f"tooluse_{city.lower()}"
    if "bash" in names:
        return ToolCall("bash", {"command": f"echo Sunny in {city}"}, id=call_id)
    return ToolCall("weather", {"city": city}, id=call_id)


CITIES = ("Graz", "Linz")
ANSWER = "Sunny in both."


def city(request: RecordedRequest) -> Reply:
    """A city, by whatever way the runtime asked for an object."""
    names = tool_names(request)
    return Reply(ToolCall(names[0], {"name": "Graz"})) if names else Reply('{"name": "Graz"}')


def test_plain(player: Any, fake: FakeBedrock) -> None:
    fake.queue(Reply("Hello!"))
    assert player.ask("Hi") == "Hello!"
    assert "Hi" in str(fake.requests[0].body["messages"][-1]["content"])


def test_stream(player: Any, fake: FakeBedrock) -> None:
    skip_what_it_cannot(player, "stream")
    fake.queue(Reply(Text(["Hel", "lo", "!"])))
    pieces = player.stream("Hi")
    assert "".join(pieces) == "Hello!"
    assert len(pieces) > 1
    assert fake.requests[0].operation == "converse-stream"


@pytest.mark.parametrize("stream", [False, True])
def test_two_parallel_tools_and_signed_reasoning_survive(player_class: Any, stream: bool) -> None:
    with FakeBedrock(forecast) as fake:
        player = player_class(Stage(fake))
        skip_what_it_cannot(player, "tools", "stream" if stream else "whole")
        assert player.use_tools("Weather in Graz and Linz?", stream=stream) == ANSWER
        assert [request.operation for request in fake.requests] == ["converse-stream" if stream else "converse"] * 2
        if not player.carries_calls:
            return
        assistant, results = [turn["content"] for turn in fake.requests[1].body["messages"][-2:]]
    assert assistant[0]["reasoningContent"]["reasoningText"] == THOUGHT
    calls = [block["toolUse"] for block in assistant if "toolUse" in block]
    answers = [block["toolResult"] for block in results if "toolResult" in block]
    for city, call, answer in zip(CITIES, calls, answers, strict=True):
        assert call["toolUseId"] == answer["toolUseId"] == f"tooluse_{city.lower()}"
        assert city in str(call["input"])
        assert f"Sunny in {city}" in str(answer["content"])


def test_structured_output(player_class: Any) -> None:
    with FakeBedrock(city) as fake:
        player = player_class(Stage(fake))
        skip_what_it_cannot(player, "structured")
        answer = player.structured("Which city?")
    assert (answer if isinstance(answer, dict) else answer.model_dump()) == {"name": "Graz"}


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("stream", [False, True])
def test_429(player_class: Any, stream: bool) -> None:
    with FakeBedrock(lambda request: Refusal("ThrottlingException", "Too many requests, please wait.")) as fake:
        player = player_class(Stage(fake))
        skip_what_it_cannot(player, "throttle", "stream" if stream else "whole")
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

"""What only LangChain has: two HTTP clients on one conversation, usage of streams, options of its own names."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, Reply, Text, ToolCall, Usage

if os.environ.get("RUNTIME") != "langchain":
    pytest.skip("LangChain is not installed here; scripts/test-runtimes has it", allow_module_level=True)

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

from tests.runtimes.players.langgraph_agent import Player
from tests.runtimes.players.stage import Stage, weather

pytestmark = pytest.mark.leaves_threads

GUARDRAIL = {"guardrailIdentifier": "gr1", "guardrailVersion": "1"}


def test_reasoning_of_an_awaited_turn_survives_into_one_that_is_not() -> None:
    call = ToolCall("weather", {"city": "Graz"}, id="tooluse_graz")
    with FakeBedrock([Reply(Reasoning("One city.", "c2lnbmVk"), call), "Sunny."]) as fake:
        model = Player(Stage(fake))._model().bind_tools([tool(weather)])
        asked: list[Any] = [HumanMessage("Weather in Graz?")]
        answer = asyncio.run(model.ainvoke(asked))
        result = ToolMessage("Sunny in Graz", tool_call_id=answer.tool_calls[0]["id"])
        assert model.invoke([*asked, answer, result]).content == "Sunny."
    assistant = fake.requests[1].body["messages"][1]["content"]
    assert assistant[0]["reasoningContent"]["reasoningText"] == {"text": "One city.", "signature": "c2lnbmVk"}


def test_usage_of_a_stream_arrives_without_being_asked_for() -> None:
    with FakeBedrock([Reply(Text(["Hel", "lo!"]), usage=Usage(input=8, output=4, cache_read=2))]) as fake:
        *_, whole = _sums(Player(Stage(fake))._model().stream("Hi"))
    assert whole.content == "Hello!"
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (10, 4)


def _sums(chunks: Any) -> Any:
    total = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
        yield total


def test_reasoning_is_asked_for_and_converses_members_are_given_by_extra_body() -> None:
    with FakeBedrock(["Hi."]) as fake:
        body = {"reasoning_effort": "medium", "guardrailConfig": GUARDRAIL}
        Player(Stage(fake))._model(extra_body=body).invoke("Hi")
    assert fake.requests[0].body["guardrailConfig"] == GUARDRAIL
    assert "thinking" in fake.requests[0].body["additionalModelRequestFields"]

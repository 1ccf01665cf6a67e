"""What only autogen has: a turn without tools after their results, reasoning as thought, options of its own names."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, RecordedRequest, Reply, ToolCall

if os.environ.get("RUNTIME") != "autogen":
    pytest.skip("autogen is not installed here; scripts/test-runtimes has it", allow_module_level=True)

from autogen_agentchat.agents import AssistantAgent

from tests.runtimes.players.autogen_agent import Player
from tests.runtimes.players.stage import Stage, weather

pytestmark = pytest.mark.leaves_threads

GUARDRAIL = {"guardrailIdentifier": "gr1", "guardrailVersion": "1"}


def forecast(request: RecordedRequest) -> Reply:
    if len(request.body["messages"]) == 1:
        return Reply(Reasoning("One city.", "c2lnbmVk"), ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"))
    return Reply("Sunny.")


def test_results_are_told_in_text_to_a_turn_without_tools() -> None:
    async def work(client: Any) -> str:
        agent = AssistantAgent("assistant", client, tools=[weather], reflect_on_tool_use=True)
        return (await agent.run(task="Weather?")).messages[-1].content

    with FakeBedrock(forecast) as fake:
        assert asyncio.run(work(Player(Stage(fake))._client())) == "Sunny."
    assert "Sunny in Graz" in str(fake.requests[1].body["messages"])
    assert not [request.refusal for request in fake.requests if request.refusal]


def test_reasoning_is_shown_as_thought_and_extra_body_arrives() -> None:
    with FakeBedrock([Reply(Reasoning("Hm.", "c2lnbmVk"), "Hello!")]) as fake:
        options = {"extra_create_args": {"extra_body": {"guardrailConfig": GUARDRAIL}}}
        answer = asyncio.run(Player(Stage(fake))._create("Hi", **options))
    assert (answer.content, answer.thought) == ("Hello!", "Hm.")
    assert fake.requests[0].body["guardrailConfig"] == GUARDRAIL

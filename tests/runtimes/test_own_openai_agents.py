"""What only openai-agents has: a default client for all agents, handoffs, usage of streams, settings of its own names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, RecordedRequest, Reply, Text, ToolCall, Usage

if os.environ.get("RUNTIME") != "openai-agents":
    pytest.skip("openai-agents is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import agents
import openai
from agents.models import _openai_shared

from tests.runtimes.players.openai_agents import Player
from tests.runtimes.players.stage import BASE_URL, MODEL, Stage

pytestmark = pytest.mark.leaves_threads

GUARDRAIL = {"guardrailIdentifier": "gr1", "guardrailVersion": "1"}


@pytest.fixture
def _defaults_are_as_they_were() -> Iterator[None]:
    yield
    _openai_shared._default_openai_client = None
    agents.set_default_openai_api("responses")


@pytest.mark.usefixtures("_defaults_are_as_they_were")
def test_one_client_for_all_agents() -> None:
    with FakeBedrock(["Hello!"]) as fake:
        client = openai.AsyncOpenAI(api_key="unused", base_url=BASE_URL, http_client=Stage(fake).async_http())
        agents.set_default_openai_client(client, use_for_tracing=False)
        agents.set_default_openai_api("chat_completions")
        assert agents.Runner.run_sync(agents.Agent(name="a", model=MODEL), "Hi").final_output == "Hello!"
    assert fake.requests[0].model_id == MODEL


def test_an_agent_hands_over_to_another() -> None:
    def answer(request: RecordedRequest) -> Reply:
        tools = [tool["toolSpec"]["name"] for tool in request.body.get("toolConfig", {}).get("tools", ())]
        handing = next((name for name in tools if name.startswith("transfer_to")), None)
        return Reply(ToolCall(handing, {})) if handing else Reply("Servus!")

    with FakeBedrock(answer) as fake:
        player = Player(Stage(fake))
        local = agents.Agent(name="local", model=player._agent().model)
        result = agents.Runner.run_sync(player._agent(handoffs=[local]), "Hi")
    assert result.final_output == "Servus!"
    assert result.last_agent is local
    assert not [request.refusal for request in fake.requests if request.refusal]


def test_usage_of_a_stream_arrives_without_being_asked_for() -> None:
    async def read(agent: Any) -> Any:
        result = agents.Runner.run_streamed(agent, "Hi")
        async for _ in result.stream_events():
            pass
        return result.context_wrapper.usage

    with FakeBedrock([Reply(Text(["Hel", "lo!"]), usage=Usage(input=8, output=4, cache_read=2))]) as fake:
        usage = asyncio.run(read(Player(Stage(fake))._agent()))
    assert (usage.input_tokens, usage.output_tokens) == (10, 4)


def test_converses_members_are_given_by_extra_body() -> None:
    with FakeBedrock(["Hi."]) as fake:
        settings = agents.ModelSettings(extra_body={"guardrailConfig": GUARDRAIL})
        agents.Runner.run_sync(Player(Stage(fake))._agent(model_settings=settings), "Hi")
    assert fake.requests[0].body["guardrailConfig"] == GUARDRAIL

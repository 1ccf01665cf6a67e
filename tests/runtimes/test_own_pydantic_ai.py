"""What only pydantic-ai has: a client of one's own, what it shows of reasoning, settings of its own names."""

from __future__ import annotations

import os

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, Reply, Usage

if os.environ.get("RUNTIME") != "pydantic-ai":
    pytest.skip("pydantic-ai is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import openai
from pydantic_ai import Agent, NativeOutput, PromptedOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.runtimes.players.pydantic_ai_agent import City, Player
from tests.runtimes.players.stage import BASE_URL, MODEL, Stage

pytestmark = pytest.mark.leaves_threads

GUARDRAIL = {"guardrailIdentifier": "gr1", "guardrailVersion": "1"}


def test_a_client_of_ones_own_and_reasoning_that_is_shown() -> None:
    answer = Reply(Reasoning("Hm.", "c2lnbmVk"), "Hello!", usage=Usage(input=8, output=4, cache_read=2))
    with FakeBedrock([answer]) as fake:
        client = openai.AsyncOpenAI(api_key="unused", base_url=BASE_URL, http_client=Stage(fake).async_http())
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
        result = Agent(model).run_sync("Hi")
    assert result.output == "Hello!"
    thoughts = [part.content for part in result.new_messages()[-1].parts if part.part_kind == "thinking"]
    assert thoughts == ["Hm."]
    usage = result.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (10, 4, 2)


def test_converses_members_are_given_by_extra_body() -> None:
    with FakeBedrock(["Hi."]) as fake:
        Agent(Player(Stage(fake)).model).run_sync("Hi", model_settings={"extra_body": {"guardrailConfig": GUARDRAIL}})
    assert fake.requests[0].body["guardrailConfig"] == GUARDRAIL


@pytest.mark.parametrize("way", [NativeOutput, PromptedOutput])
def test_the_other_ways_to_an_object(way: type) -> None:
    with FakeBedrock(['{"name": "Graz"}']) as fake:
        assert Agent(Player(Stage(fake)).model, output_type=way(City)).run_sync("City?").output == City(name="Graz")
    assert not [request.refusal for request in fake.requests if request.refusal]

"""What only smolagents has: agents that write code, and a memory that a model class of ours reads."""

from __future__ import annotations

import os
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, RecordedRequest, Reply, Text, ToolCall

if os.environ.get("RUNTIME") != "smolagents":
    pytest.skip("smolagents is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import smolagents

from tests.runtimes.players.smolagents_agent import weather
from tests.runtimes.players.stage import MODEL, SCHEMA, Stage, example

pytestmark = pytest.mark.leaves_threads

BedrockModel = example("smolagents_bedrock").BedrockModel
QUIET: dict[str, Any] = {"verbosity_level": smolagents.LogLevel.OFF}


@smolagents.tool
def fails() -> str:
    """Always fails."""
    raise OSError("the disk is full")


@smolagents.tool
def lines(count: int) -> str:
    """Some lines.

    Args:
        count: How many.
    """
    return "\n".join(f"line {number} of {count}" for number in range(count))


def answered(request: RecordedRequest) -> Reply:
    return Reply(ToolCall("final_answer", {"answer": "Done."}))


def play(script: Any, tools: list[Any], **options: Any) -> tuple[Any, list[RecordedRequest]]:
    """The answer of an agent that plays a script with the model of ours, and what it sent."""
    script = iter(script)
    with FakeBedrock(lambda request: next(script, None) or answered(request)) as fake:
        model = BedrockModel(MODEL, http=Stage(fake).sync_http(), **options)
        answer = smolagents.ToolCallingAgent(tools=tools, model=model, **QUIET).run("Go.")
    assert not [request.refusal for request in fake.requests if request.refusal]
    return answer, fake.requests


def test_reasoning_that_was_asked_for_comes_back_although_smolagents_demands_a_tool() -> None:
    thought = Reasoning("One city.", "c2lnbmVk")
    script = [Reply(thought, Text("Let me see."), ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"))]
    answer, [first, second] = play(script, [weather], reasoning_effort="medium")
    assert answer == "Done."
    assert "thinking" in str(first.body["additionalModelRequestFields"])
    said = second.body["messages"][-2]["content"]
    assert [next(iter(block)) for block in said] == ["reasoningContent", "text", "toolUse"]
    assert said[1] == {"text": "Let me see."}


def test_results_of_parallel_calls_stay_whole_however_many_lines_they_have() -> None:
    calls = [ToolCall("lines", {"count": count}, id=f"tooluse_{count}") for count in (2, 0, 1)]
    answer, [_, second] = play([Reply(*calls)], [lines])
    assert answer == "Done."
    results = [block["toolResult"] for block in second.body["messages"][-1]["content"] if "toolResult" in block]
    assert {result["toolUseId"] for result in results} == {"tooluse_0", "tooluse_1", "tooluse_2"}
    told = str(results)
    assert all(told.count(line) == 1 for line in ("line 0 of 2", "line 1 of 2", "line 0 of 1"))
    assert told.count("The first result holds those of all calls") == 2


def test_a_tool_that_fails_is_told_and_the_agent_goes_on() -> None:
    answer, [_, second] = play([Reply(ToolCall("fails", {}, id="tooluse_1"))], [fails])
    assert answer == "Done."
    assert "the disk is full" in str(second.body["messages"][-1])


def test_several_rounds_and_a_plan_in_between() -> None:
    script = [
        Reply("1. Ask for the weather.<end_plan>"),
        Reply(Reasoning("Graz.", "c2lnbmVkMQ=="), ToolCall("weather", {"city": "Graz"}, id="tooluse_1")),
        Reply(Reasoning("Linz.", "c2lnbmVkMg=="), ToolCall("weather", {"city": "Linz"}, id="tooluse_2")),
    ]
    replies = iter(script)
    with FakeBedrock(lambda request: next(replies, None) or answered(request)) as fake:
        model = BedrockModel(MODEL, http=Stage(fake).sync_http())
        agent = smolagents.ToolCallingAgent(tools=[weather], model=model, planning_interval=5, **QUIET)
        assert agent.run("Go.") == "Done."
    assert not [request.refusal for request in fake.requests if request.refusal]
    last = [block for turn in fake.requests[-1].body["messages"] for block in turn["content"]]
    signatures = [
        block["reasoningContent"]["reasoningText"]["signature"] for block in last if "reasoningContent" in block
    ]
    assert signatures == ["c2lnbmVkMQ==", "c2lnbmVkMg=="]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("structured", [False, True], ids=["text", "object"])
def test_an_agent_that_writes_code(stream: bool, structured: bool) -> None:
    code = "print(weather('Graz'))", "final_answer('Done.')"
    spoken = [
        Reply(f'{{"thought": "Go.", "code": "{line}"}}' if structured else f"Go.\n<code>\n{line}\n</code>")
        for line in code
    ]
    with FakeBedrock(spoken) as fake:
        model = BedrockModel(MODEL, http=Stage(fake).sync_http())
        agent = smolagents.CodeAgent(
            tools=[weather], model=model, stream_outputs=stream, use_structured_outputs_internally=structured, **QUIET
        )
        assert agent.run("Weather in Graz?") == "Done."
    assert [request.operation for request in fake.requests] == ["converse-stream" if stream else "converse"] * 2
    assert "Sunny in Graz" in str(fake.requests[1].body["messages"][-1])
    assert not [request.refusal for request in fake.requests if request.refusal]


def test_an_object_by_the_models_own_arguments() -> None:
    with FakeBedrock(['{"name": "Graz"}']) as fake:
        response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        model = BedrockModel(MODEL, http=Stage(fake).sync_http(), response_format=response_format)
        told = [{"role": "user", "content": [{"type": "text", "text": "Which city?"}]}]
        assert model.generate(told).content == '{"name": "Graz"}'

"""What only DSPy has: typed requests, streams that tell of them, signatures, and tools of its own kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, RecordedRequest, Reply, Text, ToolCall, Usage

if os.environ.get("RUNTIME") != "dspy":
    pytest.skip("DSPy is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import dspy
from dspy import lm15

from tests.runtimes.players.dspy_program import Player
from tests.runtimes.players.stage import MODEL, SCHEMA, WEATHER, Stage, close_servers, weather

pytestmark = pytest.mark.leaves_threads

TOOL = lm15.FunctionTool("weather", WEATHER["function"]["description"], WEATHER["function"]["parameters"])
THOUGHT = Reasoning("Two cities.", "c2lnbmVk")


def forecast(request: RecordedRequest) -> Reply:
    if len(request.body["messages"]) == 1:
        return Reply(THOUGHT, *(ToolCall("weather", {"city": city}, id=f"tooluse_{city}") for city in ("Graz", "Linz")))
    return Reply(Text(["Sunny ", "in both."]), usage=Usage(input=20, output=4))


class Loop(dspy.Module):
    """A program over typed requests, which are the only ones that DSPy 3.5 takes with messages."""

    def __init__(self, lm: Any) -> None:
        super().__init__()
        self.lm = lm

    def forward(self, question: str) -> Any:
        messages = [lm15.Message("user", (lm15.TextPart(question),))]
        while True:
            response = self.lm(lm15.Request(model=self.lm.model, messages=tuple(messages), tools=(TOOL,)))
            calls = [part for part in response.message.parts if part.type == "tool_call"]
            if not calls:
                return dspy.Prediction(answer=response.message.parts[0].text, usage=response.usage)
            results = (lm15.ToolResultPart(call.id, (lm15.TextPart(weather(**call.input)),)) for call in calls)
            messages += [response.message, lm15.Message("tool", tuple(results))]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_typed_requests_keep_signed_reasoning_through_tools(stream: bool) -> None:
    with FakeBedrock(forecast) as fake:
        program: Any = Loop(Player(Stage(fake)).lm)
        if stream:
            *told, answer = dspy.streamify(program, async_streaming=False)(question="Weather?")
            reasoning = [chunk.choices[0].delta.get("reasoning_content") for chunk in told]
            assert "".join(piece for piece in reasoning if piece) == "Two cities."
        else:
            answer = program(question="Weather?")
    assert answer.answer == "Sunny in both."
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 4)
    assert [request.operation for request in fake.requests] == ["converse-stream" if stream else "converse"] * 2
    assistant, results = [turn["content"] for turn in fake.requests[1].body["messages"][-2:]]
    assert assistant[0]["reasoningContent"]["reasoningText"]["signature"] == THOUGHT.signature
    assert [block["toolUse"]["toolUseId"] for block in assistant if "toolUse" in block] == [
        "tooluse_Graz",
        "tooluse_Linz",
    ]
    assert sum("toolResult" in block for block in results) == 2


def test_a_typed_request_for_an_object() -> None:
    with FakeBedrock(['{"name": "Graz"}']) as fake:
        lm = Player(Stage(fake)).lm
        response_format = {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}
        messages = (lm15.Message("user", (lm15.TextPart("Which city?"),)),)
        config = lm15.Config(response_format=response_format)
        response = lm(lm15.Request(model=lm.model, messages=messages, config=config))
    assert response.message.parts[0].text == '{"name": "Graz"}'


@pytest.fixture
def address() -> Iterator[Callable[[FakeBedrock], str]]:
    yield lambda fake: Stage(fake).address()
    close_servers()


def test_the_server_answers_it_whole_and_streamed(address: Callable[[FakeBedrock], str]) -> None:
    replies = ["[[ ## answer ## ]]\n", "Hel", "lo!", "\n\n[[ ## completed ## ]]"]
    with FakeBedrock([Reply(Text(replies)), Reply(Text(replies))]) as fake:
        lm = dspy.LM(f"openai/{MODEL}", api_base=address(fake), api_key="unused", cache=False)
        with dspy.context(lm=lm):
            program = dspy.Predict("question -> answer")
            assert program(question="Hi").answer == "Hello!"
            *_, last = dspy.streamify(program, async_streaming=False)(question="Hi")
    assert last.answer == "Hello!"
    assert [request.operation for request in fake.requests] == ["converse", "converse-stream"]


def test_an_agent_of_its_own_uses_tools() -> None:
    def answer(request: RecordedRequest) -> Reply:
        asked = str(request.body)
        if "next_tool_name ## ]]" not in asked:
            return Reply("[[ ## reasoning ## ]]\nSeen.\n\n[[ ## answer ## ]]\nSunny.\n\n[[ ## completed ## ]]")
        seen = "Sunny in Graz" in asked
        name, arguments = ("finish", "{}") if seen else ("weather", '{"city": "Graz"}')
        fields = {"next_thought": "Go on.", "next_tool_name": name, "next_tool_args": arguments}
        return Reply("".join(f"[[ ## {field} ## ]]\n{text}\n\n" for field, text in fields.items()))

    with FakeBedrock(answer) as fake, dspy.context(lm=Player(Stage(fake)).lm):
        prediction = dspy.ReAct("question -> answer", tools=[weather])(question="Weather in Graz?")
    assert prediction.answer == "Sunny."
    assert not [request.refusal for request in fake.requests if request.refusal]

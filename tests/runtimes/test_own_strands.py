"""What only Strands has: Converse's own blocks in its memory, cache points, guarded history, cancelling."""

from __future__ import annotations

import os
from typing import Any

import pytest

from agent.bedrock.testing import Cut, FakeBedrock, Reasoning, RecordedRequest, Redacted, Refusal, Reply, Text, ToolCall

if os.environ.get("RUNTIME") != "strands":
    pytest.skip("Strands is not installed here; scripts/test-runtimes has it", allow_module_level=True)

from agent.bedrock.errors import BedrockError
from tests.moments import once_asked
from tests.runtimes.players.stage import Stage
from tests.runtimes.players.strands_agent import City, Player, weather

pytestmark = pytest.mark.leaves_threads

SECRET = bytes(range(256))


def forecast(request: RecordedRequest) -> Reply:
    if len(request.body["messages"]) > 1:
        return Reply("Sunny.")
    thoughts = (Reasoning("One.", "c2lnMQ=="), Redacted(SECRET), Reasoning("Two.", "c2lnMg=="))
    return Reply(*thoughts, Text("Let me see."), ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"))


def test_signed_and_redacted_blocks_go_back_as_they_came() -> None:
    with FakeBedrock(forecast) as fake:
        agent = Player(Stage(fake)).agent(tools=[weather])
        assert str(agent("Weather?")).strip() == "Sunny."
    sent = fake.requests[1].body["messages"][1]["content"]
    assert [next(iter(block["reasoningContent"])) for block in sent[:3]] == [
        "reasoningText",
        "redactedContent",
        "reasoningText",
    ]
    assert [block["reasoningContent"]["reasoningText"]["signature"] for block in (sent[0], sent[2])] == [
        "c2lnMQ==",
        "c2lnMg==",
    ]
    assert agent.messages[1]["content"][1]["reasoningContent"]["redactedContent"] == SECRET
    assert not [request.refusal for request in fake.requests if request.refusal]


def test_the_cache_points_of_a_system_prompt_are_kept() -> None:
    with FakeBedrock(["Hi."]) as fake:
        system: Any = [{"text": "Be brief. " * 500}, {"cachePoint": {"type": "default"}}, {"text": "Now."}]
        Player(Stage(fake)).agent(system_prompt=system)("Hello?")
    assert [next(iter(block)) for block in fake.requests[0].body["system"][:3]] == ["text", "cachePoint", "text"]


def test_a_conversation_that_is_too_long_is_shortened_and_sent_again() -> None:
    too_long = Refusal("ValidationException", "Input is too long for requested model.")
    with FakeBedrock(["One.", "Two.", too_long, "Three."]) as fake:
        agent = Player(Stage(fake)).agent()
        for question in ("1?", "2?"):
            agent(question)
        assert str(agent("3?")).strip() == "Three."
    assert len(fake.requests[3].body["messages"]) < len(fake.requests[2].body["messages"])


def test_a_stream_that_breaks_off_is_no_finished_answer() -> None:
    with FakeBedrock([Reply(Text("word " * 200), fault=Cut(at=400))]) as fake, pytest.raises(Exception) as caught:  # noqa: PT011
        Player(Stage(fake)).agent()("Talk.")
    assert isinstance(caught.value, BedrockError) or isinstance(caught.value.__cause__, BedrockError)


def test_cancelling_ends_the_stream_and_its_connection() -> None:
    with FakeBedrock([Reply(Text(["word "] * 500), pace=0.02)]) as fake:
        agent = Player(Stage(fake)).agent()
        with once_asked(fake, agent.cancel):
            result = agent("Talk.")
        assert result.stop_reason == "cancelled"
        assert fake.wait_for(lambda fake: fake.requests[0].abandoned)


def test_the_older_way_to_an_object() -> None:
    with FakeBedrock(['{"name": "Graz"}']) as fake, pytest.warns(DeprecationWarning, match="structured_output"):
        assert Player(Stage(fake)).agent().structured_output(City, "Which city?") == City(name="Graz")

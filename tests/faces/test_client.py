"""`Bedrock` itself: what it does for a loop that keeps nothing but text and calls."""

from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock import Bedrock
from agent.bedrock.carriers import ReasoningStore
from agent.bedrock.testing import FakeBedrock, Reasoning, Reply, Text, ToolCall

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def bare(completion: Any) -> dict[str, Any]:
    """The assistant message as a runtime keeps it that knows no reasoning."""
    [call] = completion.message.tool_calls
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {
        "role": "assistant",
        "content": completion.message.content,
        "tool_calls": [{"id": call.id, "type": "function", "function": function}],
    }


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("options", "kept"), [({}, True), ({"reasoning_store": None}, False)])
def test_signed_reasoning_survives_a_loop_that_keeps_text_and_calls_only(
    streamed: bool, options: dict[str, Any], kept: bool
) -> None:
    script = [Reply(Reasoning("Hm", f"sig-{streamed}-{kept}"), Text("Let me see."), ToolCall("weather", {})), "Rain."]
    with FakeBedrock(script) as fake:
        bedrock = Bedrock(
            region="us-east-1", endpoint_url=fake.url, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="made-up"
        )
        messages: list[Any] = [{"role": "user", "content": "Weather?"}]
        if streamed:
            answer = bedrock.stream(CLAUDE, messages, TOOLS, **options).completion()
        else:
            answer = bedrock.complete(CLAUDE, messages, TOOLS, **options)
        result = {"role": "tool", "tool_call_id": answer.message.tool_calls[0].id, "content": "7 degrees"}
        bedrock.complete(CLAUDE, [*messages, bare(answer), result], TOOLS, **options)
        replayed = fake.requests[-1].body["messages"][1]["content"]
    reasoning = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": f"sig-{streamed}-{kept}"}}}
    assert (reasoning in replayed) is kept


def test_a_store_of_ones_own_is_used() -> None:
    store = ReasoningStore()
    with FakeBedrock([Reply(Reasoning("Hm", "sig"), ToolCall("weather", {}))]) as fake:
        bedrock = Bedrock(
            region="us-east-1", endpoint_url=fake.url, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="made-up"
        )
        bedrock.complete(CLAUDE, [{"role": "user", "content": "Weather?"}], TOOLS, reasoning_store=store)
    assert store.size > 0

"""LiteLLM's SDK: the same messages, chunks read as its users read them."""

from __future__ import annotations

from typing import Any

from tests.bench.subjects import Heard, Subject, Tell
from tests.bench.workloads import MODEL, Conversation


class LiteLLM(Subject):
    """`litellm.completion`."""

    requires = "litellm"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        import litellm

        self._completion = litellm.completion
        self._options = {
            "model": f"bedrock/converse/{MODEL}",
            "aws_region_name": "us-east-1",
            "aws_bedrock_runtime_endpoint": endpoint,
        }

    def prepare(self, conversation: Conversation) -> dict[str, Any]:
        tools = {"tools": conversation.tools} if conversation.tools else {}
        return {"messages": conversation.messages, **tools, **self._options}

    def whole(self, prepared: dict[str, Any]) -> Heard:
        return Heard(text=self._completion(**prepared).choices[0].message.content)

    def stream(self, prepared: dict[str, Any], tell: Tell) -> Heard:
        text, reasoning, arguments = [], [], []
        for chunk in self._completion(stream=True, **prepared):
            delta = chunk.choices[0].delta
            if delta.content:
                tell(delta.content)
                text.append(delta.content)
            reasoning.append(getattr(delta, "reasoning_content", None) or "")
            arguments += [call.function.arguments for call in delta.tool_calls or ()]
        return Heard("".join(text), "".join(reasoning), "".join(arguments))

"""langchain-aws: `ChatBedrockConverse`, its messages built in advance, as its users have them."""

from __future__ import annotations

from typing import Any

from tests.bench.subjects import Heard, Subject, Tell
from tests.bench.workloads import MODEL, Conversation


class LangChain(Subject):
    """`ChatBedrockConverse`."""

    requires = "langchain_aws"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        from langchain_aws import ChatBedrockConverse

        self._model = ChatBedrockConverse(model=MODEL, region_name="us-east-1", endpoint_url=endpoint)

    def prepare(self, conversation: Conversation) -> tuple[Any, list[Any]]:
        from langchain_core.messages import convert_to_messages

        model = self._model.bind_tools(conversation.tools) if conversation.tools else self._model
        return model, convert_to_messages(conversation.messages)

    def whole(self, prepared: tuple[Any, list[Any]]) -> Heard:
        model, messages = prepared
        return Heard(text=model.invoke(messages).text)

    def stream(self, prepared: tuple[Any, list[Any]], tell: Tell) -> Heard:
        model, messages = prepared
        text, reasoning, arguments = [], [], []
        for chunk in model.stream(messages):
            for block in chunk.content if isinstance(chunk.content, list) else ():
                piece = block.get("text") or ""
                if piece:
                    tell(piece)
                    text.append(piece)
                reasoning.append((block.get("reasoning_content") or {}).get("text") or "")
            arguments += [call["args"] or "" for call in chunk.tool_call_chunks]
        return Heard("".join(text), "".join(reasoning), "".join(arguments))

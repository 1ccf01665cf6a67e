"""strands-agents: `BedrockModel`, which takes Converse's own messages and gives its events."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.bench.subjects import Heard, Subject, Tell
from tests.bench.subjects.bare import converse_form
from tests.bench.workloads import MODEL, Conversation


class Strands(Subject):
    """`BedrockModel`, in one event loop."""

    requires = "strands"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        from strands.models import BedrockModel

        options = {"model_id": MODEL, "region_name": "us-east-1", "endpoint_url": endpoint}
        self._loop = asyncio.new_event_loop()
        self._streaming = BedrockModel(**options)
        self._whole = BedrockModel(streaming=False, **options)

    def prepare(self, conversation: Conversation) -> tuple[Any, Any, Any]:
        form = converse_form(conversation)
        tools = [tool["toolSpec"] for tool in form.get("toolConfig", {}).get("tools", ())] or None
        return form["messages"], tools, form["system"][0]["text"]

    def whole(self, prepared: tuple[Any, Any, Any]) -> Heard:
        return self._loop.run_until_complete(self._read(self._whole, prepared, lambda _: None))

    def stream(self, prepared: tuple[Any, Any, Any], tell: Tell) -> Heard:
        return self._loop.run_until_complete(self._read(self._streaming, prepared, tell))

    def crowd(self, prepared: tuple[Any, Any, Any], count: int, tell: Tell) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self._read(self._streaming, prepared, tell) for _ in range(count)))

        self._loop.run_until_complete(all_of_them())

    async def _read(self, model: Any, prepared: tuple[Any, Any, Any], tell: Tell) -> Heard:
        text, reasoning, arguments = [], [], []
        async for event in model.stream(*prepared):
            delta = event.get("contentBlockDelta", {}).get("delta", {})
            if "text" in delta:
                tell(delta["text"])
                text.append(delta["text"])
            reasoning.append(delta.get("reasoningContent", {}).get("text", ""))
            arguments.append(delta.get("toolUse", {}).get("input", ""))
        return Heard("".join(text), "".join(reasoning), "".join(arguments))

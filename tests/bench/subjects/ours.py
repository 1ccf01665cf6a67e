"""This adapter: conversion included, every callback given, and the completion made at the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.bench.subjects import Heard, Subject, Tell
from tests.bench.workloads import MODEL, Conversation


class Ours(Subject):
    """`Bedrock`."""

    requires = "agent.bedrock"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        from agent.bedrock import Bedrock

        self._bedrock = Bedrock("us-east-1", endpoint_url=endpoint, max_connections=max(connections, 64))

    def whole(self, prepared: Conversation) -> Heard:
        return _heard(self._bedrock.complete(MODEL, prepared.messages, prepared.tools))

    def stream(self, prepared: Conversation, tell: Tell) -> Heard:
        pieces: list[str] = []
        keep = pieces.append
        stream = self._bedrock.stream(
            MODEL,
            prepared.messages,
            prepared.tools,
            on_text_delta=tell,
            on_reasoning_delta=keep,
            on_tool_start=keep,
            on_tool_arguments_delta=lambda _, piece: keep(piece),
        )
        return _heard(stream.completion())


class OursAsync(Subject):
    """`AsyncBedrock`, in one event loop."""

    requires = "agent.bedrock"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        from agent.bedrock import AsyncBedrock

        self._loop = asyncio.new_event_loop()
        self._bedrock = AsyncBedrock("us-east-1", endpoint_url=endpoint, max_connections=max(connections, 64))

    def whole(self, prepared: Conversation) -> Heard:
        call = self._bedrock.complete(MODEL, prepared.messages, prepared.tools)
        return _heard(self._loop.run_until_complete(call))

    def stream(self, prepared: Conversation, tell: Tell) -> Heard:
        return self._loop.run_until_complete(self._stream(prepared, tell))

    def crowd(self, prepared: Conversation, count: int, tell: Tell) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self._stream(prepared, tell) for _ in range(count)))

        self._loop.run_until_complete(all_of_them())

    async def _stream(self, prepared: Conversation, tell: Tell) -> Heard:
        pieces: list[str] = []
        keep = pieces.append
        stream = self._bedrock.stream(
            MODEL,
            prepared.messages,
            prepared.tools,
            on_text_delta=tell,
            on_reasoning_delta=keep,
            on_tool_start=keep,
            on_tool_arguments_delta=lambda _, piece: keep(piece),
        )
        return _heard(await stream.completion())


class OursHttp(Subject):
    """The transport of the openai SDK, without the SDK: a body goes in, bytes come out."""

    requires = "httpx"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        from agent.bedrock import http_client

        self._client = http_client(region="us-east-1", endpoint_url=endpoint, max_connections=max(connections, 64))

    def prepare(self, conversation: Conversation) -> dict[str, Any]:
        return {"model": MODEL, "messages": conversation.messages, "tools": conversation.tools}

    def whole(self, prepared: dict[str, Any]) -> Heard:
        return Heard(text=self._client.post(_URL, json=prepared).json()["choices"][0]["message"]["content"])

    def stream(self, prepared: dict[str, Any], tell: Tell) -> Heard:
        with self._client.stream("POST", _URL, json={**prepared, "stream": True}) as response:
            for _ in response.iter_raw():
                tell("")
        return Heard()

    def heard(self, prepared: dict[str, Any]) -> Heard:
        said: dict[str, list[str]] = {"content": [], "reasoning_content": [], "arguments": []}
        with self._client.stream("POST", _URL, json={**prepared, "stream": True}) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    [choice] = json.loads(line[6:])["choices"]
                    for name in ("content", "reasoning_content"):
                        said[name].append(choice["delta"].get(name) or "")
                    calls = choice["delta"].get("tool_calls") or ()
                    said["arguments"] += [call["function"].get("arguments") or "" for call in calls]
        return Heard(*("".join(pieces) for pieces in said.values()))


_URL = "http://bedrock.local/v1/chat/completions"


def _heard(completion: Any) -> Heard:
    message = completion.message
    arguments = "".join(call.function.arguments for call in message.tool_calls or ())
    return Heard(message.content or "", message.reasoning_content or "", arguments)

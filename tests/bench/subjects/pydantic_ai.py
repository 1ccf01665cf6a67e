"""pydantic-ai: `BedrockConverseModel` through its direct interface, its messages built in advance."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from tests.bench.subjects import Heard, Subject, Tell
from tests.bench.workloads import MODEL, Conversation, Message


class PydanticAI(Subject):
    """`model_request` and `model_request_stream`, in one event loop."""

    requires = "pydantic_ai"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        from pydantic_ai.models.bedrock import BedrockConverseModel
        from pydantic_ai.providers.bedrock import BedrockProvider

        self._loop = asyncio.new_event_loop()
        self._model = BedrockConverseModel(MODEL, provider=BedrockProvider(region_name="us-east-1", base_url=endpoint))

    def prepare(self, conversation: Conversation) -> tuple[list[Any], Any]:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.tools import ToolDefinition

        functions = [tool["function"] for tool in conversation.tools]
        tools = [
            ToolDefinition(name=one["name"], description=one["description"], parameters_json_schema=one["parameters"])
            for one in functions
        ]
        return _messages(conversation.messages), ModelRequestParameters(function_tools=tools)

    def whole(self, prepared: tuple[list[Any], Any]) -> Heard:
        from pydantic_ai.direct import model_request

        messages, parameters = prepared
        call = model_request(self._model, messages, model_request_parameters=parameters)
        response = self._loop.run_until_complete(call)
        return Heard(text="".join(part.content for part in response.parts if part.part_kind == "text"))

    def stream(self, prepared: tuple[list[Any], Any], tell: Tell) -> Heard:
        return self._loop.run_until_complete(self._read(prepared, tell))

    def crowd(self, prepared: tuple[list[Any], Any], count: int, tell: Tell) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(self._read(prepared, tell) for _ in range(count)))

        self._loop.run_until_complete(all_of_them())

    async def _read(self, prepared: tuple[list[Any], Any], tell: Tell) -> Heard:
        from pydantic_ai.direct import model_request_stream

        messages, parameters = prepared
        said: dict[str, list[str]] = {"text": [], "thinking": [], "tool-call": []}
        async with model_request_stream(self._model, messages, model_request_parameters=parameters) as stream:
            async for event in stream:
                kind, piece = _piece(event)
                if piece:
                    said[kind].append(piece)
                    if kind == "text":
                        tell(piece)
        return Heard("".join(said["text"]), "".join(said["thinking"]), "".join(said["tool-call"]))


def _piece(event: Any) -> tuple[str, str]:
    """The kind of a part, and what this event adds to it."""
    if event.event_kind == "part_start":
        part = event.part
        added = part.args if part.part_kind == "tool-call" else part.content
        return part.part_kind, added or ""
    if event.event_kind != "part_delta":
        return "", ""
    delta = event.delta
    if delta.part_delta_kind == "tool_call":
        return "tool-call", delta.args_delta or ""
    return delta.part_delta_kind, delta.content_delta or ""


def _messages(messages: list[Message]) -> list[Any]:
    from pydantic_ai import messages as pydantic

    found: list[Any] = []
    for message in messages:
        if message["role"] == "assistant":
            calls = [
                pydantic.ToolCallPart(one["function"]["name"], json.loads(one["function"]["arguments"]), one["id"])
                for one in message.get("tool_calls", ())
            ]
            found.append(pydantic.ModelResponse([pydantic.TextPart(message["content"]), *calls]))
        else:
            found.append(pydantic.ModelRequest([_part(pydantic, message)]))
    return found


def _part(pydantic: Any, message: Message) -> Any:
    content = message["content"]
    if message["role"] == "system":
        return pydantic.SystemPromptPart(content)
    if message["role"] == "tool":
        return pydantic.ToolReturnPart("read_file", content, message["tool_call_id"])
    if isinstance(content, str):
        return pydantic.UserPromptPart(content)
    return pydantic.UserPromptPart([_content(pydantic, part) for part in content])


def _content(pydantic: Any, part: Message) -> Any:
    if part["type"] == "text":
        return part["text"]
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return pydantic.BinaryContent(data, media_type="image/png")

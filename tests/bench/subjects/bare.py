"""The floor: bare boto3 with its defaults, requests built in advance, and a loop over the events that does nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.bench.subjects import Heard, Subject, Tell
from tests.bench.workloads import MODEL, Conversation, Message


class Boto3(Subject):
    """What nobody can be below who uses boto3 as it is."""

    requires = "boto3"

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        import boto3

        self._client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=endpoint)

    def prepare(self, conversation: Conversation) -> dict[str, Any]:
        return converse_form(conversation)

    def whole(self, prepared: dict[str, Any]) -> Heard:
        answer = self._client.converse(**prepared)
        return Heard(text="".join(block.get("text", "") for block in answer["output"]["message"]["content"]))

    def stream(self, prepared: dict[str, Any], tell: Tell) -> Heard:
        for _ in self._client.converse_stream(**prepared)["stream"]:
            pass
        return Heard()

    def heard(self, prepared: dict[str, Any]) -> Heard:
        text, reasoning, arguments = [], [], []
        for event in self._client.converse_stream(**prepared)["stream"]:
            delta = event.get("contentBlockDelta", {}).get("delta", {})
            text.append(delta.get("text", ""))
            reasoning.append(delta.get("reasoningContent", {}).get("text", ""))
            arguments.append(delta.get("toolUse", {}).get("input", ""))
        return Heard("".join(text), "".join(reasoning), "".join(arguments))


class ToldBoto3(Boto3):
    """The same, saying the text as it comes: the floor of whatever is about time to the reader."""

    def stream(self, prepared: dict[str, Any], tell: Tell) -> Heard:
        for event in self._client.converse_stream(**prepared)["stream"]:
            if "contentBlockDelta" in event:
                tell(event["contentBlockDelta"]["delta"].get("text", ""))
        return Heard()


def converse_form(conversation: Conversation) -> dict[str, Any]:
    """Converse's keyword arguments, by hand, for the few shapes that the workloads have."""
    messages: list[Message] = []
    for message in conversation.messages:
        if message["role"] != "system":
            role = "assistant" if message["role"] == "assistant" else "user"
            blocks = _blocks(message)
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
    system = [{"text": message["content"]} for message in conversation.messages if message["role"] == "system"]
    tools = [{"toolSpec": _tool_spec(tool["function"])} for tool in conversation.tools]
    tool_config = {"toolConfig": {"tools": tools}} if tools else {}
    return {"modelId": MODEL, "system": system, "messages": messages, **tool_config}


def _tool_spec(function: dict[str, Any]) -> dict[str, Any]:
    schema = {"json": function["parameters"]}
    return {"name": function["name"], "description": function["description"], "inputSchema": schema}


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        result = {"toolUseId": message["tool_call_id"], "content": [{"text": message["content"]}]}
        return [{"toolResult": result}]
    parts = message["content"]
    blocks = [{"text": parts}] if isinstance(parts, str) else [_part(part) for part in parts]
    for call in message.get("tool_calls", ()):
        function = call["function"]
        use = {"toolUseId": call["id"], "name": function["name"], "input": json.loads(function["arguments"])}
        blocks.append({"toolUse": use})
    return blocks


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"text": part["text"]}
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return {"image": {"format": "png", "source": {"bytes": data}}}

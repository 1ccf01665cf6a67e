"""Recorded Bedrock traffic, read by rules of its own: what a judge knows about an exchange before the adapter is asked.

In comes a folder of recordings (one JSON file per HTTP exchange: model, operation, request, status, headers, body or
body_base64); out go values. Frames are cut by botocore, events are folded here, so that nothing of the adapter takes
part in saying what a recording holds.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any
Body = dict[str, Any]
Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange; `body` is the answer's own bytes, `request` None where the publisher's scrubber broke it."""

    name: str
    model: str
    operation: str
    request: Body | None
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def streamed(self) -> bool:
        """Whether the answer is an event stream."""
        return self.headers.get("content-type", "").startswith("application/vnd.amazon.eventstream")

    @property
    def is_answer(self) -> bool:
        """Whether a model said something: a Converse answer with 200."""
        return self.status == 200 and self.operation in {"converse", "converse-stream"}

    def answer(self) -> Body:
        """The answer in the form of a whole one, whichever way it came."""
        return folded(events_of(self.body)) if self.streamed else json.loads(self.body)


def load(folder: Path) -> list[Recording]:
    """The recordings in a folder, by name."""
    return [_recording(path) for path in sorted(folder.glob("*.json"))]


def _recording(path: Path) -> Recording:
    said = json.loads(path.read_text(encoding="utf-8"))
    return Recording(
        name=path.stem,
        model=said["model"],
        operation=said["operation"],
        request=said["request"],
        status=said["status"],
        headers=_joined(said["headers"]),
        body=b64decode(said["body_base64"]) if "body_base64" in said else json.dumps(said["body"]).encode(),
    )


def _joined(headers: Mapping[str, Any]) -> dict[str, str]:
    """Headers with lower-case names; recorders keep a list of values per name."""
    return {name.lower(): value if isinstance(value, str) else ", ".join(value) for name, value in headers.items()}


def modelled(value: Json, shape: Any) -> Json:
    """What botocore hands over of a value: members that its service model does not have are dropped (documents aside)."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        known = {name: item for name, item in value.items() if name in shape.members}
        return {name: modelled(item, shape.members[name]) for name, item in known.items()}
    if shape.type_name == "list":
        return [modelled(item, shape.member) for item in value]
    return value


def answer_shape() -> Any:
    """The shape of a whole answer in the service model of the installed botocore."""
    import botocore.session

    service = botocore.session.Session().get_service_model("bedrock-runtime")
    return service.operation_model("Converse").output_shape


def events_of(body: bytes) -> Iterator[tuple[str, Body]]:
    """Name and members of each event in the bytes of an event stream."""
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    buffer.add_data(body)
    frames: Iterator[Any] = iter(buffer)
    for frame in frames:
        members = json.loads(frame.payload)
        members.pop("p", None)  # padding that hides the length
        yield frame.headers[":event-type"], members


def folded(events: Iterator[tuple[str, Body]]) -> Body:
    """The whole answer that a stream of events amounts to, on the wire's own terms (base64 stays text)."""
    blocks: dict[int, Block] = {}
    whole: Body = {}
    for name, members in events:
        if name == "contentBlockStart":
            (kind, start), *_ = members["start"].items()
            blocks[members["contentBlockIndex"]] = {kind: dict(start)}
        elif name == "contentBlockDelta":
            _grow(blocks.setdefault(members["contentBlockIndex"], {}), members["delta"])
        elif name in {"messageStop", "metadata"}:
            whole |= members
    content = [_closed(block) for _, block in sorted(blocks.items())]
    return {**whole, "output": {"message": {"role": "assistant", "content": content}}}


def _grow(block: Block, delta: Mapping[str, Any]) -> None:
    ((kind, piece),) = delta.items()
    if kind == "text":
        block["text"] = block.get("text", "") + piece
    elif kind == "citation":
        block.setdefault("citations", []).append(piece)
    elif kind == "toolUse":
        block["toolUse"]["input"] = block["toolUse"].get("input", "") + piece["input"]
    elif kind == "toolResult":
        block["toolResult"].setdefault("content", []).extend(piece)
    elif kind == "reasoningContent":
        _grow_reasoning(block.setdefault("reasoningContent", {}), piece)
    else:
        raise ValueError(f"this judge knows no delta of kind {kind}")


def _grow_reasoning(reasoning: Block, piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if name == "redactedContent":
            before = b64decode(reasoning.get(name, ""))
            reasoning[name] = b64encode(before + b64decode(value)).decode()
        else:
            said = reasoning.setdefault("reasoningText", {})
            said[name] = said.get(name, "") + value


def _closed(block: Block) -> Block:
    if "toolUse" in block:
        use = block["toolUse"]
        return {"toolUse": {**use, "input": json.loads(use.get("input") or "{}")}}
    if "citations" in block:
        return {"citationsContent": {"content": [{"text": block.get("text", "")}], "citations": block["citations"]}}
    return block

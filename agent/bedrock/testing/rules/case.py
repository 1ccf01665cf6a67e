"""A request laid out for judging: its blocks with their places, and its turns as the service merges them.

A shape-checked body comes in; views of it go out. Rules read these views and never the raw body's nesting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .families import Family, family_of

Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """One content block: its kind, its value, the indices of its message and of itself."""

    kind: str
    value: Any
    role: str
    message: int
    index: int

    @property
    def at(self) -> str:
        """The place as the service's own rules write it, counted from 0."""
        return f"messages.{self.message}.content.{self.index}"


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive messages of one role, which the service takes as one; `message` is the index of the first."""

    role: str
    message: int
    blocks: Sequence[Placed]

    @property
    def at(self) -> str:
        """The place of the turn's content."""
        return f"messages.{self.message}.content"

    def of(self, *kinds: str) -> list[Placed]:
        """The blocks of these kinds."""
        return [block for block in self.blocks if block.kind in kinds]

    def calls(self) -> list[Placed]:
        """The tool calls that the client has to answer: those of the service's own tools are answered already."""
        return [block for block in self.of("toolUse") if block.value.get("type") != "server_tool_use"]


@dataclass(frozen=True, slots=True)
class Case:
    """A request before the judge."""

    operation: str
    model_id: str
    family: Family
    body: Members
    messages: Sequence[Members]
    turns: Sequence[Turn]
    blocks: Sequence[Placed]

    @property
    def streaming(self) -> bool:
        """Whether the answer is to be a stream."""
        return self.operation == "converse-stream"

    @property
    def is_prompt(self) -> bool:
        """Whether the model id names a stored prompt, which brings messages of its own."""
        return ":prompt/" in self.model_id

    @property
    def inference(self) -> Members:
        """`inferenceConfig`."""
        return self.body.get("inferenceConfig") or {}

    @property
    def extra(self) -> Members:
        """`additionalModelRequestFields`, where it is an object."""
        fields = self.body.get("additionalModelRequestFields")
        return fields if isinstance(fields, dict) else {}

    @property
    def thinking(self) -> str | None:
        """The type of thinking asked for."""
        asked = self.extra.get("thinking")
        kind = asked.get("type") if isinstance(asked, dict) else None
        return kind if isinstance(kind, str) else None

    @property
    def tools(self) -> Sequence[Members]:
        """The members of `toolConfig.tools`: specifications, system tools and cache points."""
        return (self.body.get("toolConfig") or {}).get("tools") or ()

    @property
    def tool_specs(self) -> list[tuple[int, Members]]:
        """The tool specifications with their index in `tools`."""
        return [(index, tool["toolSpec"]) for index, tool in enumerate(self.tools) if "toolSpec" in tool]

    @property
    def choice(self) -> str | None:
        """The member of `toolConfig.toolChoice` that is set."""
        return next(iter((self.body.get("toolConfig") or {}).get("toolChoice") or ()), None)

    @property
    def system(self) -> Sequence[Members]:
        """The system blocks."""
        return self.body.get("system") or ()

    def of(self, *kinds: str) -> list[Placed]:
        """The content blocks of these kinds, outside tool results."""
        return [block for block in self.blocks if block.kind in kinds]

    def media(self) -> Iterator[tuple[Placed, str, Any]]:
        """Images, documents and videos, inside tool results too: the block at message level, the kind, the value."""
        for block in self.blocks:
            if block.kind in MEDIA:
                yield block, block.kind, block.value
            elif block.kind == "toolResult":
                yield from ((block, kind, value) for kind, value in inside(block) if kind in MEDIA)


MEDIA = ("image", "document", "video")


def inside(result: Placed) -> Iterator[tuple[str, Any]]:
    """The kinds and values of the blocks in a tool result."""
    for part in result.value.get("content") or ():
        yield from part.items()


def case_of(operation: str, model_id: str, body: Members) -> Case:
    """Lay a request out."""
    body = without_nulls(body)
    messages = body.get("messages") or ()
    turns: list[Turn] = []
    for number, message in enumerate(messages):
        placed = _placed(number, message)
        if turns and turns[-1].role == message["role"]:
            turns[-1] = Turn(turns[-1].role, turns[-1].message, [*turns[-1].blocks, *placed])
        else:
            turns.append(Turn(message["role"], number, placed))
    blocks = [block for turn in turns for block in turn.blocks]
    return Case(operation, model_id, family_of(model_id), body, messages, turns, blocks)


DOCUMENTS = frozenset({"additionalModelRequestFields", "input", "json"})
"""Members that hold any JSON, in which null is a value."""


def without_nulls(node: Any) -> Any:
    """The same JSON without its null members, which the service takes as absent; itself where it has none."""
    if isinstance(node, list):
        items = [without_nulls(item) for item in node]
        return items if any(new is not old for new, old in zip(items, node, strict=True)) else node
    if not isinstance(node, dict):
        return node
    kept = {
        name: value if name in DOCUMENTS else without_nulls(value) for name, value in node.items() if value is not None
    }
    unchanged = len(kept) == len(node) and all(kept[name] is value for name, value in node.items())
    return node if unchanged else kept


def _placed(number: int, message: Members) -> list[Placed]:
    return [
        Placed(kind, value, message["role"], number, index)
        for index, block in enumerate(message["content"])
        for kind, value in block.items()
    ]

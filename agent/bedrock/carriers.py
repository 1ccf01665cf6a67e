"""How reasoning travels through runtimes that keep only text and tool calls: in a tool-call id, or in a bounded store.

In comes the ordered sidecar of an answer (JSON-safe Converse blocks); out goes an outline of it, packed into text that fits
a tool-call id, or kept in memory under the ids of its tool calls. The outline holds reasoning in full and everything else
by reference, because text and tool calls come back by themselves. Both sides of the house share this leaf: the response
side packs and remembers, the request side unpacks and looks up. Nothing here decides what a model accepts.
"""

from __future__ import annotations

import json
import re
import threading
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from .blocks import Block, json_safe
from .forks import unlocked_after_fork
from .patterns import pattern

# Legal in an id on its own (letters, digits, "_", "-", "." and ":"), free of "|", at which one runtime cuts ids.
_MARK = ".bedrock1."
_PACKED = pattern(r"(?P<id>.*)\.bedrock1\.(?P<payload>[A-Za-z0-9_-]+)", re.DOTALL)
_MAX_UNPACKED = 4_000_000  # bytes; an id comes from outside and may be hostile

Outline = list[dict[str, Any]]


def outline_of(sidecar: Iterable[Block]) -> Outline:
    """The order of an answer's blocks: reasoning in full, text as its length, tool calls as their ids."""
    return [_outlined(block) for block in sidecar]


def _outlined(block: Block) -> dict[str, Any]:
    if "text" in block:
        return {"text": len(block["text"])}
    if "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
        return {"call": block["toolUse"]["toolUseId"]}
    return {"block": json_safe(block)}


def fill_outline(
    outline: Sequence[Mapping[str, Any]], text: str, calls: Mapping[str, deque[Block]]
) -> list[Block] | None:
    """The blocks that an outline stands for, or None where nobody can tell where `text` belongs.

    `calls` maps a tool-call id to the calls of that id; those that the outline names are taken out of it, what is left
    was added since. Text that was edited since (runtimes strip it) still belongs where the only text was.
    """
    lengths = _text_lengths(outline, len(text))
    if lengths is None:
        return None
    blocks: list[Block] = []
    begin = 0
    for entry in outline:
        if "text" in entry:
            end = begin + next(lengths)
            if end > begin:
                blocks.append({"text": text[begin:end]})
            begin = end
        elif "call" in entry:
            if calls.get(entry["call"]):
                blocks.append(calls[entry["call"]].popleft())
        elif isinstance(entry.get("block"), Mapping):
            blocks.append(dict(entry["block"]))
    return blocks


def _text_lengths(outline: Iterable[Mapping[str, Any]], length: int) -> Iterator[int] | None:
    """The length of each of the outline's texts in a text of `length` characters."""
    said = [int(entry["text"]) for entry in outline if "text" in entry]
    if sum(said) == length:
        return iter(said)
    if length == 0:
        return iter([0] * len(said))
    return iter([length]) if len(said) == 1 else None


def holds_reasoning(sidecar: Iterable[Block]) -> bool:
    """Whether there is anything in these blocks that a plain message could not bring back."""
    return any("reasoningContent" in block for block in sidecar)


def pack_call_id(call_id: str, sidecar: Sequence[Block]) -> str:
    """`call_id` with the outline of its answer behind it; the same id where there is no reasoning to carry."""
    return packed_call_id(call_id, sidecar) if holds_reasoning(sidecar) else call_id


def packed_call_id(call_id: str, sidecar: Sequence[Block]) -> str:
    """`call_id` with an outline behind it, whatever it is of."""
    text = json.dumps(outline_of(sidecar), separators=(",", ":"), ensure_ascii=False)
    packed = zlib.compress(text.encode("utf-8", "surrogatepass"), 9)
    return f"{call_id}{_MARK}{urlsafe_b64encode(packed).decode('ascii').rstrip('=')}"


def unpack_call_id(call_id: str) -> tuple[str, Outline | None]:
    """The id as the service gave it, and the outline packed behind it (None where there is none that can be read)."""
    if _MARK not in call_id:
        return call_id, None
    found = _PACKED.fullmatch(call_id)
    if found is None:
        return call_id, None
    return found["id"], _unpacked(found["payload"])


def _unpacked(payload: str) -> Outline | None:
    try:
        packed = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, _MAX_UNPACKED)
        outline = json.loads(data.decode("utf-8", "surrogatepass")) if unpacker.eof else None
    except (ValueError, zlib.error):
        return None
    return readable_outline(outline)


def readable_outline(found: Any) -> Outline | None:
    """`found` where it is an outline as `outline_of` makes them, else None: a carrier comes from outside."""
    if not isinstance(found, (list, tuple)):
        return None
    readable = all(isinstance(entry, Mapping) and _is_entry(entry) for entry in found)
    return [dict(entry) for entry in found] if readable else None


def _is_entry(entry: Mapping[str, Any]) -> bool:
    if "text" in entry:
        return type(entry["text"]) is int and entry["text"] >= 0
    if "call" in entry:
        return isinstance(entry["call"], str)
    return isinstance(entry.get("block"), Mapping)


class ReasoningStore:
    """Outlines of recent answers by tool-call id, name and arguments; thread-safe, bounded in bytes, oldest out first.

    An id alone would not do: some models number their calls anew in every answer.
    """

    def __init__(self, max_bytes: int = 16_000_000) -> None:
        self.max_bytes = max_bytes
        self.unlock()
        unlocked_after_fork(self)
        self._outlines: OrderedDict[bytes, tuple[str, bytes]] = OrderedDict()
        self._ids: Counter[str] = Counter()  # to know at once that an id was never met
        self._size = 0
        self.cleared = 0
        """How often it was emptied: what was found before that is not known any more."""

    def unlock(self) -> None:
        """Start with a lock that nobody holds."""
        self._lock = threading.Lock()

    def remember(self, message: Mapping[str, Any]) -> None:
        """Keep the reasoning of an assistant message (OpenAI shape with `bedrock_content_blocks`)."""
        sidecar = message.get("bedrock_content_blocks") or ()
        calls = message.get("tool_calls") or ()
        if not calls or not holds_reasoning(sidecar):
            return
        payload = zlib.compress(json.dumps(outline_of(sidecar)).encode("ascii"), 1)
        with self._lock:
            for call in calls:
                function = call["function"]
                self._put(call["id"], _key(call["id"], function["name"], function["arguments"]), payload)

    def look_up(self, call_id: str, name: str, arguments: str) -> Outline | None:
        """The outline of the answer in which this call was made, or None."""
        if call_id not in self._ids:
            return None
        key = _key(call_id, name, arguments)
        with self._lock:
            found = self._outlines.get(key)
            if found is None:
                return None
            self._outlines.move_to_end(key)
        outline: Outline = json.loads(zlib.decompress(found[1]))
        return outline

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._outlines.clear()
            self._ids.clear()
            self._size = 0
            self.cleared += 1

    @property
    def size(self) -> int:
        """Bytes held, keys included."""
        return self._size

    def _put(self, call_id: str, key: bytes, payload: bytes) -> None:
        if key in self._outlines:
            self._drop(key)
        self._outlines[key] = (call_id, payload)
        self._ids[call_id] += 1
        self._size += len(key) + len(call_id) + len(payload)
        while self._size > self.max_bytes and self._outlines:
            self._drop(next(iter(self._outlines)))

    def _drop(self, key: bytes) -> None:
        call_id, payload = self._outlines.pop(key)
        self._size -= len(key) + len(call_id) + len(payload)
        self._ids[call_id] -= 1
        if not self._ids[call_id]:
            del self._ids[call_id]


REMEMBERED = ReasoningStore()
"""What this process's answers reasoned, for loops that keep text and calls only and have no other place for it."""


def _key(call_id: str, name: str, arguments: str) -> bytes:
    text = "\0".join((call_id, name, _canonical(arguments)))
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _canonical(arguments: str) -> str:
    """Arguments as a runtime that parsed and wrote them again would leave them the same."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments

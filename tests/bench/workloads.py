"""The workloads: what is asked, what the server answers to it, how many units a run has, and what must be reached.

Targets are the ratio to bare boto3 in the same round, first with the standard library, then with orjson installed.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .replies import SCRIPTS, TOOL, prompt

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in OpenAI's form."""

    messages: list[Message]
    tools: list[dict[str, Any]]

    def longer(self) -> Conversation:
        """The same and one turn more, as an agent sends it next: a call of a tool with its result, then the question."""
        *before, question = self.messages
        return Conversation([*before, *_exchange(len(before), 2000), question], self.tools)


def _tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": f"To {name}.", "parameters": schema}}


TOOLS = [
    _tool("read_file", path="The file to read."),
    _tool(TOOL, path="The file to write.", content="What to write."),
    _tool("run", command="The command to run.", folder="Where to run it."),
    _tool("search", pattern="What to look for.", folder="Where to look."),
]

_SYSTEM = {"role": "system", "content": "You are a careful engineer. " * 20}


def short(reply: str) -> Conversation:
    """A system prompt, four tools and a question."""
    return Conversation([_SYSTEM, {"role": "user", "content": prompt(reply)}], TOOLS)


def history(turns: int, number: int = 0, size: int = 2000, reply: str = "short") -> Conversation:
    """So many calls of a tool with their results, `size` characters each; every `number` is another conversation."""
    messages: list[Message] = [_SYSTEM, {"role": "user", "content": "Please mend the tests."}]
    for turn in range(turns):
        messages += _exchange(turn + 1_000_000 * number, size)
    return Conversation([*messages, {"role": "user", "content": prompt(reply)}], TOOLS)


def _exchange(number: int, size: int) -> list[Message]:
    call_id = f"tooluse_{number:022}"
    arguments = json.dumps({"path": f"src/module_{number}.py"})
    call = {"id": call_id, "type": "function", "function": {"name": "read_file", "arguments": arguments}}
    line = f'line {number}: print("grüße, {number}")\n'
    return [
        {"role": "assistant", "content": f"I will read module {number}.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": (line * (size // len(line) + 1))[:size]},
    ]


def images(count: int, size: int, number: int = 0, reply: str = "short") -> Conversation:
    """So many images of so many bytes, as data URLs, and a question; every `number` has other images."""
    noise = random.Random(number)
    parts: list[Message] = []
    for _ in range(count):
        data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + noise.randbytes(size - 8)).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
    shown = [{"role": "user", "content": parts}, {"role": "assistant", "content": "I see them."}]
    return Conversation([_SYSTEM, *shown, {"role": "user", "content": prompt(reply)}], TOOLS)


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure the CPU time of, in the client's process only.

    `units` is how many of its unit one run has, `repeat` how many runs make a sample, `crowd` how many run at once
    (0: one after the other). `next` says what a run has to do with the one before: "same" conversation, "longer" by a
    turn, or "another".
    """

    name: str
    title: str
    conversation: Callable[[int], Conversation]
    reply: str
    unit: str
    units: int = 1
    repeat: int = 1
    streamed: bool = True
    crowd: int = 0
    next: str = "same"
    tls: bool = False
    peers: bool = True
    targets: tuple[float, float] | None = None


def _deltas(name: str, title: str, reply: str, repeat: int, targets: tuple[float, float]) -> Workload:
    script = SCRIPTS[reply]
    units = max(len(script.text), len(script.reasoning), len(script.arguments))
    return Workload(name, title, lambda _: short(reply), reply, "delta", units, repeat, targets=targets)


def _crowd(name: str, title: str, reply: str, count: int, **more: Any) -> Workload:
    return Workload(name, title, lambda _: short(reply), reply, "stream", count, crowd=count, **more)


WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("turn", "short turn", lambda _: short("short"), "short", "request", repeat=60, streamed=False, targets=(0.85, 0.85)),
        _deltas("text", "1 000 text deltas", "text-1000", 4, (0.30, 0.27)),
        _deltas("reasoning", "500 reasoning deltas", "reasoning-500", 6, (0.30, 0.28)),
        _deltas("arguments", "2 000 tool-argument deltas", "arguments-2000", 2, (0.32, 0.30)),
        Workload("stream", "short stream of 20 deltas", lambda _: short("text-20"), "text-20", "stream", repeat=40, targets=(0.65, 0.62)),
        Workload("history", "1 MB history of 500 tool turns, the next turn", lambda number: history(500, number), "short", "request",
                 repeat=4, streamed=False, next="longer", targets=(0.55, 0.25)),
        Workload("history-anew", "… a history that was never sent before", lambda number: history(500, number), "short", "request",
                 repeat=4, streamed=False, next="another", peers=False),
        Workload("images", "20 images of 500 kB, the next turn", lambda number: images(20, 500_000, number), "short", "request",
                 repeat=2, streamed=False, next="longer", targets=(0.95, 0.25)),
        Workload("images-anew", "… images that were never sent before", lambda number: images(20, 500_000, number), "short",
                 "request", repeat=2, streamed=False, next="another", peers=False),
        _crowd("crowd-50", "50 streams at once, 100 deltas/s each", "paced-50", 50, targets=(0.65, 0.60)),
        _crowd("crowd-50-brisk", "50 streams at once, 500 deltas/s each", "brisk-250", 50, peers=False, targets=(0.65, 0.60)),
        _crowd("crowd-50-tls", "… over TLS", "paced-50", 50, tls=True, peers=False),
        _crowd("crowd-500", "500 streams at once, 20 deltas/s each", "slow-20", 500, peers=False),
    )
}  # fmt: skip

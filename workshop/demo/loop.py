"""The agent loop: a conversation and tools go in, the last answer comes out. Everything else is for showing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workshop.demo.tools import SPECIFICATIONS, run_tool

if TYPE_CHECKING:
    from agent.bedrock import Bedrock

MOST_TURNS = 20

Show = Callable[[str], Any]


@dataclass(slots=True)
class Watcher:
    """What the loop tells while it runs; each is a function that shows something."""

    text: Show
    reasoning: Show
    tool_call: Callable[[str, str], Any]
    tool_result: Show
    turn_ended: Callable[[], Any]


@dataclass(slots=True)
class Tally:
    """What a run has cost; seconds, None until the first token has come."""

    started: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    turns: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    stop_reason: str | None = None

    def token(self) -> None:
        """Note the moment of the first token."""
        if self.first_token is None:
            self.first_token = time.perf_counter() - self.started

    def add(self, completion: Any) -> None:
        """Count a turn."""
        self.turns += 1
        self.prompt_tokens += completion.usage.prompt_tokens
        self.completion_tokens += completion.usage.completion_tokens
        self.stop_reason = completion.bedrock.stop_reason


def run(bedrock: Bedrock, model: str, messages: list[Any], watcher: Watcher) -> Tally:
    """Let the model work on the conversation until it asks for no more tools; `messages` grows by what is said."""
    tally = Tally()

    def noted(show: Show) -> Show:
        def on_delta(text: str) -> None:
            tally.token()
            show(text)

        return on_delta

    for _ in range(MOST_TURNS):
        stream = bedrock.stream(
            model,
            messages,
            SPECIFICATIONS,
            on_text_delta=noted(watcher.text),
            on_reasoning_delta=noted(watcher.reasoning),
            on_tool_start=lambda _name: tally.token(),
        )
        completion = stream.completion()
        message = completion.choices[0].message
        messages.append(message)
        tally.add(completion)
        watcher.turn_ended()
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            watcher.tool_call(call.function.name, call.function.arguments)
            result = run_tool(call.function.name, call.function.arguments)
            watcher.tool_result(result)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return tally

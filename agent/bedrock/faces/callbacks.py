"""Callbacks of a streamed answer: what a caller may hang on which event.

In comes a set of optional functions, out goes a table from event type to listener that the road consults once per event.
Exceptions of a callback reach the caller, except those of `on_event`, which is a sign of life and may never end a stream.
A listener returns what its callback returned, which the async face awaits where there is something to await.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..chat import Listener, Watch
from ..response.events import ReasoningDelta, StreamRestarted, TextDelta, ToolArgumentsDelta, ToolCallStart
from ..values import frozen

logger = logging.getLogger(__name__)


@frozen
class Callbacks:
    """The functions that a caller may give.

    `on_text_delta(text)`, `on_reasoning_delta(text)`, `on_tool_start(name)`, `on_tool_arguments_delta(block, text)`;
    `on_event()` fires for every raw event; `on_interrupt_check()` ends the stream when it returns true. That one is
    asked between events, and every 20 ms of silence by a watchdog thread, so it must be thread-safe.
    `on_restart(attempt, reason)` says that all that was told so far is void (only with `resume="restart"`).
    With `text_after_tools=False` text stops reaching `on_text_delta` once a tool call has begun (the drop-in's habit).
    """

    on_text_delta: Callable[[str], Any] | None = None
    on_tool_start: Callable[[str], Any] | None = None
    on_tool_arguments_delta: Callable[[int, str], Any] | None = None
    on_reasoning_delta: Callable[[str], Any] | None = None
    on_event: Callable[[], Any] | None = None
    on_interrupt_check: Callable[[], Any] | None = None
    on_restart: Callable[[int, str], Any] | None = None
    text_after_tools: bool = True

    def watch(self) -> Watch:
        """These callbacks as the road consults them, fresh for each stream."""
        alive = None if self.on_event is None else _harmless(self.on_event)
        return Watch(self._listeners(), sign_of_life=alive, interrupt_check=self.on_interrupt_check)

    def _listeners(self) -> dict[type[Any], Listener]:
        table: dict[type[Any], Listener] = {}
        if self.on_text_delta is not None:
            table[TextDelta] = _tell_text(self.on_text_delta)
        if self.on_reasoning_delta is not None:
            table[ReasoningDelta] = _tell_text(self.on_reasoning_delta)
        if self.on_tool_arguments_delta is not None:
            table[ToolArgumentsDelta] = _tell_arguments(self.on_tool_arguments_delta)
        if self.on_tool_start is not None:
            table[ToolCallStart] = _tell_tool(self.on_tool_start)
        if self.on_restart is not None:
            table[StreamRestarted] = _tell_restart(self.on_restart)
        return table if self.text_after_tools else _silence_text_after_tools(table)


def _tell_text(callback: Callable[[str], Any]) -> Listener:
    def listen(event: TextDelta | ReasoningDelta) -> Any:
        return callback(event.text) if event.text else None

    return listen


def _tell_arguments(callback: Callable[[int, str], Any]) -> Listener:
    def listen(event: ToolArgumentsDelta) -> Any:
        return callback(event.block, event.text)

    return listen


def _tell_tool(callback: Callable[[str], Any]) -> Listener:
    def listen(event: ToolCallStart) -> Any:
        return None if event.runs_on_server else callback(event.name)

    return listen


def _tell_restart(callback: Callable[[int, str], Any]) -> Listener:
    def listen(event: StreamRestarted) -> Any:
        return callback(event.attempt, event.reason)

    return listen


def _silence_text_after_tools(table: Mapping[type[Any], Listener]) -> dict[type[Any], Listener]:
    shown = dict(table)
    tell_tool = shown.get(ToolCallStart)

    def listen(event: ToolCallStart) -> Any:
        shown.pop(TextDelta, None)
        return None if tell_tool is None else tell_tool(event)

    shown[ToolCallStart] = listen
    return shown


def _harmless(on_event: Callable[[], Any]) -> Callable[[], None]:
    def sign() -> None:
        try:
            on_event()
        except Exception as error:  # noqa: BLE001 - a sign of life may never end a stream
            logger.debug("error=%s | on_event raised; the stream goes on", type(error).__name__)

    return sign

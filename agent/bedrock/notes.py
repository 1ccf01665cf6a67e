"""What the builder knows and the answer has to say: notes that travel with a call.

A loop that builds kwargs, calls the client itself and hands over only the answer (Hermes does) would lose the callers'
tool names, the model and the repairs on the way. So the notes ride on the list of messages into the guarded client, and
on the answer's ResponseMetadata out of it. Where a client is a mock and passes nothing on, a bounded process-wide memory
of aliases still gives the tool names back, which is enough because an alias depends on its name alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from .values import field, frozen, mutable

NOTES_KEY = "BedrockAdapter"


@frozen
class AnswerForm:
    """How a structured answer was asked for: `mode` is native, tool or instruction; `schema` None for any JSON object.

    In mode "tool" the answer is the input of `tool_name`; `wrapped` says that it stands there under the key "value".
    """

    mode: str
    schema: Mapping[str, Any] | None = None
    tool_name: str = ""
    wrapped: bool = False


@mutable
class CallRecord:
    """What happened to a call on its way; the guarded client writes it, also while a stream is read.

    `attempts` counts the requests sent, `uncounted` those of them that the service had begun to answer and that were made
    again: they are on the bill, and what they cost was never said. `learned` says what was taken back because the model
    refuses it, and `fallback` who answered in whose place and why; both are JSON data. `in_words` is set where a native
    schema was taken back, and the model told of it.
    """

    attempts: int = 0
    uncounted: int = 0
    learned: list[dict[str, Any]] = field(default_factory=list)
    fallback: dict[str, Any] | None = None
    in_words: bool = False


@frozen
class CallNotes:
    """What is known of a call beside its answer; `repairs` are JSON data, `tool_names` alias -> name.

    `options` (of `aws.options`) are for the guarded client, `record` is what it gives back. `reasoning_store` (of
    `carriers`) is where the answer's reasoning is kept for loops that send back text and calls only.
    """

    model: str = ""
    tool_names: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Mapping[str, Any], ...] = ()
    answer_form: AnswerForm | None = None
    options: Any = None
    record: CallRecord | None = field(default=None, compare=False)
    reasoning_store: Any = field(default=None, compare=False)

    @property
    def attempts(self) -> int:
        """How many requests were sent, as far as is known."""
        return self.record.attempts if self.record is not None and self.record.attempts else 1


NO_NOTES = CallNotes()


class NotedTurns(list[Any]):
    """Converse's `messages`, a list in every respect, that carries the notes of its builder."""

    notes: CallNotes = NO_NOTES


def noted(turns: Iterable[Any], notes: CallNotes) -> NotedTurns:
    """The turns with the notes riding on them."""
    carrier = NotedTurns(turns)
    carrier.notes = notes
    return carrier


def notes_of_request(kwargs: Mapping[str, Any]) -> CallNotes:
    """The notes that ride on the `messages` of Converse kwargs, empty ones where there are none."""
    return getattr(kwargs.get("messages"), "notes", NO_NOTES)


def notes_of_answer(answer: Any, default: CallNotes = NO_NOTES) -> CallNotes:
    """The notes that a guarded client put on its answer, else `default`."""
    metadata = answer.get("ResponseMetadata") if isinstance(answer, Mapping) else None
    notes = metadata.get(NOTES_KEY) if isinstance(metadata, Mapping) else None
    return notes if isinstance(notes, CallNotes) else default


class AliasMemory:
    """Alias -> the caller's tool name, for the whole process; bounded in characters, the oldest go first. Guarded by its lock."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self._limit = limit
        self._size = 0
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def remember(self, tool_names: Mapping[str, str]) -> None:
        """Keep the names, youngest last."""
        if not tool_names:
            return
        with self._lock:
            for alias, name in tool_names.items():
                self._drop(alias)
                self._names[alias] = name
                self._size += len(alias) + len(name)
            while self._size > self._limit and self._names:
                self._drop(next(iter(self._names)))

    def _drop(self, alias: str) -> None:
        name = self._names.pop(alias, None)
        if name is not None:
            self._size -= len(alias) + len(name)

    def get(self, alias: str, default: str) -> str:
        """The caller's name behind the alias, or `default`."""
        return self._names.get(alias, default)

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self._names.clear()
            self._size = 0


ALIASES = AliasMemory()
"""What this process remembers of the names that requests of the drop-in gave to tools."""

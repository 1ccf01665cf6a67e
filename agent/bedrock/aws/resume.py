"""The stream that a guarded client hands out: one answer, whatever it takes to get it.

In comes an opened stream and a way to open it again; out goes an EventStream of botocore's kind. As long as nothing was
shown, a stream that fails is replaced by a new one and nobody notices; messageStart is held back until something follows,
because so many fail right after it. Once something was shown, nothing is ever told twice: the failure is raised, or,
where the caller chose so, the turn begins again after a `streamRestarted` event, or goes on after `streamResumed`.

A stream that ends before messageStop raises. Iterating belongs to one thread at a time; `close()` may come from any, also
while a stream is being opened again or waited for.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import TYPE_CHECKING, Any

from ..errors import CallInterruptedError, Failure, TruncatedResponseError, classify
from ..notes import noted, notes_of_request
from ..values import changed
from .explain import explain, explained
from .journey import STREAM, Answer, Call, Send
from .remedies import empty_stale_pool, persist, remedied, tell_attempts
from .retries import try_again
from .stream import take_away_rest

if TYPE_CHECKING:
    from botocore.eventstream import EventStream

logger = logging.getLogger(__name__)

Event = dict[str, Any]


def hold_stream(call: Call, send: Send) -> Answer:
    """Hand out a stream that heals itself while it can."""
    answer = persist(call, send)
    stream = answer.get("stream")
    if not hasattr(stream, "close"):
        return answer  # made by hand, by botocore's Stubber: there is nothing to open again
    build: Any = held_stream_class()
    held = build(stream, call, functools.partial(persist, send=send))
    options = call.journey.options
    if options.deadline is not None or options.interrupt_check is not None:
        held.watch(deadline=call.journey.deadline, on_interrupt_check=options.interrupt_check)
    return {**answer, "stream": held}


class HeldStream:
    """One answer as events, over as many streams as it takes; mixed into botocore's EventStream."""

    def __init__(self, stream: Any, call: Call, open_again: Callable[[Call], Answer]) -> None:
        self._stream = self._proof = stream
        self._source: Any = None
        """What batches of the stream of now are read from, once they are."""
        self._batch: Iterator[Event] = iter(())
        self._call = call
        self._journey = journey = call.journey
        self._open_again = open_again
        self._begun = False
        """Whether the stream of now has told anything, be it only that the message begins."""
        self._shown = False
        self._hands_on = False
        """Whether batches go on as they come, from a stream that takes away itself what `close()` finds of them."""
        self._ended = False
        self._marks: list[Event] = []
        self._told: _Told | None = _Told() if journey.options.resume == "continue" else None
        self._continues = 0
        self._watching: dict[str, Any] = {}
        self._changing = threading.RLock()  # a signal's handler may close the stream while its thread holds this

    @property
    def request_id(self) -> str | None:
        """AWS's id of the request that is being answered now."""
        return getattr(self._stream, "request_id", None)

    @property
    def callers_own(self) -> Exception | None:
        """What the caller's interrupt check raised, which is no fault of the stream."""
        return self._journey.callers_own

    @property
    def message_stopped(self) -> bool:
        """Whether messageStop was there."""
        return bool(getattr(self._proof, "message_stopped", False))

    @property
    def _raw_stream(self) -> Any:
        return getattr(self._stream, "_raw_stream", None)

    def watch(self, *, on_interrupt_check: Callable[[], Any] | None = None, **said: Any) -> None:
        """Limit the waiting of this stream and of those that take its place; see `stream.FastStream.watch`."""
        if on_interrupt_check is not None:
            self._journey.onlooker = on_interrupt_check
            said["on_interrupt_check"] = functools.partial(self._journey.ask, on_interrupt_check)
        self._watching.update({name: value for name, value in said.items() if value is not None})
        self._watch_present_stream()

    def _watch_present_stream(self) -> None:
        watch = getattr(self._stream, "watch", None)
        if watch is not None and self._watching:
            watch(**self._watching)

    def get_initial_response(self) -> Any:
        """The first message, if it is an initial-response (which Bedrock does not send)."""
        return self._stream.get_initial_response()

    def close(self) -> None:
        """End the stream now, from whichever thread, also one that is being opened again."""
        with self._changing:
            if self._ended:
                return
            self._journey.close()
            stream = self._stream
        stream.close()
        take_away_rest(self._batch)

    def __iter__(self) -> Iterator[Event]:
        """The events as botocore gives them; leaving the loop early closes the stream."""
        try:
            while (batch := self.next_batch()) is not None:
                yield from batch
        finally:
            if not self._ended:
                self.close()

    def next_batch(self) -> Iterator[Event] | None:
        """The events that have come since the last batch, waited for if there are none; None at the end.

        One that another loop has left in the middle comes again, from there on; what `close()` finds, it takes away.
        """
        while not self._ended:
            try:
                batch: Iterator[Event] | None = self._source.next_batch() if self._hands_on else self._prepared()
                if batch is None:
                    self._end()
            except Exception as error:
                if not self._replaced(error):
                    raise
            else:
                self._batch = batch or self._batch
                return batch
        return None

    # --- reading --------------------------------------------------------------------------------------------------

    def _prepared(self) -> Iterator[Event] | None:
        if length_hint(self._batch):
            return self._batch
        if not self._shown:
            return self._opening()
        self._hands_on = self._told is None and self._source is self._stream
        return self._read()

    def _end(self) -> None:
        if not self.message_stopped and not self._closed():
            raise self._truncated()
        self._ended = True

    def _read(self) -> Iterator[Event] | None:
        if self._source is None:
            self._find_source()
        batch: Iterable[Event] | None = self._source.next_batch()
        if batch is None:
            return None
        if self._told is not None:
            batch = self._told.noted(self._told.continued(batch) if self._continues else batch)
        return self._handed_out(batch)

    def _handed_out(self, events: Iterable[Event]) -> Iterator[Event]:
        """A batch of which `close()` takes away what was not delivered, also if it came just before."""
        self._batch = batch = iter(events)
        if self._closed():
            take_away_rest(batch)
        return batch

    def _find_source(self) -> None:
        stream = self._stream
        has_batches = hasattr(type(stream), "next_batch")  # the type's: a mock has every attribute
        self._source = stream if has_batches else _OneByOne(stream)
        self._proof = stream if hasattr(stream, "message_stopped") else self._source

    def _opening(self) -> Iterator[Event]:
        """What shows that a stream works: messageStart together with what follows it."""
        held = list(self._marks)
        while (batch := self._read()) is not None:
            for event in batch:
                self._begun = True
                held.append(event)
            if any("messageStart" not in event for event in held[len(self._marks) :]):
                self._marks = []
                self._shown = True
                return self._handed_out(held)
        raise self._truncated()

    def _closed(self) -> bool:
        return self._journey.closed

    def _truncated(self) -> Exception:
        if self._closed():
            return CallInterruptedError("the stream was closed before its end")
        return TruncatedResponseError("the stream ended before messageStop", request_id=self.request_id)

    # --- replacing ------------------------------------------------------------------------------------------------

    def _replaced(self, error: Exception) -> bool:
        """Whether another stream stands in for the one that failed."""
        profile = self._journey.protection.profile
        if error is self._journey.callers_own:
            return False
        explain(error, profile)
        if self._closed() or isinstance(error, CallInterruptedError):
            return False
        shown = self._shown
        call = self._next_call(error)
        if call is None:
            tell_attempts(error, self._journey)
            return False
        try:
            with self._journey.again(), explained(profile):
                answer = self._open_again(call)
        except CallInterruptedError:
            raise
        except Exception as refused:
            if shown:
                raise error from refused  # that it could not be made up for is not what went wrong
            raise
        self._take(answer["stream"])
        return True

    def _next_call(self, error: Exception) -> Call | None:
        call = self._call.as_answered
        if not self._shown:
            return remedied(call, error)
        failure = classify(error)
        empty_stale_pool(call, failure)
        return None if self.message_stopped else self._resumed(call, error, failure)

    def _take(self, stream: Any) -> None:
        self._journey.record.uncounted += self._begun
        self._begun = False
        with self._changing:
            if not self._closed():
                self._stream, stream = stream, self._stream
                self._source = None
        stream.close()  # the one that failed, which botocore's own would leave open, or the one that came too late
        if self._closed():
            raise CallInterruptedError("the stream was closed before its end")
        self._watch_present_stream()

    def _resumed(self, call: Call, error: Exception, failure: Failure) -> Call | None:
        """The call that makes up for a stream that broke off after output began, if the caller wants one."""
        prepare = _RESUMES.get(self._journey.options.resume or "")
        prepared = prepare(self, call) if prepare is not None else None
        if prepared is None or try_again(call, error, failure) is None:
            return None
        how, again = prepared
        self._shown = self._hands_on = False
        self._marks = [{how: {"attempt": self._journey.record.attempts + 1, "reason": failure.kind}}]
        logger.warning("model=%s kind=%s | %s after output began", call.model, failure.kind, how)
        return again

    def _restart(self, call: Call) -> tuple[str, Call] | None:
        return "streamRestarted", call

    def _continue(self, call: Call) -> tuple[str, Call] | None:
        """The call with what was told as the beginning of the answer; None where that cannot be taken up."""
        told = self._told
        text = told.text() if told is not None and self._journey.options.prefill else ""
        if told is None or not text.strip() or call.operation != STREAM:
            return None
        turns = call.parameters["messages"]
        begun = turns[:-1] if self._continues else turns
        if begun[-1]["role"] == "assistant":
            return None  # the caller's own prefill
        self._continues += 1
        self._journey.fallbacks.clear()  # nobody else can go on with what this model began
        told.broken_off()
        turn = {"role": "assistant", "content": [{"text": text.rstrip()}]}
        messages = noted([*begun, turn], notes_of_request(call.parameters))
        return "streamResumed", changed(call, parameters={**call.parameters, "messages": messages})


_RESUMES: dict[str, Callable[[HeldStream, Call], tuple[str, Call] | None]] = {
    "restart": HeldStream._restart,  # noqa: SLF001 - a table of its own methods
    "continue": HeldStream._continue,  # noqa: SLF001
}


class _OneByOne:
    """A stream that has no batches, and cannot say itself whether messageStop was there (botocore's own)."""

    def __init__(self, stream: Iterable[Event]) -> None:
        self._events = iter(stream)
        self.message_stopped = False

    def next_batch(self) -> Iterator[Event] | None:
        """The next event; None at the end."""
        for event in self._events:
            if "messageStop" in event:
                self.message_stopped = True
            return iter((event,))
        return None


class _Told:
    """What was told so far of an answer that may have to be continued: text only, or else it cannot be."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._only_text = True
        self._block = 0
        self._next_block = 0
        self._blank = ""

    def text(self) -> str:
        """All text, or "" where there was more than that."""
        return "".join(self._pieces) if self._only_text else ""

    def noted(self, events: Iterable[Event]) -> list[Event]:
        """The events, of which note is taken before they are told."""
        told = list(events)
        for event in told:
            delta = (event.get("contentBlockDelta") or {}).get("delta")
            if delta is not None:
                self._note(event["contentBlockDelta"], delta)
            elif "contentBlockStart" in event:
                self._only_text = False
        return told

    def _note(self, event: Event, delta: Event) -> None:
        self._block = event.get("contentBlockIndex", self._block)
        if "text" in delta:
            self._pieces.append(delta["text"])
        else:
            self._only_text = False

    def broken_off(self) -> None:
        """The stream broke off here: what comes next belongs to the block that was open."""
        text = self.text()
        self._blank = text[len(text.rstrip()) :]
        self._next_block = self._block

    def continued(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events of the continuation, as those of one answer.

        The message has begun already, the blocks count on, and blanks that were told at the break are not told again.
        """
        shift = self._next_block
        for event in events:
            if "messageStart" in event:
                continue
            [(name, payload)] = event.items()
            index = payload.get("contentBlockIndex") if isinstance(payload, dict) else None
            if not isinstance(index, int):
                yield event  # one that tells of no block, or that nobody knows
                continue
            moved = {**payload, "contentBlockIndex": index + shift}
            delta = payload.get("delta") if name == "contentBlockDelta" else None
            if self._blank and delta and isinstance(delta.get("text"), str):
                self._blank, moved["delta"] = _without_blank(self._blank, delta)
            yield {name: moved}


def _without_blank(blank: str, delta: Event) -> tuple[str, Event]:
    """What is left of the blanks to leave out, and the delta without those it begins with."""
    text = delta["text"]
    common = next((n for n, (a, b) in enumerate(zip(blank, text, strict=False)) if a != b), min(len(blank), len(text)))
    left = blank[common:] if common == len(text) else ""
    return left, {**delta, "text": text[common:]}


@functools.cache
def held_stream_class() -> type[EventStream[Any]]:
    """`HeldStream` as a subclass of botocore's EventStream."""
    from botocore.eventstream import EventStream

    return type("GuardedEventStream", (HeldStream, EventStream), {"__module__": __name__})

"""The one road: a request that was built, a client that was found -> an answer that is proven complete.

Every face goes this way, whole or streamed. In come answers of boto3's two methods (from a guarded client, a plain one
or a mock); out come events and an OpenAI-shaped completion. How a call ends is decided here once:

    complete            the completion
    interrupted         the completion of what came, with `bedrock.interrupted` True
    anything else       an exception that carries the completion of what came as `.partial`
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from .errors import (
    NOT_ITS_FORM,
    BedrockError,
    CallInterruptedError,
    CorruptStreamError,
    MalformedOutputError,
    StreamFaultError,
    TruncatedResponseError,
    annotate,
    answer_of_another_form,
    classify,
    was_raised_in,
)
from .notes import NO_NOTES, CallNotes, notes_of_answer
from .response.accumulator import Accumulator
from .response.completion import MALFORMED_STOP_REASONS, Completion
from .response.decoder import Decoder
from .values import changed, field, frozen

if TYPE_CHECKING:
    from types import TracebackType

    from .response.events import Event, StreamFault
    from .response.structured import StructuredDecoder

logger = logging.getLogger(__name__)

Listener = Callable[[Any], None]
Decode = Callable[[Any], Iterable[Any]]


@frozen
class Watch:
    """Who looks on while a stream is read: listeners by event type, a sign of life per raw event, an interrupt check."""

    listeners: Mapping[type[Any], Listener] = field(default_factory=dict)
    sign_of_life: Callable[[], Any] | None = None
    interrupt_check: Callable[[], Any] | None = None


UNWATCHED = Watch()


def complete(answer: Mapping[str, Any], notes: CallNotes = NO_NOTES, *, tool_names: Any = None) -> Completion:
    """The completion of a whole answer of `converse`; raises where the answer is not complete."""
    notes = notes_of_answer(answer, notes)
    accumulator = _accumulator(answer, notes)
    completion = _folded(answer, _decoder(notes, tool_names), accumulator)
    try:
        if not answer.get("output"):
            raise _truncated(accumulator, "the answer has no output")
        _prove_complete(accumulator)
    except BedrockError as error:
        raise attach_partial(error, accumulator) from None
    return _final(completion, notes)


@contextlib.contextmanager
def telling_what_came(notes: CallNotes) -> Iterator[None]:
    """Have the refusal of a whole answer that is not complete carry what there is of it as `.partial`."""
    try:
        yield
    except TruncatedResponseError as refusal:
        if refusal.answer and refusal.partial is None:
            with contextlib.suppress(CorruptStreamError):  # of what cannot be folded there is nothing to show
                refusal.partial = _partial(refusal.answer, notes)
        raise


def _partial(answer: Mapping[str, Any], notes: CallNotes) -> Completion | None:
    accumulator = _accumulator(answer, notes_of_answer(answer, notes))
    completion = _folded(answer, _decoder(notes, None), accumulator)
    return completion if accumulator.began else None


def _folded(answer: Mapping[str, Any], decode: Decoder | StructuredDecoder, accumulator: Accumulator) -> Completion:
    """What a whole answer tells; raises where its JSON has a number for a text, or nothing for a block."""
    try:
        for event in decode.whole(answer):
            accumulator.feed(event)
        return accumulator.completion()
    except NOT_ITS_FORM as error:
        raise answer_of_another_form(accumulator.request_id) from error


_FOLDING = tuple(f"{__package__}.response.{module}" for module in ("decoder", "structured", "accumulator"))


class ChatStream:
    """One streamed answer: an iterator of events, a context manager, and the completion that they fold into.

    Iterating and `completion()` belong to one thread; `close()` may come from any. A closed or interrupted stream ends
    quietly and its completion says `bedrock.interrupted`; any other end before the proof of completeness raises. A
    stream that is dropped closes its connection.
    """

    def __init__(
        self, answer: Any, notes: CallNotes = NO_NOTES, *, watch: Watch = UNWATCHED, tool_names: Any = None
    ) -> None:
        self._raw: Iterable[Any] = answer.get("stream", ()) if isinstance(answer, Mapping) else answer
        self._notes = notes_of_answer(answer, notes)
        self._accumulator = _accumulator(answer, self._notes)
        self._interrupted = threading.Event()
        _ask_while_silent(self._raw, watch)
        decode = _decoder(self._notes, tool_names)
        self._events = _events(self._raw, decode, self._accumulator, watch, self._interrupted)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def request_id(self) -> str | None:
        """The AWS request id of the call."""
        return self._accumulator.request_id

    def follow(self, through: Callable[[Iterator[Event], Accumulator], Iterator[Event]]) -> Self:
        """Let `through` stand between the pump and the reader: it hands every event on, and sees how they end.

        What it gives may have a `left()`, to be told when the stream is closed: the reader may never ask again.
        """
        self._events = through(self._events, self._accumulator)
        return self

    def close(self) -> None:
        """End the stream now, from whichever thread; harmless once the answer is complete."""
        if not self._accumulator.complete:
            self._interrupted.set()
        _close(self._raw)
        left = getattr(self._events, "left", None)
        if left is not None:
            left()

    def completion(self) -> Completion:
        """The completion of the whole answer; what is left of the stream is read first."""
        for _ in self._events:
            pass
        interrupted = self._interrupted.is_set()
        try:
            completion = self._accumulator.completion(interrupted=interrupted)
        except NOT_ITS_FORM as error:
            raise answer_of_another_form(self.request_id) from error
        return completion if interrupted else _final(completion, self._notes)

    def partial(self) -> Completion:
        """The completion of what has come so far, whatever the state of the stream; any thread may ask."""
        return self._accumulator.completion(interrupted=not self._accumulator.complete)

    def attach_partial(self, error: Exception) -> Exception:
        """The error with what has come so far as `.partial`, and with the request id."""
        return attach_partial(error, self._accumulator)


def _events(
    raw: Iterable[Any], decode: Decode, accumulator: Accumulator, watch: Watch, interrupted: threading.Event
) -> Iterator[Event]:
    """The pump. It knows nothing of the `ChatStream`, so that a dropped stream is collected, and closed, at once."""
    alive, check = watch.sign_of_life, watch.interrupt_check
    feed, listener_of = accumulator.feed, watch.listeners.get
    source = _in_batches(raw, interrupted)
    next_batch, ran_to_end = source.next_batch, False
    try:
        while (batch := _until_closed(next_batch, raw, accumulator, interrupted)) is not None:
            for raw_event in batch:
                if alive is not None:
                    alive()
                if check is not None and check():
                    interrupted.set()
                    return
                for event in decode(raw_event):
                    feed(event)
                    listener = listener_of(type(event))
                    if listener is not None:
                        listener(event)
                    yield event
                    if accumulator.fault is not None:
                        raise _stream_fault(accumulator.fault, accumulator)
        if not interrupted.is_set():
            _prove_complete(accumulator)
        ran_to_end = not interrupted.is_set()
    except Exception as error:
        accumulator.request_id = _answering(raw, accumulator)
        if isinstance(error, NOT_ITS_FORM) and was_raised_in(error, _FOLDING):
            raise attach_partial(answer_of_another_form(), accumulator) from error
        attach_partial(error, accumulator)
        raise
    finally:
        accumulator.request_id = _answering(raw, accumulator)
        if not ran_to_end:
            _close(source)


def _answering(raw: Any, accumulator: Accumulator) -> str | None:
    """The id of the request that the events come from: a stream may have been opened more than once."""
    return getattr(raw, "request_id", None) or accumulator.request_id


NextBatch = Callable[[], Iterable[Any] | None]
"""Gives the raw events that have come since it was last asked, one at least, or waits; None at the end."""


def _in_batches(raw: Any, interrupted: threading.Event) -> Any:
    """The stream itself where it tells what has come at once (`aws.stream`), or else one event after another."""
    return raw if hasattr(type(raw), "next_batch") else _OneByOne(raw, interrupted)  # the type's: a mock has everything


class _OneByOne:
    """Batches of a stream that has none: botocore's own, a list, a mock. They end when it is interrupted."""

    def __init__(self, raw: Iterable[Any], interrupted: threading.Event) -> None:
        self._raw = raw
        self._events = _each(raw)
        self._interrupted = interrupted

    def next_batch(self) -> Iterable[Any] | None:
        """The next event, if it is still wanted when it comes; None at the end."""
        if not self._interrupted.is_set():
            for event in self._events:
                return None if self._interrupted.is_set() else (event,)
        return None

    def close(self) -> None:
        """Close the stream, and what iterating it gave."""
        _close(self._events)
        _close(self._raw)


def _each(raw: Iterable[Any]) -> Iterator[Any]:
    """The events of a stream, asked for when the first is, whose iterator is closed with this one."""
    yield from raw


def _until_closed(
    next_batch: NextBatch, raw: Any, accumulator: Accumulator, interrupted: threading.Event
) -> Iterable[Any] | None:
    """The next raw events, faults with advice; one that only says that the caller closed the stream is no fault.

    Nor is one after the proof of completeness: all that is missing then is metadata, which the completion reports.
    """
    try:
        return next_batch()
    except CallInterruptedError:
        if not accumulator.complete:
            interrupted.set()
    except Exception as error:
        if error is getattr(raw, "callers_own", None):
            raise
        if not (interrupted.is_set() or accumulator.complete):
            annotate(error, classify(error).advice)
            raise
        if not interrupted.is_set():
            logger.warning("model=%s error=%s | broke off after the answer", accumulator.model, type(error).__name__)
    _close(raw)  # botocore's own stays open however it breaks off
    return None


def _ask_while_silent(raw: Any, watch: Watch) -> None:
    """Have the interrupt check asked between events too, by streams that can (`aws.stream`)."""
    if watch.interrupt_check is not None and hasattr(raw, "watch"):
        raw.watch(on_interrupt_check=watch.interrupt_check)


def _close(raw: Any) -> None:
    close = getattr(raw, "close", None)
    if close is not None:
        with contextlib.suppress(Exception):  # the connection is given up either way; there is nobody to tell
            close()


def attach_partial(error: Exception, accumulator: Accumulator) -> Exception:
    """The error with the partial completion and the request id on it, whosever error it is; advice is for our own.

    A callback may raise what looks like a fault of the wire, and is none.
    """
    if isinstance(error, BedrockError):
        annotate(error, classify(error).advice)
    partial = None
    with contextlib.suppress(*NOT_ITS_FORM):  # of what cannot be folded there is nothing to show
        partial = accumulator.completion() if accumulator.began else None
    with contextlib.suppress(AttributeError):  # an exception with slots cannot carry more than it is
        error.partial = partial  # type: ignore[attr-defined]
        if getattr(error, "request_id", None) is None:
            error.request_id = accumulator.request_id  # type: ignore[attr-defined]
    return error


def _prove_complete(accumulator: Accumulator) -> None:
    if not accumulator.complete:
        raise _truncated(accumulator, "the answer ended without a stop reason")
    if accumulator.stop_reason in MALFORMED_STOP_REASONS:
        raise MalformedOutputError(
            f"the service could not parse the model's output (stop reason {accumulator.stop_reason})",
            request_id=accumulator.request_id,
        )


def _truncated(accumulator: Accumulator, what: str) -> TruncatedResponseError:
    where = f" (request {accumulator.request_id})" if accumulator.request_id else ""
    return TruncatedResponseError(f"Bedrock's answer is incomplete: {what}{where}", request_id=accumulator.request_id)


def _stream_fault(fault: StreamFault, accumulator: Accumulator) -> StreamFaultError:
    text = f"An error occurred ({fault.code}) in the stream: {fault.message}"
    return StreamFaultError(text, code=fault.code, request_id=accumulator.request_id)


def _decoder(notes: CallNotes, tool_names: Any) -> Decoder | StructuredDecoder:
    decode = Decoder(tool_names or notes.tool_names)
    form = notes.answer_form
    if form is None or not form.tool_name:
        return decode
    from .response.structured import StructuredDecoder

    return StructuredDecoder(decode, form)


def _final(completion: Completion, notes: CallNotes) -> Completion:
    if notes.reasoning_store is not None:
        notes.reasoning_store.remember(completion.message)
    form = notes.answer_form
    if form is None:
        return completion
    from .response.structured import with_parsed_answer

    in_words = notes.record is not None and notes.record.in_words
    return with_parsed_answer(completion, changed(form, mode="instruction") if in_words else form)


def _accumulator(answer: Any, notes: CallNotes) -> Accumulator:
    metadata = answer.get("ResponseMetadata") if isinstance(answer, Mapping) else None
    request_id = metadata.get("RequestId") if isinstance(metadata, Mapping) else None
    return Accumulator(
        model=notes.model,
        completion_id=f"chatcmpl-{request_id or os.urandom(12).hex()}",
        created=int(time.time()),
        request_id=request_id,
        repairs=notes.repairs,
        answers_by_tool=notes.answer_form is not None and bool(notes.answer_form.tool_name),
        record=notes.record,
    )

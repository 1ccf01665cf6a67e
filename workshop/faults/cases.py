"""What goes wrong, case by case, and the kinds of failure that it may end as.

A case is one answer that the stand-in is told to spoil. `kinds` are those of `agent.bedrock.classify`; a case without
any has to end as a complete answer all the same. Thorough runs take every byte, others a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from agent.bedrock.testing import (
    MODELLED_EXCEPTIONS,
    Afterwards,
    Body,
    Cut,
    End,
    Fault,
    Flip,
    Framing,
    Hangup,
    Junk,
    RawAnswer,
    Refusal,
    Reply,
    ShortLength,
    Stale,
    Stall,
    Stop,
    StreamError,
    StreamException,
    Text,
    ToolCall,
)

WHOLE, STREAM = "converse", "converse_stream"
PLAIN, TLS = "plain", "TLS"

SHORT = ("Hello", " world", "!")
"""What a short answer says: three deltas."""

LONG = tuple(f"word {number} " for number in range(24))
"""As much as a recorded answer says, and a tool call after it."""


UNHURRIED = 20.0
"""Seconds until a read times out where no time limit is looked at."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong: `answer` is spoiled; with `before`, an earlier answer has to come first.

    `patience` is the client's read timeout in seconds, `idle` its idle timeout. `text` is what the answer says when all
    is well. With `retried`, the case is also tried with a second attempt and a good answer for it.
    """

    group: str
    operation: str
    answer: Any
    kinds: frozenset[str]
    text: str = "".join(SHORT)
    before: Any = None
    patience: float = UNHURRIED
    idle: float = 0.0
    retried: bool = True
    note: str = ""

    @property
    def hurried(self) -> bool:
        """Whether its limits are so short that a machine that stands still passes them."""
        return self.patience < UNHURRIED or self.idle > 0

    def at(self, pace: int) -> Case:
        """The same with so much more time, where there was little."""
        patience = self.patience * pace if self.patience < UNHURRIED else self.patience
        return replace(self, patience=patience, idle=self.idle * pace)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is tried: every so many bytes of a stream that is cut or in which a bit is flipped, every so many statuses.

    Statuses that have a meaning of their own are tried all the same.
    """

    cut: int = 1
    flip: int = 1
    status: int = 1
    retried: int = 16


def short(fault: Fault | None = None, **more: Any) -> Reply:
    """A short answer."""
    return Reply(Text(SHORT), fault=fault, **more)


def long(fault: Fault | None = None, **more: Any) -> Reply:
    """A long one, with a tool call."""
    return Reply(Text(LONG), ToolCall("weather", {"city": "Oslo", "days": 3}, id="call-1"), fault=fault, **more)


def body_of(reply: Reply, operation: str) -> bytes:
    """The bytes of its body."""
    return reply.answer(operation.replace("_", "-")).body


EVENTS = len(short().events())
CONNECTION = frozenset({"connection"})
CUT_OFF = frozenset({"connection", "truncated"})
TIMEOUT = frozenset({"timeout"})
IDLE = frozenset({"idle_timeout"})
COMPLETE: frozenset[str] = frozenset()

PATIENCE = 0.4
"""Seconds of silence after which a client gives up; a stand-in on a busy machine may take half of it to answer."""


# --- the groups -------------------------------------------------------------------------------------------------------


def hangups(_: Extent) -> Iterator[Case]:
    """The connection ends before the headers, inside them, or before the body."""
    for operation in (WHOLE, STREAM):
        for before in ("headers", "inside headers", "body"):
            for reset in (False, True):
                hangup = Hangup(before, reset=reset)
                name = f"{'RST' if reset else 'FIN'} {'before' if before != 'inside headers' else ''} {before}"
                yield Case(" ".join(name.split()), operation, short(hangup), CUT_OFF | {"corrupt"})


def cuts(extent: Extent) -> Iterator[Case]:
    """The body is cut: in good order, by FIN, by RST."""
    for operation, reply in ((WHOLE, long), (STREAM, long)):
        size = len(body_of(reply(), operation))
        for end in (End.PROPER, End.FIN, End.RESET):
            for number, byte in enumerate(range(0, size, extent.cut)):
                yield Case(
                    f"cut, {_ENDS[end]}",
                    operation,
                    reply(Cut(byte, end)),
                    CUT_OFF,
                    text="".join(LONG),
                    retried=number % extent.retried == 0,
                    note=f"byte {byte}",
                )


_ENDS = {End.PROPER: "in good order", End.FIN: "by FIN", End.RESET: "by RST"}


def unchunked(extent: Extent) -> Iterator[Case]:
    """A proxy took the chunks away, and the length that it promised is not kept."""
    size = len(body_of(short(), STREAM))
    for byte in range(0, size - 1, max(extent.cut, 16)):
        yield Case("shorter than Content-Length", STREAM, short(ShortLength(byte)), CUT_OFF, note=f"byte {byte}")
        cut = short(Cut(byte, End.FIN), framing=Framing.EOF)
        yield Case("cut without any framing", STREAM, cut, CUT_OFF, note=f"byte {byte}")


def stops(_: Extent) -> Iterator[Case]:
    """The stream ends in good order before an event; once messageStop was there, the answer is complete."""
    for event in range(EVENTS):
        kinds = COMPLETE if event == EVENTS - 1 else frozenset({"truncated"})
        yield Case("ends between two events", STREAM, short(Stop(event)), kinds, note=f"event {event}")


def flips(extent: Extent) -> Iterator[Case]:
    """A bit is the other way round, in every byte; a whole answer has no checksum that would show it."""
    for number, byte in enumerate(range(0, len(body_of(short(), STREAM)), extent.flip)):
        flipped = short(Flip(8 * byte + byte % 8))
        kinds = frozenset({"corrupt", "truncated", "timeout"})
        retried = number % extent.retried == 0
        yield Case("flipped bit", STREAM, flipped, kinds, retried=retried, patience=1, note=f"byte {byte}")


def stalls(_: Extent) -> Iterator[Case]:
    """Silence: before the headers, before every event, inside one, and before the end of the body."""
    for at in (-1, 0):
        yield Case("silence", WHOLE, short(Stall(at)), TIMEOUT, patience=PATIENCE, note=f"event {at}")
    for at in range(-1, EVENTS):
        kinds = COMPLETE if at >= EVENTS - 1 else TIMEOUT
        silent = short(Stall(at))
        yield Case("silence", STREAM, silent, kinds, patience=PATIENCE, retried=at < 2, note=f"event {at}")
    for at in range(1, EVENTS - 1):
        silent = short(Stall(at))
        yield Case("silence, idle timeout", STREAM, silent, IDLE, idle=PATIENCE, retried=at < 2, note=f"event {at}")
    inside = short(Stall(2, byte=20))
    yield Case("silence inside an event", STREAM, inside, TIMEOUT, patience=PATIENCE, retried=False)


#: What the service reports in a stream -> its kind.
_REPORTED = {
    "internalServerException": "server_error",
    "modelStreamErrorException": "model_error",
    "validationException": "invalid_request",
    "throttlingException": "rate_limit",
    "serviceUnavailableException": "overloaded",
    "tomorrowException": "server_error",
}


def exceptions(_: Extent) -> Iterator[Case]:
    """Exception frames of every kind that the model knows, of one that it does not, and error frames, at every event."""
    for name in (*MODELLED_EXCEPTIONS, "tomorrowException"):
        for at in range(EVENTS):
            kinds = COMPLETE if at == EVENTS - 1 else frozenset({_REPORTED[name]})
            yield Case(f"{name} frame", STREAM, short(StreamException(name, at=at)), kinds, note=f"event {at}")
    for at in range(EVENTS):
        kinds = COMPLETE if at == EVENTS - 1 else frozenset({"server_error"})
        yield Case("error frame", STREAM, short(StreamError(at=at)), kinds, note=f"event {at}")
        junk = COMPLETE if at == EVENTS - 1 else frozenset({"corrupt"})
        yield Case("junk between frames", STREAM, short(Junk(at=at)), junk, note=f"event {at}")


_STATUSES = {
    400: "invalid_request",
    401: "auth",
    403: "access_denied",
    404: "model_not_found",
    407: "connection",
    408: "timeout",
    413: "context_overflow",
    424: "model_error",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}

_STATUS_CLASSES = {3: "corrupt", 4: "invalid_request", 5: "server_error"}
"""What all other statuses mean, by their hundreds."""

#: Exceptions by name, with the status that each has.
_CODES = {
    "ValidationException": "invalid_request",
    "ServiceQuotaExceededException": "quota",
    "AccessDeniedException": "access_denied",
    "ExpiredTokenException": "auth",
    "UnrecognizedClientException": "auth",
    "InvalidSignatureException": "auth",
    "ResourceNotFoundException": "model_not_found",
    "ModelTimeoutException": "timeout",
    "ModelErrorException": "model_error",
    "ModelStreamErrorException": "model_error",
    "ModelNotReadyException": "overloaded",
    "ThrottlingException": "rate_limit",
    "InternalServerException": "server_error",
    "ServiceUnavailableException": "overloaded",
}


def refusals(extent: Extent) -> Iterator[Case]:
    """Every status with JSON, with a page, with nothing, and every exception by its name."""
    for operation in (WHOLE, STREAM):
        for status in sorted({*_STATUSES, *range(300, 600, extent.status)}):
            kinds = frozenset({_STATUSES.get(status) or _STATUS_CLASSES[status // 100]})
            untyped = Refusal("", "Something is wrong.", status)
            yield Case("status, JSON without a type", operation, untyped, kinds, note=str(status))
            yield Case("status, HTML", operation, Refusal.html(status), kinds, note=str(status))
            yield Case("status, empty", operation, Refusal.empty(status), kinds, note=str(status))
        for code, kind in _CODES.items():
            named = Refusal(code, "Something is wrong.")
            yield Case("exception by name", operation, named, frozenset({kind}), note=code)


def bodies(_: Extent) -> Iterator[Case]:
    """A 200 that is none."""
    page = b"<html><body>Sign in to the network</body></html>"
    for operation in (WHOLE, STREAM):
        for name, data, media in (("HTML", page, "text/html"), ("nothing", b"", None), ("{}", b"{}", None)):
            kinds = frozenset({"truncated", "corrupt"})
            yield Case(f"200 with {name}", operation, short(Body(data, media)), kinds)
    for raw in (b'{"output": {"message": {"role": "assistant", "content": []}}}', b'{"stopReason": "end_turn"}'):
        yield Case("200 with half of an answer", WHOLE, RawAnswer(raw), frozenset({"truncated"}))


def stale(_: Extent) -> Iterator[Case]:
    """The connection that is kept goes stale: the next call is not to notice, or to fail within its timeout."""
    for operation in (WHOLE, STREAM):
        for how in Afterwards:
            kinds = {Afterwards.RESET_NEXT: CONNECTION, Afterwards.BLACK_HOLE: frozenset({"timeout"})}.get(
                how, COMPLETE
            )
            good = short()
            yield Case(f"stale connection, {how.value}", operation, good, kinds, before=short(Stale(how)), patience=1.0)


GROUPS: tuple[Callable[[Extent], Iterable[Case]], ...] = (
    hangups,
    cuts,
    unchunked,
    stops,
    flips,
    stalls,
    exceptions,
    refusals,
    bodies,
    stale,
)

THOROUGH = {PLAIN: Extent(), TLS: Extent(cut=64, flip=16, status=16)}
SAMPLE = {
    PLAIN: Extent(cut=601, flip=263, status=50, retried=7),
    TLS: Extent(cut=2003, flip=601, status=100, retried=7),
}


def every_case(extent: Extent) -> Iterator[Case]:
    """All groups, one after another."""
    for group in GROUPS:
        yield from group(extent)

"""What the stand-in answers: a `Reply` (one description, both forms on the wire) or a `Refusal`, one after another.

A script is a sequence of these, or a function from the recorded request to one of these. Bare blocks, strings and
faults stand for a reply made of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from .blocks import Block, Json, Members, Text, ToolCall, WireEvent
from .faults import Fault, apply_faults
from .frames import encode_json, event_frame, frames_in, padding_length
from .wire import Answer, Framing, Piece

if TYPE_CHECKING:
    from .recorded import RecordedRequest

EVENT_STREAM = "application/vnd.amazon.eventstream"
JSON = "application/json"

ERROR_TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
"""What the service appends to the exception's name in `x-amzn-errortype`."""

STATUS_OF_CODE = {
    "ValidationException": 400,
    "SerializationException": 400,
    "ServiceQuotaExceededException": 400,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "UnrecognizedClientException": 403,
    "ResourceNotFoundException": 404,
    "UnknownOperationException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelNotReadyException": 429,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
"""The HTTP status of each error code of the runtime and the control plane."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counters; the cache counters are left out of the answer where they are None, as most families do.

    `input` excludes what was read from or written to the cache. `details` are pairs of TTL and tokens written.
    """

    input: int = 25
    output: int = 10
    cache_read: int | None = None
    cache_write: int | None = None
    details: Sequence[tuple[str, int]] = ()
    total: int | None = None

    def members(self) -> dict[str, Json]:
        """The counters as the service writes them, its undocumented doubles included."""
        said: dict[str, Json] = {}
        for name, tokens in (("cacheRead", self.cache_read), ("cacheWrite", self.cache_write)):
            if tokens is not None:
                said |= {f"{name}InputTokenCount": tokens, f"{name}InputTokens": tokens}
        if self.details:
            said["cacheDetails"] = [{"inputTokens": tokens, "ttl": ttl} for ttl, tokens in self.details]
        total = self.input + self.output + (self.cache_read or 0) + (self.cache_write or 0)
        counted = {"inputTokens": self.input, "outputTokens": self.output, "serverToolUsage": {}}
        return dict(sorted({**said, **counted, "totalTokens": total if self.total is None else self.total}.items()))


@dataclass(frozen=True, slots=True)
class Pacing:
    """How an answer is spread over time and over HTTP chunks; seconds throughout.

    `delay` passes before the headers, `pace` before each event but the first. `group` gathers events that nothing
    separates in time until a chunk has so many bytes; `merge` allows one write for several chunks.
    """

    delay: float = 0.0
    pace: float = 0.0
    framing: Framing | None = None
    group: int = 0
    merge: bool = True


class Reply:
    """A model's answer, for either operation; strings among the blocks are texts.

    `stop_reason` is derived from the blocks where it is not given: "tool_use" with a client's tool call, else
    "end_turn". `usage` is a `Usage` or a mapping written as it is. `additional_fields` are the
    `additionalModelResponseFields`.

    How a stream carries it: `delta_size` cuts every block that does not say itself how it is cut; `interleave` lets
    the blocks' deltas alternate; `padding=False` leaves the key "p" out.

    How it travels: `delay` seconds before the headers, `pace` seconds between events; `framing` as the body is framed
    (chunked for a stream and by length for a whole answer unless said; `Framing.EOF` is what a proxy makes of it that
    takes chunking away); one chunk per event, or chunks of at least `group` bytes; `merge=False` writes every chunk by
    itself where otherwise those that no time parts go out together.

    `fault` is what goes wrong, one or several in order.
    """

    def __init__(
        self,
        *blocks: Block | str,
        stop_reason: str | None = None,
        usage: Usage | Mapping[str, Json] | None = None,
        latency_ms: int = 400,
        trace: Members | None = None,
        performance_config: Members | None = None,
        service_tier: Members | None = None,
        additional_fields: Json = None,
        role: str = "assistant",
        delta_size: int | None = None,
        interleave: bool = False,
        pace: float = 0.0,
        delay: float = 0.0,
        framing: Framing | None = None,
        group: int = 0,
        merge: bool = True,
        padding: bool = True,
        headers: Mapping[str, str] | None = None,
        fault: Fault | Sequence[Fault] | None = None,
    ) -> None:
        self.blocks: tuple[Block, ...] = tuple(Text(block) if isinstance(block, str) else block for block in blocks)
        self.stop_reason = stop_reason or _derived_stop_reason(self.blocks)
        self.usage = dict(usage) if isinstance(usage, Mapping) else (usage or Usage()).members()
        self.latency_ms = latency_ms
        self.additional_fields = additional_fields
        said = {"performanceConfig": performance_config, "serviceTier": service_tier, "trace": trace}
        self.extras = {name: value for name, value in said.items() if value is not None}
        self.role = role
        self.delta_size = delta_size
        self.interleave = interleave
        self.pacing = Pacing(delay, pace, framing, group, merge)
        self.padding = padding
        self.headers = dict(headers or {})
        self.fault = fault
        self._prepared: dict[str, Answer] = {}

    def __repr__(self) -> str:
        return f"Reply({', '.join(type(block).__name__ for block in self.blocks)}, stop_reason={self.stop_reason!r})"

    def whole(self, serial: int = 0) -> dict[str, Json]:
        """The body of a whole answer; `serial` numbers the tool calls that have no id."""
        blocks = (block.whole() for block in self._numbered(serial))
        content = [block for block in blocks if block is not None]
        added = {} if self.additional_fields is None else {"additionalModelResponseFields": self.additional_fields}
        said = {
            "metrics": {"latencyMs": self.latency_ms},
            "output": {"message": {"content": content, "role": self.role}},
            "stopReason": self.stop_reason,
            "usage": self.usage,
        }
        return dict(sorted({**said, **added, **self.extras}.items()))

    def events(self, serial: int = 0) -> list[WireEvent]:
        """The events of a stream."""
        added = {} if self.additional_fields is None else {"additionalModelResponseFields": self.additional_fields}
        metadata = {"metrics": {"latencyMs": self.latency_ms}, "usage": self.usage, **self.extras}
        return [
            ("messageStart", {"role": self.role}),
            *self._block_events(serial),
            ("messageStop", {**added, "stopReason": self.stop_reason}),
            ("metadata", metadata),
        ]

    def answer(self, operation: str, serial: int = 0) -> Answer:
        """The HTTP answer to `operation`, faults included; prepared once where nothing in it differs by request."""
        if operation in self._prepared:
            return self._prepared[operation]
        answer = self._stream_answer(serial) if operation == "converse-stream" else self._whole_answer(serial)
        answer = _grouped(apply_faults(answer, self.fault), self.pacing.group)
        if all(not isinstance(block, ToolCall) or block.id is not None for block in self.blocks):
            self._prepared[operation] = answer
        return answer

    def _whole_answer(self, serial: int) -> Answer:
        headers = (("Content-Type", JSON), *self.headers.items())
        pieces = [Piece(encode_json(self.whole(serial)))]
        return self._paced(Answer(200, headers, pieces, Framing.LENGTH))

    def _stream_answer(self, serial: int) -> Answer:
        headers = (("Content-Type", EVENT_STREAM), *self.headers.items())
        pieces = [
            Piece(
                event_frame(name, members, padding=padding_length(number) if self.padding else None),
                self.pacing.pace if number else 0.0,
                event=name,
            )
            for number, (name, members) in enumerate(self.events(serial))
        ]
        return self._paced(Answer(200, headers, pieces, Framing.CHUNKED))

    def _paced(self, answer: Answer) -> Answer:
        framing = self.pacing.framing or answer.framing
        return replace(answer, framing=framing, delay=self.pacing.delay, merge=self.pacing.merge)

    def _numbered(self, serial: int) -> Iterator[Block]:
        for number, block in enumerate(self.blocks):
            yield block.numbered(serial * 100 + number) if isinstance(block, ToolCall) else block

    def _block_events(self, serial: int) -> list[WireEvent]:
        per_block: list[list[WireEvent]] = []
        index = 0
        for block in self._numbered(serial):
            per_block.append(list(block.events(index, self.delta_size)))
            index += block.whole() is not None
        return _alternating(per_block) if self.interleave else [event for events in per_block for event in events]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: the exception's name in `x-amzn-errortype`, `{"message": ...}` as body.

    `status` None: the status that the code has. `code` "" sends no type header, as gateways and proxies do. `body`
    replaces the JSON body (HTML, nothing, anything). `members` are added to the JSON body (`originalStatusCode`).
    """

    code: str = "ValidationException"
    message: str | None = "The provided request is not valid"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Members = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = JSON
    delay: float = 0.0
    fault: Fault | Sequence[Fault] | None = None

    @classmethod
    def html(cls, status: int, *, headers: Mapping[str, str] | None = None) -> Refusal:
        """The page of a load balancer."""
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>".encode()
        return cls("", None, status, headers or {}, body=page, content_type="text/html")

    @classmethod
    def empty(cls, status: int, *, headers: Mapping[str, str] | None = None) -> Refusal:
        """A status and nothing else."""
        return cls("", None, status, headers or {}, body=b"")

    def answer(self, operation: str, serial: int = 0) -> Answer:
        """The HTTP answer."""
        status = STATUS_OF_CODE.get(self.code, 400) if self.status is None else self.status
        typed = (("x-amzn-errortype", self.code + ERROR_TYPE_SUFFIX),) if self.code else ()
        headers = (("Content-Type", self.content_type), *typed, *self.headers.items())
        answer = Answer(status, headers, [Piece(self._body())], delay=self.delay)
        return apply_faults(answer, self.fault)

    def _body(self) -> bytes:
        if self.body is not None:
            return self.body
        said = {} if self.message is None else {"message": self.message}
        return encode_json({**said, **self.members})


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A body written as it is, under any status and type: a recorded answer, or what no reply can say.

    The frames of an event stream are its events to the faults, as far as the body is whole frames.
    """

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Framing = Framing.LENGTH
    fault: Fault | Sequence[Fault] | None = None

    def answer(self, operation: str, serial: int = 0) -> Answer:
        """The HTTP answer."""
        headers = (("Content-Type", self.content_type), *self.headers.items())
        split = frames_in(self.body) if self.content_type == EVENT_STREAM else [self.body]
        pieces = [Piece(data) for data in split]
        return apply_faults(Answer(self.status, headers, pieces, self.framing), self.fault)


Answering = Reply | Refusal | RawAnswer
"""What ends up on the wire."""

Scripted = Answering | Block | Fault | str | Mapping[str, Any]
"""What a script may say: an answer, a block, a text or a fault (a reply made of it), a JSON object as it is."""

ScriptFunction = Callable[["RecordedRequest"], Scripted | None]

EXHAUSTED = "The script of the stand-in is exhausted."


class ScriptExhaustedError(Exception):
    """A request came after the last scripted answer, and the stand-in was told to mind that."""


class Script:
    """The answers to come: a sequence (endless ones too), then what was queued; or what was queued, then a function's."""

    def __init__(self, source: Iterable[Scripted] | ScriptFunction | None, *, exhausted: str = "reply") -> None:
        self._function = source if callable(source) else None
        self._sequence: Iterator[Scripted] = iter(() if source is None or callable(source) else source)
        self._queue = deque[Scripted]()
        self._exhausted = exhausted
        self._lock = threading.Lock()

    def queue(self, *answers: Scripted) -> None:
        """Append answers."""
        with self._lock:
            self._queue.extend(answers)

    def next_for(self, request: RecordedRequest) -> Answering:
        """The answer to this request."""
        with self._lock:
            scripted = next(self._sequence, None)
            if scripted is None and self._queue:
                scripted = self._queue.popleft()
        if scripted is None and self._function is not None:
            scripted = self._function(request)
        if scripted is not None:
            return as_answering(scripted)
        if self._exhausted == "raise":
            raise ScriptExhaustedError(f"no answer is left for request {request.serial} ({request.operation})")
        return Reply(Text(EXHAUSTED))


def as_answering(scripted: Scripted) -> Answering:
    """The answer that a script's shorthand stands for."""
    if isinstance(scripted, Reply | Refusal | RawAnswer):
        return scripted
    if isinstance(scripted, Mapping):
        return RawAnswer(encode_json(scripted))
    if is_fault(scripted):
        return Reply(Text("This answer goes wrong."), fault=cast("Fault", scripted))
    return Reply(cast("Block | str", scripted))


def is_fault(scripted: object) -> bool:
    """Whether what a script says is a fault by itself."""
    return hasattr(scripted, "apply")


def _derived_stop_reason(blocks: Iterable[Block]) -> str:
    calls = (block for block in blocks if isinstance(block, ToolCall) and block.type != "server_tool_use")
    return "tool_use" if any(True for _ in calls) else "end_turn"


def _alternating(per_block: Sequence[Sequence[WireEvent]]) -> list[WireEvent]:
    """The first event of every block, then the second of every block, and so on."""
    longest = max((len(events) for events in per_block), default=0)
    return [events[turn] for turn in range(longest) for events in per_block if turn < len(events)]


def _grouped(answer: Answer, size: int) -> Answer:
    """The same answer with pieces gathered into chunks of at least `size` bytes where no pause parts them."""
    if not size:
        return answer
    gathered: list[Piece] = []
    for piece in answer.pieces:
        last = gathered[-1] if gathered else None
        if last is None or piece.pause or len(last.data) >= size:
            gathered.append(piece)
        else:
            promised = _promise(last) + _promise(piece)
            gathered[-1] = replace(last, data=last.data + piece.data, promised=promised)
    return replace(answer, pieces=gathered)


def _promise(piece: Piece) -> int:
    return len(piece.data) if piece.promised is None else piece.promised

"""ConverseStream's event stream, fast: put under real boto3 clients through botocore's own events.

In comes a client (or a session) of boto3, and what decodes frames; from then on `client.converse_stream(...)["stream"]`
is a botocore `EventStream` that uses it, and whose bytes come as they arrive (`body`). A botocore whose service model
asks for more than JSON in frames, a stubbed answer and one that is an error go botocore's own way. Errors are those that botocore's callers know (ChecksumMismatch, EventStreamError, urllib3's), and a
stream that ends inside a frame is an error too; that every answer ends with messageStop is proven where it is gathered.

A stream that ran to its end gives its connection back. Whoever leaves it before that, by `break`, an exception or by
dropping it, closes the connection; `close()` does so from any thread, also under a thread that waits for an event.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from operator import length_hint
from time import monotonic
from typing import Any, Protocol

from ..errors import BedrockError, TruncatedResponseError
from ..values import changed
from .body import Body, Patience, open_body

_BEFORE_PARSE = "before-parse.bedrock-runtime.ConverseStream"
_AFTER_CALL = "after-call.bedrock-runtime.ConverseStream"

_PROTOCOLS = {"rest-json", "json"}

_REQUEST_ID = "x-amzn-requestid"

METADATA_TIMEOUT = 10.0
"""Seconds of silence allowed between messageStop and the end of a stream."""


Event = dict[str, Any]


class StreamSettings(Protocol):
    """What is needed of the client's settings."""

    @property
    def idle_timeout(self) -> float:
        """Seconds of silence between two events, once there was one; 0: no limit."""


class Decoder(Protocol):
    """Bytes of a stream in, events out: `response.frames.FrameDecoder`, handed in by whoever joins the rooms.

    `failure` is why it went no further: a BedrockError with `reason` and `values`, or a fault with `code`, `message`
    and `members` that the service reported.
    """

    failure: Any
    message_stopped: bool

    @property
    def leftover(self) -> int:
        """Bytes of an unfinished frame."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes."""


DecoderFor = Callable[[Mapping[str, Any]], Callable[[], Decoder]]
"""The events of a service model, as `event_model` describes them -> what makes decoders of their streams."""


# --- the stream -------------------------------------------------------------------------------------------------------


class FastStream:
    """One stream; mixed into botocore's EventStream by `stream_class()`.

    Iterating belongs to one thread at a time. `request_id` is AWS's, `message_stopped` says that messageStop was there.
    """

    def __init__(
        self,
        raw: Any,
        output_shape: Any,
        operation_name: str,
        *,
        decoder: Decoder,
        patience: Patience,
        request_id: str | None,
    ) -> None:
        # The names under which botocore keeps them; its own __init__ would tie a knot that only the collector unties.
        self._raw_stream = raw
        self._output_shape = output_shape
        self._operation_name = operation_name
        self._parser = None
        self.request_id = request_id
        self._decoder = decoder
        self._batch: Iterator[Event] = iter(())
        self._ended = False
        self._closed = False
        """Whether `close()` was called, be it that all bytes had come by then."""
        self._patience = patience
        self._body = open_body(raw)
        self._body.watch(patience)
        # Not __del__: in a dropped reference cycle the socket's own finalizer might come first, and complain.
        self._dropped = weakref.finalize(self, _close_quietly, self._body)

    @property
    def message_stopped(self) -> bool:
        """Whether messageStop has been decoded: what comes after it is only metadata."""
        return self._decoder.message_stopped

    def watch(
        self,
        *,
        idle_timeout: float | None = None,
        deadline: float | None = None,
        on_interrupt_check: Callable[[], Any] | None = None,
    ) -> None:
        """Limit the waiting, before or between events; None leaves what was said before (at first: the idle timeout).

        `deadline` is a moment of `time.monotonic()`. `on_interrupt_check` is asked every 20 ms while the stream is silent,
        by a watchdog thread, so it must be thread-safe; when it returns something true, the stream ends with
        CallInterruptedError, and with what it raises where it raises.
        """
        said: dict[str, Any] = {"idle_timeout": idle_timeout, "deadline": deadline}
        self._patience = changed(self._patience, **{name: value for name, value in said.items() if value is not None})
        self._body.watch(self._patience)
        if on_interrupt_check is not None:
            self._body.ask_while_silent(on_interrupt_check)

    def __iter__(self) -> Iterator[Event]:
        """The events as botocore gives them; leaving the loop early closes the stream."""
        try:
            while (batch := self.next_batch()) is not None:
                yield from batch
        finally:
            if not self._ended:
                self._body.close()

    def next_batch(self) -> Iterator[Event] | None:
        """The events that have come since the last batch, waited for if there are none; None at the end.

        One step per arrival, none per event. A batch that another loop has left in the middle comes again, from there on;
        what `close()` finds of a batch, it takes away.
        """
        if length_hint(self._batch):
            return self._batch
        if self._ended:
            return None
        since, decoder, body = monotonic(), self._decoder, self._body
        try:
            while decoder.failure is None:
                data = body.receive(since)
                if not data:
                    self._end()
                    return None
                events = decoder.feed(data)
                if events:
                    return self._handed_out(events)
            raise self._error(decoder.failure)
        except BaseException as error:
            self._give_up(error)
            raise

    def _handed_out(self, events: list[Event]) -> Iterator[Event]:
        body = self._body
        if not body.begun:
            body.begin()
        if self._decoder.message_stopped and not body.over:
            self._wait_briefly()
        self._batch = batch = iter(events)
        if self._closed or body.closed:
            take_away_rest(batch)
        return batch

    def _give_up(self, error: BaseException) -> None:
        self._body.close()
        if isinstance(error, BedrockError):
            error.request_id = self.request_id

    def close(self) -> None:
        """End the stream now, from whichever thread: whoever waits for its next event gets CallInterruptedError."""
        if not self._ended:
            self._closed = True
            self._body.close()
            take_away_rest(self._batch)

    def get_initial_response(self) -> Any:
        """The first message, if it is an initial-response (which Bedrock does not send); events are kept for later."""
        from botocore.eventstream import EventStreamBuffer, NoInitialResponseError

        messages: Any = EventStreamBuffer()
        while data := self._receive():
            self._batch = iter([*self._batch, *self._decoder.feed(data)])
            messages.add_data(data)
            for message in messages:
                if message.headers.get(":event-type") == "initial-response":
                    return message
                raise NoInitialResponseError
        raise NoInitialResponseError

    def _receive(self) -> bytes:
        try:
            return self._body.receive(monotonic())
        except BedrockError as error:
            self._give_up(error)
            raise

    def _wait_briefly(self) -> None:
        """The answer is complete: for its metadata nobody waits as long as for a model that thinks."""
        idle = self._patience.idle_timeout
        self.watch(idle_timeout=min(idle, METADATA_TIMEOUT) if idle else METADATA_TIMEOUT)

    def _end(self) -> None:
        self._ended = True
        self._dropped.detach()
        if self._decoder.leftover:
            raise TruncatedResponseError(
                f"the stream ended inside a frame, {self._decoder.leftover} bytes after the last event",
                request_id=self.request_id,
            )

    def _error(self, failure: Any) -> Exception:
        """The exception that botocore's callers know; more telling where botocore's says nothing."""
        from botocore import eventstream, exceptions

        if not isinstance(failure, BedrockError):
            response: Any = {**failure.members, "Error": {"Code": failure.code, "Message": failure.message}}
            if self.request_id:
                response["ResponseMetadata"] = {"RequestId": self.request_id}
            return exceptions.EventStreamError(response, self._operation_name)
        known = getattr(eventstream, _BOTOCORE_ERRORS.get(getattr(failure, "reason", ""), ""), None)
        if known is not None:
            error: Exception = known(*failure.values)  # type: ignore[attr-defined]
            return error
        raised = copy(failure)  # the decoder keeps its own: with a traceback, it would tie the stream into a knot
        raised.request_id = self.request_id
        return raised


def take_away_rest(batch: Iterator[Event]) -> None:
    """Take away what of a batch was not delivered."""
    deque(batch, maxlen=0)


def _close_quietly(body: Body) -> None:
    with contextlib.suppress(Exception):  # a dropped stream has nobody to tell
        body.close()


_BOTOCORE_ERRORS = {
    "checksum": "ChecksumMismatch",
    "headers_length": "InvalidHeadersLength",
    "payload_length": "InvalidPayloadLength",
    "duplicate_header": "DuplicateHeader",
}
"""Why bytes are no event stream -> the exception in `botocore.eventstream` that says so."""


@functools.cache
def stream_class() -> Any:
    """`FastStream` as a subclass of botocore's EventStream."""
    from botocore.eventstream import EventStream

    return type("FastEventStream", (FastStream, EventStream), {"__module__": __name__})


# --- under the client -------------------------------------------------------------------------------------------------


def install_fast_stream(target: Any, decoder_for: DecoderFor, settings: StreamSettings | None = None) -> None:
    """Make the streams of a boto3 client fast, or those of all runtime clients that a session makes from now on.

    `decoder_for` is `response.frames.decoder_for`. Doing it twice does nothing.
    """
    meta = getattr(target, "meta", None)
    emitter = meta.events if meta is not None else getattr(target, "events", target)
    hook = _Hook(decoder_for, Patience(settings.idle_timeout if settings is not None else 0))
    emitter.register(_BEFORE_PARSE, hook.before_parse, unique_id=f"{__name__}.before-parse")
    emitter.register(_AFTER_CALL, hook.after_call, unique_id=f"{__name__}.after-call")


class _Taken:
    """What botocore's own stream gets in place of a response that ours reads from.

    botocore makes one all the same, and ties it into a knot with its generator: until the collector comes, it would keep
    the response, and the client's pool of connections with it.
    """

    def stream(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Nothing is open."""


_TAKEN = _Taken()


class _Hook:
    """Puts the fast stream into an answer: before botocore parses it, or after where it (before 1.35.16) does not ask."""

    def __init__(self, decoder_for: DecoderFor, patience: Patience) -> None:
        self._decoder_for = decoder_for
        self._patience = patience
        self._makers: weakref.WeakKeyDictionary[Any, Callable[[], Decoder] | None] = weakref.WeakKeyDictionary()

    def before_parse(
        self,
        operation_model: Any,
        response_dict: dict[str, Any],
        customized_response_dict: dict[str, Any],
        **_kwargs: Any,
    ) -> None:
        """What stands in `customized_response_dict` takes the place of what botocore parses."""
        if response_dict["status_code"] < 300:
            put = self._stream(operation_model, response_dict.get("body"), response_dict["headers"])
            customized_response_dict.update(put)
            if put:
                response_dict["body"] = _TAKEN

    def after_call(self, http_response: Any, parsed: dict[str, Any], model: Any, **_kwargs: Any) -> None:
        """Replace a stream of botocore's own that nobody has read from yet."""
        from botocore.eventstream import EventStream

        output = model.output_shape
        theirs: Any = parsed.get(output.event_stream_name)
        if http_response.status_code < 300 and type(theirs) is EventStream:
            put = self._stream(model, http_response.raw, http_response.headers)
            parsed.update(put)
            if put:
                vars(theirs)["_raw_stream"] = _TAKEN

    def _stream(self, operation_model: Any, raw: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        """The fast stream under the name of its member; nothing where botocore's own has to do."""
        make_decoder = self._maker(operation_model)
        if make_decoder is None or not hasattr(raw, "stream"):
            return {}
        output, build = operation_model.output_shape, stream_class()
        stream = build(
            raw,
            output.members[output.event_stream_name],
            operation_model.name,
            decoder=make_decoder(),
            patience=self._patience,
            request_id=headers.get(_REQUEST_ID),
        )
        return {output.event_stream_name: stream}

    def _maker(self, operation_model: Any) -> Callable[[], Decoder] | None:
        """What makes decoders for the operation; None where only botocore's parser does its model justice."""
        service = operation_model.service_model
        if service not in self._makers:
            model = event_model(operation_model)
            self._makers[service] = None if model is None else self._decoder_for(model)
        return self._makers[service]


# --- the model of the events ------------------------------------------------------------------------------------------


def event_model(operation_model: Any) -> dict[str, tuple[Any, ...]] | None:
    """The events of an operation after botocore's service model; None where their JSON payload is not all there is.

    Descriptions are those of `response.frames`: ("value",), ("blob",), ("parsed", function), ("list", item),
    ("map", value), ("structure" or "union", function that gives {wire name: (name, member)}).
    """
    service, output = operation_model.service_model, operation_model.output_shape
    protocol = getattr(service, "resolved_protocol", None) or service.protocol  # the former since botocore 1.38
    if protocol not in _PROTOCOLS or output is None or not output.event_stream_name:
        return None
    events = output.members[output.event_stream_name].members
    if any(_beside_the_json(member) for event in events.values() for member in event.members.values()):
        return None
    return {name: _described(event) for name, event in events.items()}


def _beside_the_json(member: Any) -> bool:
    """Whether an event has this member in a header, or as its whole payload."""
    return bool({"eventheader", "eventpayload"} & member.serialization.keys())


def _described(shape: Any) -> tuple[Any, ...]:
    describe = _DESCRIPTIONS.get(shape.type_name)
    return describe(shape) if describe is not None else ("value",)


def _described_structure(shape: Any) -> tuple[Any, ...]:
    if shape.is_document_type:
        return ("value",)
    return ("union" if shape.is_tagged_union else "structure", functools.partial(_described_members, shape))


def _described_members(shape: Any) -> dict[str, tuple[str, Any]]:
    return {
        member.serialization.get("name", name): (name, _described(member)) for name, member in shape.members.items()
    }


def _described_timestamp(_shape: Any) -> tuple[Any, ...]:
    from botocore.utils import parse_timestamp

    return ("parsed", parse_timestamp)


_DESCRIPTIONS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "structure": _described_structure,
    "list": lambda shape: ("list", _described(shape.member)),
    "map": lambda shape: ("map", _described(shape.value)),
    "blob": lambda _shape: ("blob",),
    "timestamp": _described_timestamp,
}

"""Every fault, as real boto3 surfaces it: on the call, on the iteration, or not at all.

What surfaces where was measured with boto3 1.44.5 and urllib3 2.8.0; other versions may word it differently, so that
only classes, codes and the stable part of a text are held fast.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import pytest
import trustme
import urllib3
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, ConnectionClosedError, EventStreamError, ReadTimeoutError

from agent.bedrock.testing import (
    MODELLED_EXCEPTIONS,
    Afterwards,
    Body,
    Cut,
    End,
    FakeBedrock,
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
from agent.bedrock.testing.server import HOST
from tests.moments import at_some_pace

from .conftest import HASTE, as_measured, ask, client_of, hasty

ANSWER = (Text(("Hello", " world")), ToolCall("f", {"a": 1}, id="t"))
"""Ten events: messageStart, two deltas, stop, start, delta, stop, messageStop, metadata."""

EVENTS = len(Reply(*ANSWER).events())

HTML = Body(b"<html><body>Sorry!</body></html>", "text/html")


def frame_end(number: int) -> int:
    """The offset in the stream's body just behind event `number`."""
    pieces = Reply(*ANSWER).answer("converse-stream").pieces
    return sum(len(piece.data) for piece in pieces[: number + 1])


def events_of(client: Any, got: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The events of a stream, kept in `got` also if it fails; its connection is closed either way."""
    got = [] if got is None else got
    with contextlib.closing(client.converse_stream(**ask())["stream"]) as events:
        got.extend(events)
    return got


def stream(
    fake: FakeBedrock, client: Any, fault: Fault | Sequence[Fault] | None, **options: Any
) -> list[dict[str, Any]]:
    fake.queue(Reply(*ANSWER, fault=fault, **options))
    return events_of(client)


def patient_unless_silent(fake: FakeBedrock, error: type[Exception], pace: int) -> Any:
    """A client that gives up soon only where the test is about giving up."""
    return hasty(fake, pace) if error in (ReadTimeoutError, urllib3.exceptions.ReadTimeoutError) else client_of(fake)


# --- faults of the call, the same for both operations -------------------------------------------------------------

CALL_FAULTS: Sequence[tuple[Fault, type[Exception]]] = [
    (Hangup(), ConnectionClosedError),
    (Hangup(reset=True), ConnectionClosedError),
    (Hangup("inside headers", reset=True), ConnectionClosedError),
    (Stall(-1), ReadTimeoutError),
]


@pytest.mark.parametrize(("fault", "error"), CALL_FAULTS)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_a_connection_that_ends_or_stays_silent_before_the_body_fails_the_call(
    fake: FakeBedrock, fault: Fault, error: type[Exception], operation: str
) -> None:

    def scene(pace: int) -> None:
        client = patient_unless_silent(fake, error, pace)
        fake.queue(Reply(*ANSWER, fault=fault))
        with pytest.raises(error):
            getattr(client, operation)(**ask())
        assert client.converse(**ask())["stopReason"] == "end_turn", "the next call works"

    at_some_pace(scene)


def test_headers_that_end_by_fin_make_a_stream_without_events(fake: FakeBedrock, client: Any) -> None:
    fault = Hangup(
        "inside headers", after=len("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n")
    )
    assert stream(fake, client, fault) == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Cut(30, End.RESET), ConnectionClosedError),
        (Hangup("body", reset=True), ConnectionClosedError),
        (Stall(0), ReadTimeoutError),
        (Stall(0, byte=20), ReadTimeoutError),
    ],
)
def test_a_whole_answer_whose_body_does_not_come_fails_the_call(
    fake: FakeBedrock, fault: Fault, error: type[Exception]
) -> None:
    client = patient_unless_silent(fake, error, pace=1)
    fake.queue(Reply(*ANSWER, fault=fault))
    with pytest.raises(error):
        client.converse(**ask())


def test_a_chunked_whole_answer_that_ends_by_fin_fails_the_call(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(*ANSWER, fault=Cut(30, End.FIN), framing=Framing.CHUNKED))
    with pytest.raises(ConnectionClosedError):
        client.converse(**ask())


@as_measured
@pytest.mark.parametrize(
    "fault", [Cut(30), Cut(30, End.FIN), ShortLength(30), Body(b""), Body(b"{}"), HTML, Hangup("body")], ids=repr
)
def test_a_whole_answer_that_is_cut_or_something_else_is_an_empty_dict(
    fake: FakeBedrock, client: Any, fault: Fault
) -> None:
    fake.queue(Reply(*ANSWER, fault=fault))
    answer = client.converse(**ask())
    assert answer.keys() == {"ResponseMetadata"}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


# --- faults of the stream -------------------------------------------------------------------------------------------

SILENT: Sequence[tuple[Any, dict[str, Any], int]] = [
    (Cut(frame_end(2)), {}, 3),
    (Cut(frame_end(2) + 9), {}, 3),
    (Cut(frame_end(2) + 9, End.FIN), {"framing": Framing.EOF}, 3),
    (ShortLength(frame_end(2) + 9), {}, 3),
    (Stop("messageStop"), {}, EVENTS - 2),
    (Stop("metadata"), {}, EVENTS - 1),
    (Stop(0), {}, 0),
    (Stop(4), {}, 4),
    (Body(b""), {}, 0),
    (Body(b"{}"), {}, 0),
]


@as_measured
@pytest.mark.parametrize(("fault", "options", "delivered"), SILENT, ids=repr)
def test_a_stream_that_is_cut_with_a_proper_end_just_ends(
    fake: FakeBedrock, client: Any, fault: Fault, options: dict[str, Any], delivered: int
) -> None:
    assert len(stream(fake, client, fault, **options)) == delivered


LOUD: Sequence[tuple[Any, type[Exception], str, int]] = [
    (Cut(frame_end(2), End.FIN), urllib3.exceptions.ProtocolError, "Response ended prematurely", 3),
    (Cut(frame_end(2) + 20, End.FIN), urllib3.exceptions.ProtocolError, "IncompleteRead", 3),
    (Cut(frame_end(2), End.RESET), urllib3.exceptions.ProtocolError, "ConnectionResetError", 3),
    (Cut(frame_end(2) + 20, End.RESET), urllib3.exceptions.ProtocolError, "ConnectionResetError", 3),
    (Stall(3), urllib3.exceptions.ReadTimeoutError, "Read timed out", 3),
    (Stall(3, byte=9), urllib3.exceptions.ReadTimeoutError, "Read timed out", 3),
    (Stall(EVENTS - 1), urllib3.exceptions.ReadTimeoutError, "Read timed out", EVENTS - 1),
    (Stall(EVENTS), urllib3.exceptions.ReadTimeoutError, "Read timed out", EVENTS),
    (Flip(8 * (frame_end(2) + 9)), ChecksumMismatch, "Checksum mismatch", 3),
    (Flip(8 * (frame_end(2) + 60)), ChecksumMismatch, "Checksum mismatch", 3),
    (Junk(at=3), ChecksumMismatch, "Checksum mismatch", 3),
    (HTML, ChecksumMismatch, "Checksum mismatch", 0),
    (StreamException(at=3), EventStreamError, "throttlingException", 3),
    (StreamError("Oops", "it broke", at=3), EventStreamError, "Oops", 3),
]


@as_measured
@pytest.mark.parametrize(("fault", "error", "text", "delivered"), LOUD, ids=repr)
def test_a_stream_that_goes_wrong_fails_the_iteration_after_what_came(
    fake: FakeBedrock, fault: Fault, error: type[Exception], text: str, delivered: int
) -> None:

    def scene(pace: int) -> None:
        client = patient_unless_silent(fake, error, pace)
        fake.queue(Reply(*ANSWER, fault=fault))
        got: list[dict[str, Any]] = []
        with pytest.raises(error, match=text):
            events_of(client, got)
        assert len(got) == delivered
        assert client.converse(**ask())["stopReason"] == "end_turn", "the next call works"

    at_some_pace(scene)


@as_measured
@pytest.mark.parametrize("name", MODELLED_EXCEPTIONS)
def test_a_modelled_exception_in_the_stream_keeps_code_and_message(fake: FakeBedrock, client: Any, name: str) -> None:
    with pytest.raises(EventStreamError) as caught:
        stream(fake, client, StreamException(name, "so it is", at=2))
    assert caught.value.response["Error"] == {"Code": name, "Message": "so it is"}


def test_an_unknown_exception_in_the_stream_loses_both(fake: FakeBedrock, client: Any) -> None:
    with pytest.raises(EventStreamError) as caught:
        stream(fake, client, StreamException("brandNewException", "so it is"))
    assert caught.value.response["Error"] == {"Code": "", "Message": ""}


def test_an_error_frame_has_its_code_and_message(fake: FakeBedrock, client: Any) -> None:
    with pytest.raises(EventStreamError) as caught:
        stream(fake, client, StreamError("InternalError", "it broke", at=1))
    assert caught.value.response["Error"] == {"Code": "InternalError", "Message": "it broke"}


def test_a_pause_shorter_than_the_timeout_does_no_harm(fake: FakeBedrock, client: Any) -> None:
    assert len(stream(fake, client, [Stall(2, 0.05), Stall(4, 0.05, byte=3)])) == EVENTS


def test_what_was_sent_before_a_held_event_is_delivered_before_it(fake: FakeBedrock) -> None:
    go_on = threading.Event()
    fake.queue(Reply(*ANSWER, fault=Stall(3, until=go_on)))
    events = iter(client_of(fake).converse_stream(**ask())["stream"])
    first = [next(events) for _ in range(3)]
    assert first[-1] == {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": " world"}}}
    go_on.set()
    assert len(list(events)) == EVENTS - 3


def test_the_headers_can_be_held_too(fake: FakeBedrock) -> None:
    go_on = threading.Event()
    fake.queue(Reply(*ANSWER, fault=Stall(-1, until=go_on)))
    client = client_of(fake)
    asking = threading.Thread(target=client.converse, kwargs=ask())
    asking.start()
    assert fake.wait_for(lambda fake: len(fake.requests) == 1)
    assert not fake.requests[0].complete
    go_on.set()
    asking.join()
    assert fake.wait_for(lambda fake: fake.requests[0].complete)


def test_faults_reach_the_events_of_a_recorded_stream(fake: FakeBedrock, client: Any) -> None:
    recorded = RawAnswer(
        Reply(*ANSWER).answer("converse-stream").body, "application/vnd.amazon.eventstream", fault=StreamError(at=4)
    )
    fake.queue(recorded)
    got: list[dict[str, Any]] = []
    with pytest.raises(EventStreamError):
        events_of(client, got)
    assert len(got) == 4


def test_faults_add_up(fake: FakeBedrock, client: Any) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        stream(fake, client, [Stall(1, 0.05), Cut(frame_end(3) + 5, End.FIN)])


def test_a_cut_beyond_the_end_is_none(fake: FakeBedrock, client: Any) -> None:
    assert len(stream(fake, client, Cut(10_000_000))) == EVENTS
    assert len(stream(fake, client, Flip(80_000_000))) == EVENTS


def test_every_cut_of_a_stream_delivers_what_was_whole_before_it(fake: FakeBedrock, client: Any) -> None:
    ends = [frame_end(number) for number in range(EVENTS)]
    for at in range(0, ends[-1], 37):
        delivered = stream(fake, client, Cut(at))
        assert len(delivered) == sum(end <= at for end in ends)


def test_chunking_taken_away_holds_events_back_until_the_end(fake: FakeBedrock) -> None:
    """boto3 alone waits for 64 KiB or the end: a stall then loses what had come."""

    def scene(pace: int) -> None:
        client = hasty(fake, pace)
        assert len(stream(fake, client, None, framing=Framing.EOF)) == EVENTS
        fake.queue(Reply(*ANSWER, framing=Framing.EOF, fault=Stall(3)))
        got: list[Any] = []
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            events_of(client, got)
        assert got == []

    at_some_pace(scene)


# --- stale connections ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Afterwards.FIN, Afterwards.RESET])
def test_an_idle_connection_that_was_closed_is_replaced_without_a_word(
    fake: FakeBedrock, client: Any, how: Afterwards
) -> None:
    fake.queue(Reply("one", fault=Stale(how)))
    client.converse(**ask())
    assert fake.wait_for(lambda fake: fake.open_connections == 0)
    client.converse(**ask())
    assert [request.connection for request in fake.requests] == [1, 2]


def test_a_connection_that_is_reset_by_the_next_request_fails_once(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply("one", fault=Stale(Afterwards.RESET_NEXT)))
    client.converse(**ask())
    with pytest.raises(ConnectionClosedError):
        client.converse(**ask())
    client.converse(**ask())
    assert fake.connections == 2


def test_botocore_heals_a_reset_connection_with_its_second_attempt(fake: FakeBedrock) -> None:
    fake.queue(Reply("one", fault=Stale(Afterwards.RESET_NEXT)))
    client = client_of(fake, retries={"total_max_attempts": 2, "mode": "standard"})
    client.converse(**ask())
    assert client.converse(**ask())["ResponseMetadata"]["RetryAttempts"] == 1


def test_a_black_hole_costs_a_read_timeout() -> None:
    def scene(pace: int) -> None:
        with FakeBedrock([Reply("one", fault=Stale(Afterwards.BLACK_HOLE))]) as fake:
            client = hasty(fake, pace)
            client.converse(**ask())
            with pytest.raises(ReadTimeoutError):
                client.converse(**ask())
            client.converse(**ask())
            assert len(fake.requests) == 2, "the black hole swallowed one"

    at_some_pace(scene)


def test_a_finished_stream_leaves_a_connection_that_may_go_stale_too(fake: FakeBedrock, client: Any) -> None:
    assert len(stream(fake, client, Stale(Afterwards.RESET_NEXT))) == EVENTS
    with pytest.raises(ConnectionClosedError):
        client.converse(**ask())


# --- refusals may go wrong as well, and so may the other operations --------------------------------------------------


def test_a_refusal_can_be_cut(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Refusal("ThrottlingException", "slow down", fault=Cut(5)))
    with pytest.raises(ClientError) as caught:
        client.converse(**ask())
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


@as_measured
def test_counting_has_faults_too(fake: FakeBedrock, client: Any) -> None:
    question = {"converse": {"messages": ask()["messages"]}}
    fake.queue_count(77, Refusal("ThrottlingException", "slow down"), Hangup(reset=True))
    count = {"modelId": "anthropic.claude-sonnet-4-5-20250929-v1:0", "input": question}
    assert client.count_tokens(**count)["inputTokens"] == 77
    with pytest.raises(ClientError, match="slow down"):
        client.count_tokens(**count)
    with pytest.raises(ConnectionClosedError):
        client.count_tokens(**count)
    assert client.count_tokens(**count)["inputTokens"] > 0


@as_measured
def test_the_control_plane_has_faults_too() -> None:
    def scene(pace: int) -> None:
        with FakeBedrock() as fake:
            control = client_of(fake, "bedrock", read_timeout=HASTE * pace)
            fake.queue_control(Refusal("AccessDeniedException", "not you"), Stall(-1))
            with pytest.raises(ClientError, match="not you"):
                control.list_foundation_models()
            with pytest.raises(ReadTimeoutError):
                control.list_foundation_models()
            assert control.list_foundation_models()["modelSummaries"]

    at_some_pace(scene)


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeBedrock, Any]]:
    """A stand-in behind TLS and a client that trusts it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    bundle = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with FakeBedrock(ssl_context=context) as fake:
        options = fake.client_options(retries={"total_max_attempts": 1}, read_timeout=10)
        client = boto3.client("bedrock-runtime", **options, verify=str(bundle))
        yield fake, client
        client.close()


@pytest.mark.parametrize("end", [End.FIN, End.RESET, End.CLOSE_NOTIFY])
@pytest.mark.parametrize("at", [0, 3])
def test_a_stream_behind_tls_that_breaks_off_fails_the_iteration(
    secure: tuple[FakeBedrock, Any], end: End, at: int
) -> None:
    fake, client = secure
    fake.queue(Reply(*ANSWER, fault=Cut(frame_end(at), end)))
    got: list[Any] = []
    with pytest.raises(urllib3.exceptions.ProtocolError):
        events_of(client, got)
    assert len(got) == at + 1
    assert client.converse(**ask())["stopReason"] == "end_turn", "the next call works"


@pytest.mark.parametrize("fault", [Hangup(), Hangup(reset=True)])
def test_a_connection_behind_tls_that_ends_before_the_body_fails_the_call(
    secure: tuple[FakeBedrock, Any], fault: Fault
) -> None:
    fake, client = secure
    fake.queue(Reply(*ANSWER, fault=fault))
    with pytest.raises(ConnectionClosedError):
        client.converse(**ask())


def test_a_reset_inside_headers_behind_tls_never_passes_for_an_answer(secure: tuple[FakeBedrock, Any]) -> None:
    """Up to Python 3.12 it looks like the end of the headers, from 3.13 on like the reset that it is."""
    fake, client = secure
    fake.queue(Reply(*ANSWER, fault=Hangup("inside headers", reset=True)))
    with contextlib.suppress(ConnectionClosedError):
        assert client.converse(**ask()).keys() == {"ResponseMetadata"}


@pytest.mark.parametrize("how", [Afterwards.FIN, Afterwards.RESET])
def test_an_idle_connection_behind_tls_that_was_closed_is_replaced(
    secure: tuple[FakeBedrock, Any], how: Afterwards
) -> None:
    fake, client = secure
    fake.queue(Reply("one", fault=Stale(how)))
    client.converse(**ask())
    assert fake.wait_for(lambda fake: fake.open_connections == 0)
    client.converse(**ask())
    assert fake.connections == 2

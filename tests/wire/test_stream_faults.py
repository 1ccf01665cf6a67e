"""What goes wrong on the wire surfaces as botocore's callers know it, or as more than botocore says; never as silence."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError
from urllib3.exceptions import ProtocolError

from agent.bedrock.errors import TruncatedResponseError
from agent.bedrock.testing import (
    MODELLED_EXCEPTIONS,
    Body,
    Cut,
    End,
    FakeBedrock,
    Framing,
    Hangup,
    Junk,
    Refusal,
    Reply,
    ShortLength,
    Stop,
    StreamError,
    StreamException,
)
from tests.response.frame_bytes import compares_with_todays_botocore

from .streaming import EVENTS, HELLO, QUESTION, bare_client, fast_client, open_stream

PIECES = Reply(HELLO).answer("converse-stream").pieces
BODY = b"".join(piece.data for piece in PIECES)
ENDS = [sum(len(piece.data) for piece in PIECES[: count + 1]) for count in range(EVENTS)]


def outcome(client: Any) -> tuple[list[Any], BaseException | None, Any]:
    """Events, error, stream."""
    events: list[Any] = []
    stream = open_stream(client)
    try:
        events.extend(stream)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        return events, error, stream
    finally:
        stream.close()  # what fails in bare boto3 stays open
    return events, None, stream


def whole_events(size: int) -> int:
    return sum(end <= size for end in ENDS)


@pytest.mark.parametrize("framing", list(Framing))
def test_a_body_that_ends_early_in_good_order_ends_in_an_error_inside_a_frame(
    fake: FakeBedrock, client: Any, framing: Framing
) -> None:
    """Bare boto3 raises nothing here; what ends between two frames is judged by who gathers the answer."""
    for size in [*range(0, len(BODY), 11), *ENDS[:-1]]:
        fake.queue(Reply(HELLO, framing=framing, fault=Cut(size)))
        events, error, stream = outcome(client)
        assert len(events) == whole_events(size)
        assert stream.message_stopped == (whole_events(size) >= EVENTS - 1)
        if size in {0, *ENDS}:
            assert error is None
        else:
            assert isinstance(error, TruncatedResponseError)
            assert error.request_id == stream.request_id


@pytest.mark.parametrize("end", [End.FIN, End.RESET, End.CLOSE_NOTIFY])
def test_a_connection_that_ends_inside_the_body_is_a_protocol_error(wire: Any, end: End) -> None:
    fake, reach = wire
    client = fast_client(fake, **reach)
    for size in [*range(0, len(BODY), 97), *ENDS]:
        fake.queue(Reply(HELLO, fault=Cut(size, end)))
        events, error, _ = outcome(client)
        assert isinstance(error, ProtocolError), f"{size}: {error!r}"
        assert len(events) == whole_events(size)
    client.close()


@pytest.mark.needs_botocore("1.44.0")  # an older one has urllib3 compare the lengths: a connection error
def test_a_short_body_is_truncated_whatever_its_length_promised(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(HELLO, fault=ShortLength(ENDS[2] + 5)))
    events, error, _ = outcome(client)
    assert len(events) == 3
    assert isinstance(error, TruncatedResponseError)


@compares_with_todays_botocore
@pytest.mark.parametrize("fault", [Junk(at=0), Junk(at=3), Body(b"<html>Sign in to the Wi-Fi</html>", "text/html")])
def test_bytes_that_are_no_frame_are_a_checksum_mismatch(fake: FakeBedrock, client: Any, fault: Any) -> None:
    bare = bare_client(fake)
    fake.queue(Reply(HELLO, fault=fault), Reply(HELLO, fault=fault))
    events, error, _ = outcome(client)
    expected, known, _ = outcome(bare)
    assert events == expected
    assert isinstance(error, ChecksumMismatch)
    assert str(error) == str(known)
    bare.close()


def test_headers_that_end_early_make_a_stream_without_events(fake: FakeBedrock, client: Any) -> None:
    head = len("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n")
    fake.queue(Reply(HELLO, fault=Hangup("inside headers", after=head)))
    events, error, stream = outcome(client)
    assert (events, error, stream.message_stopped) == ([], None, False)


@compares_with_todays_botocore
@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize(
    "fault",
    [
        *(StreamException(name) for name in MODELLED_EXCEPTIONS),
        StreamException("throttlingException", None),
        StreamError(),
    ],
)
def test_a_fault_that_the_service_reports_is_botocores_error(
    fake: FakeBedrock, client: Any, fault: StreamException | StreamError, at: int
) -> None:
    bare = bare_client(fake)
    reply = Reply(HELLO, fault=replace(fault, at=at), headers={"x-amzn-RequestId": "r-1"})
    fake.queue(reply, reply)
    events, error, _ = outcome(client)
    expected, known, _ = outcome(bare)
    assert len(events) == at
    assert events == expected
    assert isinstance(error, EventStreamError)
    assert isinstance(known, EventStreamError)
    assert str(error) == str(known)
    assert error.response["Error"] == known.response["Error"]
    assert error.operation_name == known.operation_name == "ConverseStream"
    assert error.response["ResponseMetadata"]["RequestId"] == "r-1"
    bare.close()


def test_an_exception_that_botocore_does_not_know_keeps_its_name_and_message(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(HELLO, fault=StreamException("modelMeltedException", "Too hot", members={"degrees": 3000})))
    _, error, _ = outcome(client)
    assert isinstance(error, EventStreamError)
    assert error.response["Error"] == {"Code": "modelMeltedException", "Message": "Too hot"}
    assert error.response["degrees"] == 3000
    assert "(modelMeltedException) when calling the ConverseStream operation: Too hot" in str(error)


def test_an_http_error_is_botocores_own(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Refusal("ThrottlingException", "slow down"), Refusal.html(503))
    with pytest.raises(ClientError, match="slow down"):
        client.converse_stream(**QUESTION)
    with pytest.raises(ClientError, match="503"):
        client.converse_stream(**QUESTION)


@pytest.mark.parametrize("stop", ["messageStart", "messageStop", "metadata"])
def test_whether_message_stop_was_there_is_known(fake: FakeBedrock, client: Any, stop: str) -> None:
    fake.queue(Reply(HELLO, fault=Stop(stop)))
    _, error, stream = outcome(client)
    assert error is None
    assert stream.message_stopped == (stop == "metadata")


def test_after_any_fault_the_next_call_works(wire: Any) -> None:
    fake, reach = wire
    client = fast_client(fake, **reach)
    for fault in (Cut(50, End.RESET), Junk(), StreamException(), Cut(50), Hangup("body"), Hangup("body", reset=True)):
        fake.queue(Reply(HELLO, fault=fault))
        with contextlib.suppress(Exception):
            list(open_stream(client))
        assert len(list(open_stream(client))) == EVENTS
    client.close()

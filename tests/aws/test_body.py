"""Bodies as bytes: HTTP framing undone, patience kept, the end decided once."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.aws import body
from agent.bedrock.aws.body import (
    MAX_LINE_LENGTH,
    NO_HURRY,
    Chunked,
    Counted,
    NoChunkError,
    Patience,
    PlainBody,
    Unframed,
    open_body,
)
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, IdleTimeoutError
from tests.moments import PATIENCE
from tests.response.frame_bytes import cut

# --- framing ------------------------------------------------------------------------------------------------------


def chunked(chunks: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    body = b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk)
    return body + b"0\r\n" + trailers + b"\r\n"


@given(
    chunks=st.lists(st.binary(max_size=40), max_size=5),
    extension=st.sampled_from([b"", b";name=value", b" ; a"]),
    trailers=st.sampled_from([b"", b"A: 1\r\n", b"A: 1\r\nB: 2\r\n"]),
    places=st.lists(st.integers(0, 500), max_size=9),
    surplus=st.sampled_from([b"", b"HTTP/1.1 200 OK"]),
)
def test_chunks_come_out_as_they_went_in_however_they_arrive(
    chunks: list[bytes], extension: bytes, trailers: bytes, places: list[int], surplus: bytes
) -> None:
    wire = chunked(chunks, extension, trailers)
    framing = Chunked()
    assert b"".join(framing.feed(piece) for piece in cut(wire, places)) == b"".join(chunks)
    assert framing.ended
    assert not framing.surplus
    assert Chunked().feed(wire + surplus) == b"".join(chunks)


def test_every_byte_of_a_chunk_is_passed_on_at_once() -> None:
    framing = Chunked()
    assert [framing.feed(bytes((byte,))) for byte in b"5\r\nhello\r\n2\r\n"] == [
        *[b""] * 3, b"h", b"e", b"l", b"l", b"o", *[b""] * 5,
    ]  # fmt: skip
    assert framing.feed(b"yo\r\n0\r\n\r\nmore") == b"yo"
    assert framing.ended
    assert framing.surplus


@pytest.mark.parametrize("line", [b"", b"xyz", b"-5", b";only=extension", b"<html>"])
def test_a_line_that_is_no_chunk_size_is_an_error(line: bytes) -> None:
    with pytest.raises(NoChunkError) as caught:
        Chunked().feed(line + b"\r\nabc")
    assert caught.value.line == line


def test_a_trailer_that_looks_like_a_chunk_size_is_a_trailer() -> None:
    framing = Chunked()
    assert framing.feed(b"5\r\nhello\r\n0\r\n5\r\n\r\nmore") == b"hello"
    assert (framing.ended, framing.surplus) == (True, True)


def test_what_is_remembered_of_chunk_sizes_is_bounded() -> None:
    for size in range(1, body.REMEMBERED_SIZES + 100):
        Chunked().feed(b"%x\r\n" % size)
        Chunked().feed(b"%x;extension\r\n" % size)
    assert len(body._SIZES) <= body.REMEMBERED_SIZES
    assert max(map(len, body._SIZES)) <= 8


def test_a_line_without_end_is_an_error_before_it_fills_the_memory() -> None:
    framing = Chunked()
    framing.feed(b"5;" + b"x" * (MAX_LINE_LENGTH - 2))
    with pytest.raises(NoChunkError, match="5;xxx"):
        framing.feed(b"x")


@pytest.mark.parametrize(
    ("arrived", "wrong"),
    [
        (b"", "Response ended prematurely"),
        (b"5", "Response ended prematurely"),
        (b"5\r\nhello", "Response ended prematurely"),
        (b"5\r\nhello\r\n", "Response ended prematurely"),
        (b"5\r\nhe", "Connection broken: IncompleteRead(3 more expected)"),
        (b"0\r\n", None),
        (b"0\r\nA: 1\r\n", None),
    ],
)
def test_an_end_before_the_last_chunk_is_wrong(arrived: bytes, wrong: str | None) -> None:
    framing = Chunked()
    framing.feed(arrived)
    assert framing.end_of_input() == wrong
    assert not framing.ended


def test_a_counted_body_ends_with_its_last_byte() -> None:
    framing = Counted(5, enforced=True)
    assert framing.feed(b"abc") == b"abc"
    assert framing.end_of_input() == "Connection broken: IncompleteRead(2 more expected)"
    assert framing.feed(b"defg") == b"de"
    assert (framing.ended, framing.surplus) == (True, True)
    assert Counted(0, enforced=True).ended
    assert Counted(5, enforced=False).end_of_input() is None


def test_a_body_without_framing_ends_with_the_connection() -> None:
    framing = Unframed()
    assert framing.feed(b"abc") == b"abc"
    assert (framing.ended, framing.end_of_input()) == (False, None)


# --- patience -----------------------------------------------------------------------------------------------------


def test_without_limits_one_waits_for_ever() -> None:
    assert NO_HURRY.wait(100.0, idle_since=50.0) is None
    assert NO_HURRY.constant


@pytest.mark.parametrize(
    ("patience", "idle_since", "wait"),
    [
        (Patience(idle_timeout=10), None, None),
        (Patience(idle_timeout=10), 95.0, 5.0),
        (Patience(idle_timeout=0), 5.0, None),
        (Patience(deadline=130.0), None, 30.0),
        (Patience(idle_timeout=10, deadline=102.0), 95.0, 2.0),
        (Patience(deadline=100.01), None, pytest.approx(0.01)),
        (Patience(deadline=100.0000001), None, 0.001),
    ],
)
def test_the_nearest_limit_says_how_long_to_wait(patience: Patience, idle_since: float | None, wait: Any) -> None:
    assert patience.wait(100.0, idle_since) == wait


@pytest.mark.parametrize(
    ("patience", "error"),
    [
        (Patience(idle_timeout=10), IdleTimeoutError),
        (Patience(deadline=100.0), DeadlineExceededError),
        (Patience(idle_timeout=10, deadline=99.0), DeadlineExceededError),
    ],
)
def test_a_limit_that_has_passed_is_an_error(patience: Patience, error: type[Exception]) -> None:
    with pytest.raises(error):
        patience.wait(100.0, idle_since=90.0)


# --- bodies that are not urllib3's own ----------------------------------------------------------------------------


class Stub:
    """What a test double of an HTTP response offers: portions, and a way to close."""

    def __init__(self, *portions: bytes | Exception) -> None:
        self._portions = portions
        self.closed = 0

    def stream(self) -> Iterator[bytes]:
        for portion in self._portions:
            if isinstance(portion, Exception):
                raise portion
            yield portion

    def close(self) -> None:
        self.closed += 1


def test_a_stub_is_read_through_its_stream() -> None:
    stub = Stub(b"ab", b"c")
    body = open_body(stub)
    assert isinstance(body, PlainBody)
    assert [body.receive(0.0) for _ in range(4)] == [b"ab", b"c", b"", b""]
    body.close()
    assert stub.closed == 0, "a body that has ended is not closed again"


def test_an_error_while_reading_closes_the_body() -> None:
    stub = Stub(b"ab", OSError("gone"))
    body = open_body(stub)
    assert body.receive(0.0) == b"ab"
    with pytest.raises(OSError, match="gone"):
        body.receive(0.0)
    assert stub.closed == 1
    with pytest.raises(CallInterruptedError):
        body.receive(0.0)


def test_a_closed_body_gives_nothing_more() -> None:
    body = open_body(Stub(b"ab", b"cd"))
    body.receive(0.0)
    body.close()
    with pytest.raises(CallInterruptedError):
        body.receive(0.0)


def test_a_plain_body_keeps_to_its_patience_between_two_reads() -> None:
    body = open_body(Stub(b"ab", b"cd"))
    body.watch(Patience(deadline=0.0))
    with pytest.raises(DeadlineExceededError):
        body.receive(0.0)


class Unchunked(Stub):
    """A response with the bytes of a body without chunks, of which `stream()` would wait for 64 KiB."""

    chunked = False

    def read1(self, size: int) -> bytes | None:
        portion = self._portions[0] if self._portions else None
        self._portions = self._portions[1:]
        assert not isinstance(portion, Exception)
        return portion


def test_a_plain_body_without_chunks_takes_what_is_there() -> None:
    body = open_body(Unchunked(b"ab", b"c"))
    assert [body.receive(0.0) for _ in range(3)] == [b"ab", b"c", b""]


class Green(socket.socket):
    """A socket whose waits somebody else's loop does, as gevent's and eventlet's are."""


@pytest.mark.parametrize(
    "make", [Green, lambda: ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="localhost")]
)
def test_only_a_socket_of_the_standard_library_without_tls_waits_in_the_kernel(make: Callable[[], Any]) -> None:
    with make() as other, socket.socket() as plain:
        assert not in_a_thread(body.kernel_can_keep_time, other)
        assert in_a_thread(body.kernel_can_keep_time, plain) is (sys.platform == "linux" and sys.maxsize > 2**32)
        assert not body.kernel_can_keep_time(plain), "signals go to the main thread, and begin a recv again"


def in_a_thread(ask: Callable[[Any], bool], what: Any) -> bool:
    """What it answers in another thread."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(ask(what)))
    thread.start()
    thread.join(5)
    return answers[0]


class Blocking(Stub):
    """A response whose read blocks until it is shut down."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self._woken = threading.Event()

    def stream(self) -> Iterator[bytes]:
        self.reading.set()
        assert self._woken.wait(5)
        yield b"too late"

    def shutdown(self) -> None:
        self._woken.set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel is not asked")
def test_a_wait_of_less_than_a_microsecond_is_none_for_ever() -> None:
    ours, theirs = socket.socketpair()
    body._limit_in_kernel(ours, 1e-7)
    ended = threading.Event()
    rescue = threading.Thread(target=lambda: ended.wait(PATIENCE) or theirs.shutdown(socket.SHUT_RDWR))
    with ours, theirs:
        rescue.start()
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        ended.set()
        rescue.join()


def test_closing_a_plain_body_wakes_its_reader_who_then_closes_it() -> None:
    stub = Blocking()
    body = open_body(stub)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            body.receive(0.0)
        except CallInterruptedError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert stub.reading.wait(5)
    with pytest.raises(RuntimeError, match="another thread"):
        body.receive(0.0)
    body.close()
    reader.join(5)
    assert len(errors) == 1
    assert stub.closed == 1

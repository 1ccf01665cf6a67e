"""Bodies as bytes: patience kept, the end decided once."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from agent.bedrock.aws import body
from agent.bedrock.aws.body import NO_HURRY, Patience, PlainBody, open_body
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, IdleTimeoutError
from tests.moments import PATIENCE

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


def test_a_response_that_is_not_http_clients_is_read_through_its_stream() -> None:
    """urllib3-future has one of its own, over sockets that it reads itself."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as buffered:
        stub: Any = Stub(b"ab")
        stub._fp, stub.length_remaining = SimpleNamespace(fp=buffered), None
        body = open_body(stub)
        assert isinstance(body, PlainBody)
        assert body.receive(0.0) == b"ab"


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

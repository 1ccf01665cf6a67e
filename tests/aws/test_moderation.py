"""Wake-ups saved in a crowd of brisk streams: when a delta waits for the next one, and when it does not."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import pytest

from agent.bedrock.aws.moderation import BRISK, CROWD, READERS, SMALL, Moderation, can_be_moderated

DELTA = 200

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the kernel gathers on Linux")


@pytest.fixture
def crowd() -> Iterator[list[Moderation]]:
    """All streams of a crowd, which has one more than it needs to be one."""
    sockets = [socket.socket() for _ in range(CROWD + 1)]
    streams = [Moderation(sock) for sock in sockets]
    yield streams
    for stream, sock in zip(streams, sockets, strict=True):
        stream.leave()
        sock.close()


def tells_from(stream: Moderation) -> int:
    """From how many bytes on the kernel wakes a stream's reader."""
    size: int = stream._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    return size


def read(stream: Moderation, gap: float, size: int = DELTA, times: int = 40) -> bool:
    """Read so often, until the stream gathers or ceases to; whether it gathers then."""
    for _ in range(times):
        if stream.review(gap, size):
            break
    return stream.gathering


def test_a_stream_that_is_none_of_a_crowd_is_told_of_every_byte(crowd: list[Moderation]) -> None:
    for stream in crowd[2:]:
        stream.leave()
    assert not read(crowd[0], 0.001)
    assert tells_from(crowd[0]) == 1


def test_of_a_crowd_a_brisk_stream_is_told_of_three_deltas(crowd: list[Moderation]) -> None:
    assert read(crowd[0], 0.002)
    assert 2 * DELTA < tells_from(crowd[0]) <= 3 * DELTA
    assert tells_from(crowd[1]) == 1, "of itself only"


@pytest.mark.parametrize(("gap", "size"), [(BRISK, DELTA), (0.1, DELTA), (0.001, SMALL), (0.001, 16384)])
def test_a_slow_stream_is_not_nor_one_of_large_deltas(crowd: list[Moderation], gap: float, size: int) -> None:
    assert not read(crowd[0], gap, size)
    assert tells_from(crowd[0]) == 1


def test_a_burst_in_a_slow_stream_is_too_little(crowd: list[Moderation]) -> None:
    for gap in [0.05, 0.001, 0.001, 0.001] * 10:
        assert not crowd[0].review(gap, DELTA)


def test_the_least_of_the_deltas_says_what_three_are(crowd: list[Moderation]) -> None:
    assert any(crowd[0].review(0.001, size) for size in (300, 120, 700, 300) * 10)
    assert crowd[0].gathering
    assert 2 * 120 < tells_from(crowd[0]) <= 120 + 300


def test_waiting_in_vain_ends_it(crowd: list[Moderation]) -> None:
    read(crowd[0], 0.002)
    assert not crowd[0].review(0.02, 2 * DELTA), "late, but two"
    assert crowd[0].review(0.01, DELTA)
    assert not crowd[0].gathering
    assert tells_from(crowd[0]) == 1
    assert not crowd[0].review(0.002, DELTA), "and not again at once"


@pytest.mark.usefixtures("crowd")
def test_two_deltas_over_tls_are_read_one_by_one() -> None:
    """One after a wait for both, the other at once: each in a record of its own."""
    with ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="a") as sock:
        stream = Moderation(sock)
        assert read(stream, 0.003)
        assert not any(stream.review(gap, DELTA) for gap in (0.006, 0.0001) * 20)
        assert tells_from(stream) > 1
        stream.leave()


def test_bursts_with_pauses_are_seldom_taken_for_a_brisk_stream(crowd: list[Moderation]) -> None:
    gathered = 0
    for gap in (*[0.0005] * 6, 0.02) * 100:
        crowd[0].review(gap, DELTA)  # in vain where it gathers: no burst has two more
        gathered += crowd[0].gathering
    assert 0 < gathered < 30


def test_a_brisk_stream_that_pauses_at_times_gathers_again_as_soon_as_before(crowd: list[Moderation]) -> None:
    for _ in range(20):
        assert read(crowd[0], 0.002, times=12)
        assert read(crowd[0], 0.004, 2 * DELTA), "and goes on"
        assert not read(crowd[0], 0.02)


def test_a_kernel_that_cannot_gather_is_not_an_error(crowd: list[Moderation]) -> None:
    class Refusing:
        def setsockopt(self, *_option: object) -> None:
            raise OSError(92, "Protocol not available")

    crowd[0]._socket = Refusing()
    assert not read(crowd[0], 0.002)
    crowd[0].end()


def test_it_ends_with_the_crowd(crowd: list[Moderation]) -> None:
    read(crowd[0], 0.002)
    for stream in crowd[-2:]:
        stream.leave()
    assert crowd[0].review(0.001, 2 * DELTA)
    assert tells_from(crowd[0]) == 1


def test_whoever_leaves_twice_is_gone_once(crowd: list[Moderation]) -> None:
    before = len(READERS)
    crowd[0].leave()
    crowd[0].leave()
    assert len(READERS) == before - 1


def test_whoever_is_dropped_without_a_word_is_gone_too() -> None:
    before = len(READERS)
    with socket.socket() as sock:
        stream = Moderation(sock)
        assert len(READERS) == before + 1
        del stream
    assert len(READERS) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
@pytest.mark.usefixtures("crowd")
def test_a_forked_child_has_no_crowd() -> None:
    child = os.fork()
    if child == 0:
        os._exit(len(READERS))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(READERS) > CROWD


def test_only_sockets_of_the_standard_library_are_moderated(monkeypatch: pytest.MonkeyPatch) -> None:
    class Green(socket.socket):
        """As gevent has it."""

    Green.__module__ = "gevent._socket3"
    with socket.socket() as plain, Green() as green:
        assert not can_be_moderated(green)
        monkeypatch.setattr("sys.platform", "linux")
        assert can_be_moderated(plain)
        monkeypatch.setattr("sys.platform", "darwin")
        assert not can_be_moderated(plain)

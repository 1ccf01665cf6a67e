"""A stream that ran to its end gives its connection back; one that was left closes it; nothing leaks."""

from __future__ import annotations

import gc
import socket
import struct
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.bedrock.testing import Cut, End, FakeBedrock, Flip, Framing, Reply, Stall, StreamException
from tests.moments import comes_true

from .streaming import EVENTS, HELLO, QUESTION, authority_file, fast_client, open_stream, server_context

if TYPE_CHECKING:
    from agent.bedrock.testing.wire import Answer


def closed(fake: FakeBedrock) -> bool:
    """Whether the stand-in soon sees all connections closed."""
    return fake.wait_for(lambda fake: fake.open_connections == 0)


def one(fake: FakeBedrock) -> bool:
    """Whether the stand-in has one open connection and has never had another."""
    return fake.connections == 1 and fake.open_connections == 1


@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.LENGTH])
def test_streams_that_ran_to_the_end_share_one_connection(wire: Any, framing: Framing) -> None:
    fake, reach = wire
    client = fast_client(fake, **reach)
    for _ in range(5):
        fake.queue(Reply(HELLO, framing=framing), Reply(HELLO, framing=framing, pace=0.001))
        for _ in range(2):
            assert len(list(open_stream(client))) == EVENTS
        assert client.converse(**QUESTION)["output"]
    assert one(fake)
    client.close()


def test_the_connection_is_back_before_the_last_event_is_delivered(fake: FakeBedrock, client: Any) -> None:
    """Whoever stops at `metadata` does not pay for it with a new connection, if the end had come along."""
    for _ in range(3):
        for event in open_stream(client):
            if "metadata" in event:
                break
    assert one(fake)


def test_a_stream_that_the_end_of_the_connection_ends_leaves_none(fake: FakeBedrock, client: Any) -> None:
    for _ in range(2):
        fake.queue(Reply(HELLO, framing=Framing.EOF))
        assert len(list(open_stream(client))) == EVENTS
        assert closed(fake)
    assert fake.connections == 2


def test_the_read_timeout_of_the_connection_is_as_before(fake: FakeBedrock) -> None:
    """A deadline shortens the socket's timeout; the next request on the connection must not inherit it."""
    client = fast_client(fake, read_timeout=20)
    stream = open_stream(client)
    stream.watch(deadline=10**9)
    sock = stream._raw_stream.connection.sock
    stream.watch(idle_timeout=0.5)
    for event in stream:
        if "contentBlockDelta" in event:
            sock.settimeout(0.5)
    assert len(list(open_stream(client))) == EVENTS
    assert sock.gettimeout() == 20
    assert one(fake)
    client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Python keeps the time")
def test_the_kernel_keeps_the_time_of_a_plain_stream_and_of_nothing_after_it(fake: FakeBedrock) -> None:
    client, go_on = fast_client(fake, read_timeout=20), threading.Event()
    fake.queue(Reply(HELLO, fault=Stall(3, until=go_on)))
    stream = open_stream(client)
    sock = stream._raw_stream.connection.sock
    reader = threading.Thread(target=list, args=(stream,))
    reader.start()
    while_read = comes_true(lambda: (sock.gettimeout(), kernel_limit(sock)) == (None, 20))
    go_on.set()
    reader.join()
    assert while_read, "a wait is one recv, and the kernel ends it"
    assert (sock.gettimeout(), kernel_limit(sock)) == (20, 0)
    assert one(fake)
    client.close()


def kernel_limit(sock: socket.socket) -> int:
    """Seconds after which the kernel ends a wait, rounded; 0: never."""
    seconds, microseconds = struct.unpack("@ll", sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))
    return int(seconds + (microseconds > 500_000))


def test_a_loop_that_is_left_by_break_closes_the_connection(wire: Any) -> None:
    fake, reach = wire
    client = fast_client(fake, **reach)
    fake.queue(Reply(HELLO, fault=Stall(2)))
    response = client.converse_stream(**QUESTION)
    for _event in response["stream"]:
        break
    assert closed(fake)
    assert response["stream"] is not None, "the stream is closed although somebody still holds it"
    assert len(list(open_stream(client))) == EVENTS
    client.close()


def test_an_exception_in_the_loop_closes_the_connection(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(HELLO, fault=Stall(2)))

    def fail() -> None:
        for _event in open_stream(client):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert closed(fake)
    assert caught.tb is not None, "although the traceback still holds the frame that had the stream"


def test_a_stream_that_nobody_read_closes_its_connection_when_it_is_dropped(fake: FakeBedrock, client: Any) -> None:
    stream = open_stream(client)
    alive = weakref.ref(stream)
    assert fake.open_connections == 1
    del stream
    assert alive() is None, "the last reference is enough, the collector is not needed"
    assert closed(fake)


def test_a_stream_in_a_reference_cycle_closes_its_connection_when_it_is_collected(
    fake: FakeBedrock, client: Any
) -> None:
    fake.queue(Reply(HELLO, fault=Stall(2)))
    cycle: list[Any] = [open_stream(client)]
    cycle += [iter(cycle[0]), cycle]
    next(cycle[1])
    del cycle
    gc.collect()
    assert closed(fake)


def test_closing_again_and_again_does_no_harm(fake: FakeBedrock, client: Any) -> None:
    stream = open_stream(client)
    stream.close()
    stream.close()
    assert closed(fake)
    finished = open_stream(client)
    assert len(list(finished)) == EVENTS
    finished.close()
    assert list(finished) == []
    assert fake.open_connections == 1, "closing a stream that has ended does not take the connection from the pool"


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        (Cut(100, End.FIN), 0),
        (Cut(100, End.RESET), 0),
        ((Flip(100), Stall(4)), 0),
        ((StreamException("throttlingException", at=3), Stall(4)), 0),
        # The HTTP response is whole, whatever is wrong in it: the connection is as good as any.
        (Cut(100), 1),
        (Flip(100), 1),
        (StreamException("throttlingException", at=3), 1),
    ],
)
def test_a_stream_that_fails_leaves_no_connection_in_doubt(
    fake: FakeBedrock, client: Any, fault: Any, kept: int
) -> None:
    fake.queue(Reply(HELLO, fault=fault))
    stream = open_stream(client)
    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is another test's concern
        list(stream)
    assert fake.wait_for(lambda fake: fake.open_connections == kept)
    assert len(list(open_stream(client))) == EVENTS
    assert fake.connections == 2 - kept


class Surplus:
    """More bytes follow the end of the chunked body."""

    def apply(self, answer: Answer) -> Answer:
        last = answer.pieces[-1]
        body = b"%x\r\n%b\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" % (len(last.data), last.data)
        raw = replace(last, data=body[body.index(b"\r\n") + 2 :], promised=len(last.data))
        return replace(answer, pieces=[*answer.pieces[:-1], raw])


def test_a_connection_with_bytes_left_on_it_is_not_used_again(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(HELLO, fault=Surplus()))
    assert len(list(open_stream(client))) == EVENTS
    assert len(list(open_stream(client))) == EVENTS
    assert fake.connections == 2


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the process's files as Linux lists them")
def test_neither_files_nor_threads_are_left_behind(fake: FakeBedrock, client: Any) -> None:
    list(open_stream(client))
    files, threads = _open_files(), threading.active_count()
    for number in range(30):
        fake.queue(Reply(HELLO, fault=None if number % 3 else Stall(number % EVENTS)))
        stream = open_stream(client)
        if number % 3:
            list(stream)
        else:
            stream.close()
    assert fake.wait_for(lambda fake: fake.open_connections <= 1)
    assert comes_true(lambda: threading.active_count() == threads)
    assert comes_true(lambda: _open_files() <= files)


@pytest.mark.parametrize("tls", [False, True])
def test_fifty_streams_at_once_share_nothing_but_the_pool(tls: bool, tmp_path: Path) -> None:
    both_waves = threading.Event(), threading.Event()

    def echo(request: Any) -> Reply:
        """Who asked, when all of the wave have asked: who is answered sooner lends its connection to who comes later."""
        number = request.body["messages"][0]["content"][0]["text"]
        together = Stall(-1, until=both_waves[request.serial > MANY])
        return Reply(f"I am number {number} and nobody else", delta_size=3, pace=0.001, fault=together)

    def send_off() -> None:
        for number, wave in enumerate(both_waves, start=1):
            fake.wait_for(lambda fake, number=number: len(fake.requests) == MANY * number, timeout=60)  # type: ignore[misc]
            wave.set()

    with FakeBedrock(echo, ssl_context=server_context() if tls else None) as fake:
        sending = threading.Thread(target=send_off)
        sending.start()
        _many_streams(fake, {"verify": authority_file(tmp_path)} if tls else {})
        sending.join()


MANY = 50


def _many_streams(fake: FakeBedrock, reach: dict[str, Any]) -> None:
    client = fast_client(fake, max_pool_connections=MANY, **{"read_timeout": 60, **reach})
    ready = threading.Barrier(MANY, timeout=60)
    wrong: list[Any] = []

    def turn(number: int) -> None:
        for _ in range(2):
            ready.wait()
            messages = [{"role": "user", "content": [{"text": f"{number}"}]}]
            events = list(client.converse_stream(modelId=QUESTION["modelId"], messages=messages)["stream"])
            text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
            if text != f"I am number {number} and nobody else":
                wrong.append(text)

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert fake.connections == MANY, "the second wave needed no new connection"
    client.close()

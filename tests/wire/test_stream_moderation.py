"""A crowd of brisk streams over real sockets: fewer wake-ups, nothing lost, nobody kept waiting, sockets left as they were."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest

from agent.bedrock.aws import body, moderation
from agent.bedrock.aws.moderation import READERS, Moderation
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, IdleTimeoutError
from agent.bedrock.testing import FakeBedrock, Reply, Stall, Text
from tests.moments import at_some_pace, comes_true, in_some_try, prompt

from .streaming import fast_client, open_stream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel gathers on Linux")

TEXTS = [f"word {number:04} " for number in range(60)]
BRISK_REPLY = Reply(Text(TEXTS), pace=0.002)


@pytest.fixture(autouse=True)
def a_crowd_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two streams are many here, and a pace that a busy machine keeps is brisk."""
    for module in (moderation, body):
        monkeypatch.setattr(module, "CROWD", 2)
    monkeypatch.setattr(moderation, "BRISK", 1.0)
    monkeypatch.setattr(moderation, "_DOUBT", 1.0)
    monkeypatch.setattr(moderation, "_GREATEST_DOUBT", 1.0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From how many bytes on sockets were to tell, each time that was said."""
    said: list[int] = []
    tell_from = Moderation._tell_from

    def note(self: Moderation, size: int) -> None:
        said.append(size)
        tell_from(self, size)

    monkeypatch.setattr(Moderation, "_tell_from", note)
    return said


@pytest.fixture
def company(fake: FakeBedrock) -> Iterator[None]:
    """Another stream that is being read, so that a single one is of a crowd."""
    before = len(READERS)
    fake.queue(Reply(Text(("a", "b", "c")), fault=Stall(2)))
    client = fast_client(fake)
    stream = open_stream(client)
    events = iter(stream)
    list(islice(events, 2))

    def wait() -> None:
        with pytest.raises(CallInterruptedError):
            next(events)

    reader = threading.Thread(target=wait)
    reader.start()
    assert comes_true(lambda: len(READERS) > before)
    yield
    stream.close()
    reader.join()
    client.close()
    assert len(READERS) == before


def _text(events: Any) -> list[str]:
    return [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]


@in_some_try
def test_all_of_a_crowd_arrives_and_the_sockets_are_as_before(wire: Any, told: list[int]) -> None:
    fake, reach = wire
    before = len(READERS)
    fake.queue(*[BRISK_REPLY] * 8)
    client = fast_client(fake, max_pool_connections=8, **reach)
    streams: list[Any] = []

    def read(_number: int) -> list[str]:
        stream = open_stream(client)
        streams.append(stream)
        return _text(stream)

    with ThreadPoolExecutor(8) as readers:
        for answer in readers.map(read, range(8)):
            assert answer == TEXTS
    assert any(size > 1 for size in told), "they gathered"
    assert len(READERS) == before, "nobody reads any more"
    for sock in _pooled_sockets(client):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == bytes(16)
        assert sock.gettimeout() == 20
    client.close()


def _pooled_sockets(client: Any) -> list[Any]:
    pools = client._endpoint.http_session._manager.pools
    [pool] = [pools[key] for key in pools.keys()]  # noqa: SIM118 - urllib3's container refuses to be iterated
    found = [connection.sock for connection in pool.pool.queue if connection is not None]
    assert found
    return found


@pytest.mark.usefixtures("company")
class TestOne:
    """One brisk stream of a crowd."""

    def test_has_fewer_reads_than_deltas(self, fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []
        review = Moderation.review

        def note(self: Moderation, gap: float, size: int) -> bool:
            sizes.append(size)
            return review(self, gap, size)

        monkeypatch.setattr(Moderation, "review", note)
        monkeypatch.setattr(body, "WINDOW", 1.0)  # which two deltas keep to on a busy machine, too
        fake.queue(Reply(Text(TEXTS * 3), pace=0.002))
        client = fast_client(fake)
        assert _text(_read_elsewhere(lambda: list(open_stream(client)))) == TEXTS * 3
        assert len(sizes) < 0.8 * len(TEXTS * 3)
        client.close()

    @pytest.mark.parametrize("where", ["main", "worker"])
    @pytest.mark.usefixtures("company")
    def test_gets_its_last_delta_though_no_other_comes(self, wire: Any, told: list[int], where: str) -> None:
        """Each number of deltas, so that the last one is at times the first of two."""
        fake, reach = wire
        for count in range(40, 44):
            fake.queue(Reply(Text(TEXTS), pace=0.002, fault=Stall(count)))
            client = fast_client(fake, **reach)
            stream = open_stream(client)

            def read(stream: Any = stream, count: int = count) -> list[Any]:
                return list(islice(stream, count))

            assert len(read() if where == "main" else _read_elsewhere(read)) == count
            client.close()
        assert any(size > 1 for size in told), "they gathered"

    @pytest.mark.parametrize(("text", "pace"), [(TEXTS[:15], 0.05), (["x" * 2000] * 60, 0.002)])
    def test_of_slow_or_of_large_deltas_is_left_alone(
        self, fake: FakeBedrock, told: list[int], monkeypatch: pytest.MonkeyPatch, text: list[str], pace: float
    ) -> None:
        monkeypatch.setattr(moderation, "BRISK", 0.02)
        monkeypatch.setattr(moderation, "_DOUBT", 0.04)
        fake.queue(Reply(Text(text), pace=pace))
        client = fast_client(fake)
        stream = open_stream(client)
        assert _read_elsewhere(lambda: [len(told) for event in stream if "contentBlockDelta" in event]) == [0] * len(
            text
        )
        client.close()

    def test_is_woken_by_a_close(self, wire: Any, told: list[int]) -> None:
        assert prompt(lambda: self._seconds_until_woken(wire))
        assert any(size > 1 for size in told), "it gathered"

    def _seconds_until_woken(self, wire: Any) -> float:
        fake, reach = wire
        fake.queue(Reply(Text(TEXTS), pace=0.002, fault=Stall(50)))
        client = fast_client(fake, **reach)
        stream = open_stream(client)
        events = iter(stream)
        woken: list[float] = []

        def read() -> None:
            with pytest.raises(CallInterruptedError):
                list(events)
            woken.append(time.monotonic())

        reader = threading.Thread(target=read)
        reader.start()
        assert comes_true(lambda: stream._body.waiting_since is not None)
        time.sleep(0.2)
        began = time.monotonic()
        stream.close()
        reader.join(10)
        client.close()
        return woken[0] - began

    @pytest.mark.parametrize("limit", ["idle", "deadline", "idle and a deadline"])
    def test_keeps_to_its_limits(self, wire: Any, told: list[int], limit: str) -> None:
        fake, reach = wire

        def scene(pace: int) -> None:
            told.clear()
            fake.queue(Reply(Text(TEXTS), pace=0.002, fault=Stall(50)))
            client = fast_client(fake, idle_timeout=0 if limit == "deadline" else 0.4 * pace, **reach)
            stream = open_stream(client)
            if limit != "idle":
                stream.watch(deadline=time.monotonic() + (0.8 * pace if limit == "deadline" else 60))
            events: list[Any] = []
            with pytest.raises(DeadlineExceededError if limit == "deadline" else IdleTimeoutError):
                _read_elsewhere(lambda: events.extend(iter(stream)))
            client.close()
            assert len(events) == 50
            assert any(size > 1 for size in told), "it gathered"
            assert told[-1] == 1, "in silence there is nothing to gather"

        at_some_pace(scene)


def _read_elsewhere(what: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(what).result(30)

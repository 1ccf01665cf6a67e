"""Connections that went stale: the next call works, the pool is emptied, the streams of others live on."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as SilentError

from agent.bedrock.aws import pace
from agent.bedrock.errors import IdleTimeoutError
from agent.bedrock.testing import Afterwards, Cut, End, FakeBedrock, Fault, Refusal, Reply, Stale, Stall
from tests.moments import at_some_pace

from .guarded import BOTH, HELLO, asking, guarded, streamed, whole


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with pace.no_waiting():
        yield


@pytest.mark.parametrize("ask", BOTH)
@pytest.mark.parametrize("how", [Afterwards.FIN, Afterwards.RESET, Afterwards.RESET_NEXT])
def test_one_that_the_peer_gave_up_is_replaced_unnoticed(ask: Callable[..., Any], how: Afterwards) -> None:
    with FakeBedrock([Reply("one", fault=Stale(how)), Reply("two")]) as fake:
        client = guarded(fake)
        assert ask(client).message.content == "one"
        fake.wait_for(lambda fake: how in (Afterwards.KEEP, Afterwards.RESET_NEXT) or fake.open_connections == 0)
        assert ask(client).message.content == "two"


def test_a_black_hole_costs_one_read_timeout_and_takes_the_others_with_it() -> None:
    """Five connections that all went dead: without emptying the pool each would cost its own timeout."""

    def scene(pace: int) -> None:
        all_have_come = threading.Event()
        dead = Reply("x", fault=(Stall(-1, until=all_have_come), Stale(Afterwards.BLACK_HOLE)))
        with FakeBedrock([dead] * 5) as fake, ThreadPoolExecutor(5) as pool:
            client = guarded(fake, read_timeout=0.4 * pace)
            first = [pool.submit(whole, client) for _ in range(5)]
            assert fake.wait_for(lambda fake: len(fake.requests) == 5)
            all_have_come.set()
            for one in first:
                one.result()
            assert fake.connections == 5
            with pytest.raises(ReadTimeoutError):
                whole(client)
            for _ in range(6):
                whole(client)
            assert fake.connections == 6

    at_some_pace(scene)


@pytest.mark.parametrize(
    ("fault", "limit", "error"),
    [
        (Cut(150, End.RESET), "", ProtocolError),
        (Stall(3), "read_timeout", SilentError),
        (Stall(3), "idle_timeout", IdleTimeoutError),
    ],
    ids=["broken off", "silent", "idle"],
)
def test_a_stream_that_breaks_off_empties_the_pool_too(fault: Fault, limit: str, error: type[Exception]) -> None:

    def scene(pace: int) -> None:
        both_have_come = threading.Event()
        with FakeBedrock([Reply("x", fault=Stall(-1, until=both_have_come))] * 2) as fake:
            client = guarded(fake, max_attempts=1, **({limit: 0.4 * pace} if limit else {}))
            both = [threading.Thread(target=whole, args=(client,)) for _ in range(2)]
            for thread in both:
                thread.start()
            assert fake.wait_for(lambda fake: len(fake.requests) == 2)
            both_have_come.set()
            for thread in both:
                thread.join()
            assert fake.open_connections == 2
            fake.queue(Reply("Hello", fault=fault))
            with pytest.raises(error):
                streamed(client)
            gc.collect()  # urllib3 closes what lay in a pool when the pool itself goes
            assert fake.wait_for(lambda fake: fake.open_connections == 0)
            assert streamed(client).message.content

    at_some_pace(scene)


def test_a_stream_of_another_thread_lives_on() -> None:
    go = threading.Event()
    with FakeBedrock(
        [Reply("Hello", fault=Stall(3, until=go)), Reply("x", fault=Cut(0, End.RESET))] + [Reply("x")] * 3
    ) as fake:
        client = guarded(fake, max_attempts=1)
        answer = client.converse_stream(**HELLO)
        events = iter(answer["stream"])
        first = [next(events), next(events)]
        with pytest.raises(ConnectionClosedError):
            whole(client)
        go.set()
        rest = list(events)
        assert [next(iter(event)) for event in first + rest][-2:] == ["messageStop", "metadata"]
        assert whole(client).message.content == "x"


def test_another_region_keeps_its_connections() -> None:
    busy, broken = Refusal("ThrottlingException", "slow"), Reply("x", fault=Cut(0, End.RESET))
    elsewhere = asking(fallbacks=[("eu-west-1", None)])
    with FakeBedrock([busy, Reply("Hello"), broken, Reply("Hello")]) as fake:
        client = guarded(fake, max_attempts=1)
        whole(client, elsewhere)
        with pytest.raises(ConnectionClosedError):
            whole(client)
        whole(client, elsewhere)
        regions = [request.headers["authorization"].split("/")[2] for request in fake.requests]
        assert regions == ["us-east-1", "eu-west-1", "us-east-1", "eu-west-1"]
        assert fake.requests[1].connection == fake.requests[3].connection


def test_the_client_stays_the_same() -> None:
    with FakeBedrock([Reply("x", fault=Cut(0, End.RESET)), Reply("Hello")]) as fake:
        client = guarded(fake)
        assert whole(client).message.content == "Hello"
        assert whole(client).message.content
        assert len({request.connection for request in fake.requests}) == 2

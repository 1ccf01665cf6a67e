"""Whoever waits for an event can be woken, and does not wait longer than was said: plain and over TLS."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import pytest
from urllib3.exceptions import ReadTimeoutError

from agent.bedrock.aws.pace import POLL_INTERVAL
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, IdleTimeoutError
from agent.bedrock.testing import FakeBedrock, Framing, Reply, Stall
from tests.moments import PROMPT, at_some_pace, comes_true, prompt, shortly

from .relay import Relay, in_pieces
from .streaming import EVENTS, HELLO, fast_client, open_stream, port_of

SLACK = 1.0
"""Seconds that a limit may be kept too late at one pace."""

SILENCES = [Stall(0), Stall(0, byte=7), Stall(3), Stall(3, byte=20), Stall(EVENTS)]
"""Before the first event, inside it, between two, inside one, and before the end of the body."""


def whole_events(fault: Stall) -> int:
    """How many events come before the silence."""
    return fault.at


@contextmanager
def silent_stream(wire: Any, fault: Stall, *, idle_timeout: float = 0, **options: Any) -> Iterator[Any]:
    """A stream that falls silent, with all its events before that already delivered."""
    fake, reach = wire
    framing = options.pop("framing", None)
    if fake.open_connections:
        gc.collect()  # an earlier try's pool closes its connections when it is collected
    fake.queue(Reply(HELLO, framing=framing, fault=fault))
    client = fast_client(fake, idle_timeout=idle_timeout, **reach, **options)
    with closing(client):
        stream = open_stream(client)
        with closing(stream):
            events = iter(stream)
            assert len(list(islice(events, whole_events(fault)))) == whole_events(fault)
            stream.rest = events
            yield stream
            assert fake.wait_for(lambda fake: fake.open_connections == 0), "the connection is closed"
        assert len(list(open_stream(client))) == EVENTS, "the next call works"


@pytest.mark.parametrize("fault", SILENCES)
@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.EOF])
def test_closing_from_another_thread_wakes_a_blocked_read(wire: Any, fault: Stall, framing: Framing) -> None:
    assert prompt(lambda: _seconds_until_woken(wire, fault, framing))


def _seconds_until_woken(wire: Any, fault: Stall, framing: Framing) -> float:
    with silent_stream(wire, fault, framing=framing) as stream, shortly(stream.close) as begun:
        with pytest.raises(CallInterruptedError) as caught:
            next(stream.rest)
        woken = time.monotonic()
        assert caught.value.request_id == stream.request_id is not None
    return woken - begun[0]


def test_every_reader_of_many_is_woken_at_once(wire: Any) -> None:
    fake, reach = wire
    client = fast_client(fake, max_pool_connections=20, **reach)

    def release() -> float:
        fake.queue(*[Reply(HELLO, fault=Stall(3)) for _ in range(20)])
        streams = [open_stream(client) for _ in range(20)]
        read: list[Any] = []
        woken: list[float] = []

        def read_all(stream: Any) -> None:
            with pytest.raises(CallInterruptedError):
                read.extend(event for event in stream)
            woken.append(time.monotonic())

        readers = [threading.Thread(target=read_all, args=(stream,)) for stream in streams]
        for reader in readers:
            reader.start()
        assert comes_true(lambda: len(read) == 20 * 3)
        with shortly(lambda: [stream.close() for stream in streams]) as begun:
            for reader in readers:
                reader.join()
        assert len(woken) == 20
        return max(woken) - begun[0]

    assert prompt(release, within=5 * PROMPT)
    client.close()


def test_what_was_decoded_but_not_delivered_goes_with_a_closed_stream(fake: FakeBedrock, client: Any) -> None:
    stream = open_stream(client)
    events = iter(stream)
    next(events)
    fake.queue(Reply(HELLO, fault=Stall(5)))
    other = open_stream(client)
    waiting = iter(other)
    next(waiting)
    other.close()
    with pytest.raises(CallInterruptedError):
        next(waiting)
    with pytest.raises(CallInterruptedError):
        next(iter(other))
    assert len(list(events)) == EVENTS - 1, "the other stream goes on"


@contextmanager
def struck_by(action: Callable[[], Any], *seconds: float) -> Iterator[None]:
    """Have a signal's handler do something in this thread after so many seconds, and again after every so many."""
    previous = signal.signal(signal.SIGALRM, lambda _number, _frame: action())
    left, _ = signal.getitimer(signal.ITIMER_REAL)  # of the timer that ends tests that hang
    try:
        signal.setitimer(signal.ITIMER_REAL, *seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, left)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_signal_handler_may_close_the_stream_it_interrupts(wire: Any) -> None:
    with (
        silent_stream(wire, Stall(3)) as stream,
        struck_by(stream.close, 0.05),
        pytest.raises(CallInterruptedError),
    ):
        next(stream.rest)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_keyboard_interrupt_is_not_swallowed_and_closes_the_connection(wire: Any) -> None:

    def interrupt() -> None:
        raise KeyboardInterrupt

    def scene(pace: int) -> None:
        with (
            silent_stream(wire, Stall(3)) as stream,
            pytest.raises(KeyboardInterrupt),
            struck_by(interrupt, 0.05 * pace),
        ):
            next(stream.rest)

    at_some_pace(scene)


# --- the interrupt check --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", SILENCES)
def test_an_interrupt_check_is_asked_while_the_stream_is_silent(wire: Any, fault: Stall) -> None:

    def release() -> float:
        asked: list[threading.Thread] = []

        def check() -> bool:
            asked.append(threading.current_thread())
            return len(asked) > 3

        with silent_stream(wire, fault) as stream:
            stream.watch(on_interrupt_check=check)
            began = time.monotonic()
            with pytest.raises(CallInterruptedError):
                next(stream.rest)
            took = time.monotonic() - began
            assert {thread.name for thread in asked} == {"bedrock-watchdog"}, "while this thread waits"
        return took

    assert prompt(release, within=5 * POLL_INTERVAL + PROMPT)


def test_an_interrupt_check_that_raises_ends_the_stream_with_its_own_error(wire: Any) -> None:
    with silent_stream(wire, Stall(3)) as stream:
        stream.watch(on_interrupt_check=lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            next(stream.rest)


def test_waiting_under_a_check_and_a_deadline_loses_no_byte(wire: Any) -> None:
    """Portions of 1 to 300 bytes, later than the looks, cut chunks, frames and TLS records anywhere."""
    fake, reach = wire
    fake.queue(Reply(HELLO), *[Reply(HELLO, merge=False)] * 3)
    direct = fast_client(fake, **reach)
    expected = list(open_stream(direct))
    direct.close()
    arrived = []

    def scene(pace: int) -> None:
        with Relay(port_of(fake), in_pieces([300, 40, 1, 260], POLL_INTERVAL * 3 * pace)) as relay:
            client = fast_client(fake, idle_timeout=15, port=relay.own_port, **reach)
            stream = open_stream(client)
            checks: list[int] = []
            stream.watch(on_interrupt_check=lambda: checks.append(1), deadline=time.monotonic() + 60)
            arrived.append(list(stream))
            client.close()
            assert len(checks) > EVENTS

    at_some_pace(scene)
    assert all(events == expected for events in arrived)


# --- timeouts -------------------------------------------------------------------------------------------------------


Read = Callable[[Callable[[], Any]], Any]


@pytest.fixture(params=["main", "worker"])
def read(request: pytest.FixtureRequest) -> Read:
    """Reads in the main thread, where Python keeps the time, or in another, where the kernel may."""
    return _read_elsewhere if request.param == "worker" else lambda what: what()


def _read_elsewhere(what: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(what).result(20)


@pytest.mark.parametrize("fault", [Stall(3), Stall(3, byte=20), Stall(EVENTS)])
def test_silence_between_events_ends_in_an_idle_timeout(wire: Any, read: Read, fault: Stall) -> None:

    def scene(pace: int) -> None:
        limit = 0.2 * pace
        with silent_stream(wire, fault, idle_timeout=limit) as stream:
            began = time.monotonic()
            with pytest.raises(IdleTimeoutError) as caught:
                read(lambda: next(stream.rest))
            assert limit <= time.monotonic() - began < limit + SLACK
            assert f"{limit:g}" in str(caught.value)
            assert caught.value.request_id == stream.request_id

    at_some_pace(scene)


def test_the_wait_for_the_first_event_is_the_read_timeouts(wire: Any, read: Read) -> None:

    def scene(pace: int) -> None:
        limit = 0.4 * pace
        with silent_stream(wire, Stall(0), idle_timeout=limit / 4, read_timeout=limit) as stream:
            began = time.monotonic()
            with pytest.raises(ReadTimeoutError, match=r"HTTPS?ConnectionPool.*Read timed out"):
                read(lambda: next(stream.rest))
            assert limit <= time.monotonic() - began < limit + SLACK

    at_some_pace(scene)


def test_an_idle_timeout_of_zero_leaves_it_to_the_read_timeout(wire: Any, read: Read) -> None:

    def scene(pace: int) -> None:
        with (
            silent_stream(wire, Stall(3), idle_timeout=0, read_timeout=0.3 * pace) as stream,
            pytest.raises(ReadTimeoutError),
        ):
            read(lambda: next(stream.rest))

    at_some_pace(scene)


def test_every_event_begins_the_silence_anew_and_a_slow_consumer_does_not_count(wire: Any) -> None:
    fake, reach = wire

    def scene(pace: int) -> None:
        fake.queue(Reply(HELLO, pace=0.1 * pace))
        with closing(fast_client(fake, idle_timeout=0.25 * pace, **reach)) as client:
            events = []
            for event in open_stream(client):
                events.append(event)
                time.sleep(0.3 * pace if len(events) == 2 else 0)
            assert len(events) == EVENTS

    at_some_pace(scene)


@pytest.mark.parametrize("limit", ["idle", "deadline"])
def test_bytes_that_trickle_without_an_event_do_not_count_as_life(wire: Any, read: Read, limit: str) -> None:
    """A read timeout alone would wait for ever: a byte comes every 20 ms, an event never."""
    fake, reach = wire

    def scene(pace: int) -> None:
        drip = [Stall(3 + count, seconds=0.02 * pace, byte=1) for count in range(100)]
        fake.queue(Reply(HELLO, fault=drip))
        with closing(fast_client(fake, idle_timeout=0.2 * pace if limit == "idle" else 0, **reach)) as client:
            stream = open_stream(client)
            if limit == "deadline":
                stream.watch(deadline=time.monotonic() + 0.3 * pace)
            began = time.monotonic()
            with pytest.raises(IdleTimeoutError if limit == "idle" else DeadlineExceededError):
                read(lambda: list(stream))
            assert time.monotonic() - began < pace

    at_some_pace(scene)


@pytest.mark.parametrize("fault", SILENCES)
def test_a_deadline_ends_the_silence(wire: Any, read: Read, fault: Stall) -> None:

    def scene(pace: int) -> None:
        limit = 0.2 * pace
        with silent_stream(wire, fault, idle_timeout=10) as stream:
            began = time.monotonic()
            stream.watch(deadline=began + limit)
            with pytest.raises(DeadlineExceededError) as caught:
                read(lambda: next(stream.rest))
            assert limit <= time.monotonic() - began < limit + SLACK
            assert caught.value.request_id == stream.request_id

    at_some_pace(scene)


def test_a_deadline_ends_a_stream_that_never_falls_silent(fake: FakeBedrock, client: Any) -> None:

    def scene(pace: int) -> None:
        limit = 0.3 * pace
        fake.queue(Reply("x" * 4000, delta_size=1, pace=0.005))
        stream = open_stream(client)
        began = time.monotonic()
        stream.watch(deadline=began + limit)
        with pytest.raises(DeadlineExceededError):
            list(stream)
        assert limit <= time.monotonic() - began < limit + SLACK

    at_some_pace(scene)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that signal")
def test_signals_that_come_again_and_again_prolong_no_wait(wire: Any) -> None:
    """A program that lives with a timer is not to wait for ever because each signal begins its wait anew."""

    def scene(pace: int) -> None:
        limit = 0.3 * pace
        beats: list[int] = []
        with silent_stream(wire, Stall(3), idle_timeout=limit) as stream:
            began = time.monotonic()
            with struck_by(lambda: beats.append(1), 0.02, 0.02), pytest.raises(IdleTimeoutError):
                next(stream.rest)
            assert limit <= time.monotonic() - began < limit + SLACK
        assert len(beats) > 3

    at_some_pace(scene)


def test_limits_may_be_said_one_after_the_other(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(HELLO, fault=Stall(3)))
    stream = open_stream(client)
    stream.watch(deadline=time.monotonic() + 0.2)
    stream.watch(on_interrupt_check=lambda: False)
    with pytest.raises(DeadlineExceededError):
        list(stream)

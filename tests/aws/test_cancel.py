"""Whoever gives up is released at once, wherever the call is blocked, and its connection is discarded."""

from __future__ import annotations

import contextlib
import gc
import math
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError

from agent.bedrock.aws import pace
from agent.bedrock.aws.cancel import Errand, Hold
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, classify
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, Stall
from agent.bedrock.testing.network import unconnectable
from tests.moments import PATIENCE, comes_true, once, once_asked, prompt, shortly
from tests.wire.streaming import authority_file, server_context

from .guarded import BOTH, HELLO, MODEL, asking, bedrock, guarded, newest_model, streamed, whole


class Mood:
    """What the stand-in answers at the time. What is queued would be left to the next call by one that never got there."""

    def __init__(self) -> None:
        self.answer = Reply("Hello")

    def __call__(self, _request: Any) -> Reply:
        return self.answer


@pytest.fixture
def mood() -> Mood:
    """Says hello until it is told otherwise."""
    return Mood()


@pytest.fixture(params=["plain", "tls"])
def fake(
    request: pytest.FixtureRequest, mood: Mood, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeBedrock]:
    """A stand-in, plain and over TLS."""
    if request.param == "plain":
        with FakeBedrock(mood) as running:
            yield running
    else:
        monkeypatch.setenv("AWS_CA_BUNDLE", authority_file(tmp_path))
        with FakeBedrock(mood, ssl_context=server_context()) as running:
            yield running


def ended() -> bool:
    """Whether the threads that did the calls end, now or soon."""
    return comes_true(lambda: all(thread.name != "bedrock-call" for thread in threading.enumerate()))


def stopping(way: str, moment: threading.Event) -> dict[str, Any]:
    return {"cancel": moment} if way == "token" else {"on_interrupt_check": moment.is_set}


def warm(fake: FakeBedrock) -> Any:
    """A client that has called before: the first call of a process takes a while."""
    client = guarded(fake)
    whole(client)
    return client


def interrupted_kind(call: Callable[[], Any]) -> str:
    """How a call ended that was given up: a stream that was open already ends quietly."""
    try:
        return "interrupted" if call().bedrock.interrupted else "complete"
    except CallInterruptedError as error:
        return classify(error).kind


SILENCES = [Stall(-1), Stall(0)]
"""Before the headers, and before the body."""


def discarded(fake: FakeBedrock) -> bool:
    """Whether the stand-in sees every connection closed, now or soon."""
    return fake.wait_for(lambda fake: fake.open_connections == 0)


@pytest.mark.parametrize("ask", BOTH)
@pytest.mark.parametrize("way", ["token", "check"])
@pytest.mark.parametrize("silence", SILENCES)
def test_a_blocked_call_is_given_up(fake: FakeBedrock, mood: Mood, ask: Any, way: str, silence: Any) -> None:
    client = warm(fake)

    def release() -> float:
        stop = threading.Event()
        mood.answer = Reply("Hello", fault=silence)
        with once_asked(fake, stop.set) as moment:
            kind = interrupted_kind(lambda: ask(client, asking(**stopping(way, stop))))
            took = time.monotonic() - moment[0]
            assert kind == "interrupted"
        assert discarded(fake), "the connection is discarded"
        assert ended(), "the thread ends with it"
        mood.answer = Reply("Hello")
        assert ask(client).message.content == "Hello", "the next call works"
        return took

    assert prompt(release)


@pytest.mark.parametrize("ask", BOTH)
@pytest.mark.parametrize("silence", SILENCES)
def test_a_deadline_ends_the_call(fake: FakeBedrock, mood: Mood, ask: Any, silence: Any) -> None:
    client = warm(fake)

    def release() -> float:
        before = len(fake.requests)
        mood.answer = Reply("Hello", fault=silence)
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as raised:
            ask(client, asking(deadline=0.3))
        late = time.monotonic() - began - 0.3
        assert late > -0.01
        assert classify(raised.value).kind == "timeout"
        assert discarded(fake)
        assert ended()
        shown = len(fake.requests) > before
        mood.answer = Reply("Hello")
        assert ask(client).message.content == "Hello"
        return late if shown else math.inf

    assert prompt(release)


def test_a_deadline_holds_for_the_whole_stream(fake: FakeBedrock, mood: Mood) -> None:
    client = warm(fake)
    mood.answer = Reply("Hello" * 400, pace=0.05, delta_size=5)

    def release() -> float:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as raised:
            streamed(client, asking(deadline=0.4))
        late = time.monotonic() - began - 0.4
        partial = raised.value.partial
        return late if partial is not None and partial.message.content.startswith("Hello") else math.inf

    assert prompt(release)


def test_a_token_ends_a_stream_that_is_being_read(fake: FakeBedrock, mood: Mood) -> None:
    client = bedrock(fake)
    mood.answer = Reply("Hello", fault=Stall(3))

    def release() -> float:
        stop = threading.Event()
        told: list[str] = []
        asked = [{"role": "user", "content": "Hi"}]
        stream = client.stream(MODEL, asked, cancel=stop, on_text_delta=told.append)
        with stream, once(lambda: told, stop.set) as moment:
            completion = stream.completion()
            took = time.monotonic() - moment[0]
        assert completion.bedrock.interrupted
        assert completion.message.content == "Hello"
        return took

    assert prompt(release)


@pytest.mark.parametrize("silence", [*SILENCES, Stall(3), Stall(3, byte=20)])
def test_closing_from_another_thread_ends_a_stream_that_is_being_read(
    fake: FakeBedrock, mood: Mood, silence: Stall
) -> None:
    client = bedrock(fake)
    mood.answer = Reply("Hello", fault=silence)

    def release() -> float:
        if silence.at < 0:
            return _seconds_until_given_up(fake, client)
        stream = client.stream(MODEL, [{"role": "user", "content": "Hi"}])
        with shortly(stream.close) as moment:
            completion = stream.completion()
            took = time.monotonic() - moment[0]
        assert completion.bedrock.interrupted
        return took

    assert prompt(release)


def _seconds_until_given_up(fake: FakeBedrock, client: Any) -> float:
    """Before the headers there is no stream to be closed: somebody else's hold on the thread is given up."""
    hold, moments = Hold(), []

    def call() -> None:
        with pytest.raises((CallInterruptedError, OSError, BotoCoreError)):
            hold.over(lambda: client.stream(MODEL, [{"role": "user", "content": "Hi"}]).completion())()
        moments.append(time.monotonic())

    caller = threading.Thread(target=call)
    with once_asked(fake, hold.give_up) as given_up:
        caller.start()
    caller.join(PATIENCE)
    return moments[0] - given_up[0]


def test_a_token_ends_a_stream_whose_events_keep_coming(fake: FakeBedrock) -> None:
    fake.queue(Reply("Hello" * 200, delta_size=1))
    stop = threading.Event()
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == 3:
            stop.set()

    asked = [{"role": "user", "content": "Hi"}]
    with bedrock(fake).stream(HELLO["modelId"], asked, cancel=stop, on_text_delta=tell) as stream:
        assert stream.completion().bedrock.interrupted
    assert len(told) == 3


@pytest.mark.parametrize("ask", BOTH)
def test_what_is_ended_before_it_began_sends_nothing(fake: FakeBedrock, ask: Any) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(CallInterruptedError):
        ask(guarded(fake), asking(cancel=stop))
    assert not fake.requests


@pytest.mark.parametrize("ask", BOTH)
def test_nobody_who_may_give_up_costs_no_thread(fake: FakeBedrock, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    genuine = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        started.append(thread)
        genuine(thread)

    client = guarded(fake)
    monkeypatch.setattr(threading.Thread, "start", start)
    ask(client)
    assert started == []
    ask(client, asking(deadline=30))
    assert [thread.name for thread in started] == ["bedrock-call"]


def test_a_check_that_raises_ends_the_call_with_what_it_raised(fake: FakeBedrock) -> None:
    fake.queue(Reply("Hello", fault=Stall(-1)))

    def check() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole(guarded(fake), asking(on_interrupt_check=check))
    assert ended()


@pytest.mark.parametrize("silence", [*SILENCES, Stall(1), Stall(2)])
@pytest.mark.parametrize("kind", [ConnectionResetError, TimeoutError])
def test_what_a_check_raises_is_neither_retried_nor_explained_as_a_fault(
    fake: FakeBedrock, silence: Stall, kind: type[Exception]
) -> None:
    client = bedrock(fake)
    client.complete(MODEL, [{"role": "user", "content": "Hi"}])
    fake.queue(Reply("Hello", fault=silence))
    begun = time.monotonic()
    raised = kind("mine")
    raises = iter([raised])

    def check() -> bool:
        if len(fake.requests) == 2 and time.monotonic() - begun > 0.3:  # a busy machine may not have sent it by then
            for once in raises:
                raise once
        return False

    with pytest.raises(kind, match="mine") as caught:
        client.stream(MODEL, [{"role": "user", "content": "Hi"}], on_interrupt_check=check).completion()
    assert caught.value is raised
    assert len(fake.requests) == 2, "one to warm up, and the one that the check ended"
    assert not any("connection" in note or "answer in time" in note for note in getattr(raised, "__notes__", ()))


def test_the_check_is_asked_in_the_callers_thread(fake: FakeBedrock) -> None:
    fake.queue(Reply("Hello", delay=0.2))
    asked_in: set[threading.Thread] = set()
    whole(guarded(fake), asking(on_interrupt_check=lambda: asked_in.add(threading.current_thread())))
    assert asked_in == {threading.current_thread()}


def test_a_server_that_never_takes_the_call_does_not_hold_the_caller() -> None:
    """Nobody listens, and nobody refuses: the backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with socket.create_connection(address), FakeBedrock() as fake:
            client = guarded(fake, endpoint_url=f"http://127.0.0.1:{address[1]}", connect_timeout=1)

            def release() -> float:
                began = time.monotonic()
                with pytest.raises(DeadlineExceededError):
                    whole(client, asking(deadline=0.3))
                return time.monotonic() - began - 0.3

            assert prompt(release)
        assert ended(), "by its own connect timeout, since there is no socket yet to shut down"


def test_a_handshake_that_is_given_up_ends_with_its_connection() -> None:
    """Somebody takes the connection, and says nothing to TLS."""
    stop = threading.Event()
    heard: list[bytes] = []

    def listen() -> None:
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(PATIENCE)
            heard.append(connection.recv(65536))
            stop.set()
            heard.append(connection.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as silent, FakeBedrock() as fake:
        silent.settimeout(PATIENCE)
        client = guarded(fake, endpoint_url=f"https://127.0.0.1:{silent.getsockname()[1]}", connect_timeout=20)
        listener = threading.Thread(target=listen)
        listener.start()
        with pytest.raises(CallInterruptedError):
            whole(client, asking(cancel=stop))
        listener.join()
        greeting, end = heard
        assert greeting
        assert end == b"", "it is closed"
        assert ended()


@newest_model
def test_read_timeouts_of_single_calls_hold() -> None:
    with FakeBedrock([Reply("Hello", fault=Stall(-1)), Reply("Hello", delay=0.4)]) as fake:
        client = guarded(fake, read_timeout=20)
        began = time.monotonic()
        with pytest.raises(Exception, match=r"(?i)read timeout") as raised:
            whole(client, asking(read_timeout=0.2))
        assert classify(raised.value).kind == "timeout"
        assert time.monotonic() - began < PATIENCE
        assert fake.wait_for(lambda fake: len(fake.requests) == 1), "the silence is taken, and not the next call's"
        assert whole(client).message.content == "Hello"


@pytest.mark.skipif(sys.platform != "linux", reason="only there connections can be left unmade")
@pytest.mark.parametrize("given_up", [False, True], ids=["alone", "watched"])
def test_connect_timeouts_of_single_calls_hold(given_up: bool) -> None:
    watched = {"cancel": threading.Event()} if given_up else {}
    with unconnectable() as url, FakeBedrock() as fake:
        client = guarded(fake, endpoint_url=url, max_attempts=1, connect_timeout=20)
        began = time.monotonic()
        with pytest.raises(ConnectTimeoutError):
            whole(client, asking(connect_timeout=0.2, **watched))
        assert time.monotonic() - began < PATIENCE


@pytest.mark.skipif(sys.platform != "linux", reason="only there connections can be left unmade")
def test_a_call_does_not_wait_longer_for_a_connection_than_its_client() -> None:
    with unconnectable() as url, FakeBedrock() as fake:
        client = guarded(fake, endpoint_url=url, max_attempts=1, connect_timeout=0.2)
        began = time.monotonic()
        with pytest.raises(ConnectTimeoutError):
            whole(client, asking(connect_timeout=60))
        assert time.monotonic() - began < PATIENCE


def test_a_connect_timeout_ends_with_the_connecting() -> None:
    """The body is taken late: sending it is not connecting."""

    def listen() -> None:
        connection, _ = slow.accept()
        with connection:
            time.sleep(0.6)
            connection.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while taken := connection.recv(1 << 20):
                    received.append(len(taken))
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    received: list[int] = []
    long = {**asking(connect_timeout=0.2), "system": [{"text": "x" * 16_000_000}]}
    with socket.create_server(("127.0.0.1", 0)) as slow, FakeBedrock() as fake:
        client = guarded(fake, endpoint_url=f"http://127.0.0.1:{slow.getsockname()[1]}", max_attempts=1)
        listener = threading.Thread(target=listen)
        listener.start()
        with pytest.raises(ClientError):
            whole(client, long)
        listener.join()
        assert sum(received) > 16_000_000


def test_giving_up_between_two_attempts_leaves_the_connection_to_whoever_took_it_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, go_on, answering = threading.Event(), threading.Event(), threading.Event()

    def wait(_seconds: float, check: pace.Check, _bell: pace.Bell) -> None:
        waits.set()
        go_on.wait(PATIENCE)
        check()

    monkeypatch.setattr(pace.current_pace(), "wait", wait)
    busy = Refusal("ServiceUnavailableException", "busy")
    with FakeBedrock([busy, Reply("Hello", fault=Stall(-1, until=answering))]) as fake:
        client, hold, answers = guarded(fake), Hold(), []
        waiting = threading.Thread(target=suppressed, args=(hold.over(lambda: whole(client)),))
        waiting.start()
        assert waits.wait(PATIENCE)
        other = threading.Thread(target=lambda: answers.append(whole(client, asking(max_attempts=1))))
        other.start()
        assert fake.wait_for(lambda fake: len(fake.requests) == 2)
        hold.give_up()
        answering.set()
        other.join()
        go_on.set()
        waiting.join()
        assert [answer.message.content for answer in answers] == ["Hello"]
        assert fake.connections == 1, "else nothing was shown here"
        assert len(fake.requests) == 2, "what was given up makes no second attempt"


def suppressed(work: Callable[[], Any]) -> None:
    with contextlib.suppress(CallInterruptedError):
        work()


class TestErrands:
    def test_give_what_the_work_gives_or_raises(self) -> None:
        assert Errand(lambda: {"a": 1}).result(lambda: None) == {"a": 1}

        def work() -> dict[str, Any]:
            raise LookupError("no")

        with pytest.raises(LookupError):
            Errand(work).result(lambda: None)

    def test_close_the_stream_of_an_answer_that_came_too_late(self) -> None:
        closed, finish = threading.Event(), threading.Event()

        class Stream:
            def close(self) -> None:
                closed.set()

        def work() -> dict[str, Any]:
            finish.wait(PATIENCE)
            return {"stream": Stream()}

        def check() -> None:
            raise CallInterruptedError("enough")

        with pytest.raises(CallInterruptedError):
            Errand(work).result(check)
        finish.set()
        assert closed.wait(PATIENCE)

    def test_leave_no_cycle_behind(self) -> None:
        def work() -> dict[str, Any]:
            raise LookupError("no")

        gc.disable()
        try:
            errand = Errand(work)
            left = weakref.ref(errand)
            with pytest.raises(LookupError):
                errand.result(lambda: None)
            del errand
            assert comes_true(lambda: left() is None), "once its thread has ended, too"
        finally:
            gc.enable()

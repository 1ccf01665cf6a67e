"""A fork in the middle: what the parent reads goes on, and the child has connections of its own."""

from __future__ import annotations

import atexit
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from agent.bedrock.aws import guard
from agent.bedrock.aws.catalog import DISCOVERED
from agent.bedrock.testing import FakeBedrock, Reply, Stall, Text
from tests.aws.guarded import MODEL, bedrock, guarded, whole

from .streaming import authority_file, server_context

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")

ASKED = [{"role": "user", "content": "Hi"}]


def child_that(does: Callable[[], bool | None]) -> int:
    """The process id of a child that ends by 0 if what it does gives no False and does not raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, of forking beside threads
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 1 if does() is False else 0
        finally:
            os._exit(code)
    return pid


def ended_well(pid: int) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


@pytest.fixture(params=["plain", "tls"])
def fake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBedrock]:
    """A stand-in, plain and over TLS."""
    monkeypatch.setenv("AWS_CA_BUNDLE", authority_file(tmp_path))
    with FakeBedrock(ssl_context=server_context() if request.param == "tls" else None) as running:
        yield running


@pytest.mark.parametrize("way", ["exits", "drops it", "closes it"])
def test_a_child_does_no_harm_to_a_stream_that_its_parent_reads(fake: FakeBedrock, way: str) -> None:
    go_on = threading.Event()
    fake.queue(Reply(Text(("Hello", " world")), fault=Stall(2, until=go_on)))
    streams = [bedrock(fake).stream(MODEL, ASKED)]
    said: list[Any] = []
    reader = threading.Thread(target=lambda: said.append(streams[0].completion().message.content))
    reader.start()
    assert fake.wait_for(lambda fake: len(fake.requests) == 1)
    time.sleep(0.1)  # so that the reader waits for bytes

    def leave() -> None:
        if way == "closes it":
            streams[0].close()
        if way == "exits":
            atexit._run_exitfuncs()
        streams.clear()
        gc.collect()

    assert ended_well(child_that(leave))
    go_on.set()
    reader.join(20)
    assert said == ["Hello world"]


def test_a_client_that_is_taken_through_a_fork_shares_no_connection(fake: FakeBedrock) -> None:
    client = guarded(fake)
    whole(client)
    assert ended_well(child_that(lambda: whole(client).message.content is not None))
    whole(client)
    parent, child, parent_again = (request.connection for request in fake.requests)
    assert parent == parent_again != child


def test_a_child_waits_for_no_lock_that_a_thread_of_its_parent_holds() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def get_client() -> Any:
        reading.set()
        go_on.wait(20)
        raise LookupError("no client")

    def discovers() -> bool:
        go_on.set()
        with guard.guarding(botocore.session.Session().get_component("event_emitter")):
            return DISCOVERED.discover("us-east-1", None, get_client) == []

    reader = threading.Thread(target=DISCOVERED.discover, args=("us-east-1", None, get_client))
    reader.start()
    assert reading.wait(20)
    with guard._registering:
        child = child_that(discovers)
    assert ended_well(child)
    go_on.set()
    reader.join(20)

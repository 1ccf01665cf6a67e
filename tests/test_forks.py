"""A fork takes no lock along: a child of a program with threads does not wait for one that it does not have."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.bedrock.aws.catalog import DiscoveryCache
from agent.bedrock.aws.connections import _LoadOnce
from agent.bedrock.carriers import ReasoningStore
from agent.bedrock.forks import _owners, unlocked_after_fork
from agent.bedrock.recent import Recent

CALL = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
MESSAGE = {"tool_calls": [CALL], "bedrock_content_blocks": [{"reasoningContent": {"reasoningText": {"text": "x"}}}]}


def remember(store: ReasoningStore) -> None:
    store.remember(MESSAGE)
    assert store.look_up("a", "f", "{}")


def put(recent: Recent[str]) -> None:
    recent.put("a", "b")
    assert recent.get("a") == "b"


def discover(cache: DiscoveryCache) -> None:
    assert cache.discover("r", None, _no_client) == []


def load(trust: _LoadOnce) -> None:
    trust(__file__)


def _no_client() -> Any:
    raise LookupError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize(
    ("owner", "use"),
    [
        (ReasoningStore(), remember),
        (Recent(10_000), put),
        (DiscoveryCache(), discover),
        (_LoadOnce(lambda *_: None), load),
    ],
)
def test_a_child_does_not_wait_for_a_lock_of_its_parent(owner: Any, use: Callable[[Any], None]) -> None:
    with owner._lock:
        child = os.fork()
        if not child:
            signal.alarm(5)
            use(owner)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_wait_for_a_list_that_its_parent_reads() -> None:
    cache = DiscoveryCache()
    begun, forked = threading.Event(), threading.Event()

    def slow_client() -> Any:
        begun.set()
        forked.wait(10)
        raise LookupError

    reading = threading.Thread(target=cache.discover, args=("r", None, slow_client))
    reading.start()
    begun.wait(10)
    child = os.fork()
    if not child:
        signal.alarm(5)
        discover(cache)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    forked.set()
    reading.join()


def test_nothing_is_kept_alive() -> None:
    class Owner:
        def unlock(self) -> None:
            """It has no locks."""

    owner = Owner()
    unlocked_after_fork(owner)
    known = len(_owners)
    del owner
    gc.collect()
    assert len(_owners) < known

"""Checks of silent streams are asked by one thread for all; a check that does not come back holds up nobody else."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from agent.bedrock.aws.watchdog import Vigil, Watchdog, watched
from agent.bedrock.errors import CallInterruptedError
from tests.moments import comes_true


class Silence:
    """What the watchdog sees of a body whose reader waits."""

    def __init__(self) -> None:
        self.over = False
        self.waiting_since: float | None = 1.0
        self.ended_with: list[BaseException] = []

    def end_with(self, reason: BaseException) -> None:
        self.ended_with.append(reason)
        self.over = True


def silence() -> Any:
    return Silence()


def watchdogs() -> int:
    return sum(thread.name == "bedrock-watchdog" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def _none_is_left() -> Any:
    assert comes_true(lambda: not watchdogs())
    yield
    gc.collect()
    assert comes_true(lambda: not watchdogs()), "threads end with the last vigil"


def test_a_check_that_says_yes_ends_the_wait() -> None:
    body, wanted = silence(), threading.Event()
    vigil = watched(body, wanted.is_set)
    time.sleep(0.1)
    assert not body.ended_with
    wanted.set()
    assert comes_true(lambda: body.ended_with)
    assert isinstance(body.ended_with[0], CallInterruptedError)
    assert not vigil.look()


@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
def test_what_a_check_raises_is_what_the_wait_ends_with(kind: type[BaseException]) -> None:
    body, raised = silence(), kind("mine")

    def check() -> bool:
        raise raised

    vigil = watched(body, check)
    assert comes_true(lambda: body.ended_with == [raised])
    del vigil


def test_only_a_wait_that_goes_on_is_silence() -> None:
    body, asked = silence(), []
    vigil = Vigil(body, lambda: asked.append(1))
    for moment in (None, 1.0, 2.0, None, 3.0):
        body.waiting_since = moment
        assert vigil.look()
    assert not asked
    assert vigil.look()
    assert asked


def test_a_check_is_asked_in_the_context_in_which_it_was_given() -> None:
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    whose.set("the caller's")
    body, seen = silence(), []
    vigil = watched(body, lambda: seen.append(whose.get()))
    assert comes_true(lambda: seen)
    assert seen[0] == "the caller's"
    del vigil


def test_two_threads_are_enough_for_all() -> None:
    bodies, most = [silence() for _ in range(200)], [0]
    asked = [0] * 200

    def check(number: int) -> None:
        asked[number] += 1
        most[0] = max(most[0], watchdogs())

    vigils = [watched(body, lambda number=number: check(number)) for number, body in enumerate(bodies)]  # type: ignore[misc]
    assert comes_true(lambda: min(asked) > 2)
    assert most[0] < 10, "one more for each that is held up, and nothing like one for each stream"
    assert comes_true(lambda: watchdogs() <= 2)
    del vigils


def test_a_check_that_does_not_come_back_holds_up_nobody_else() -> None:
    stuck, body = [silence() for _ in range(3)], silence()
    go, asked = threading.Event(), []
    vigils = [watched(one, lambda: go.wait(20) and None) for one in stuck]
    vigils.append(watched(body, lambda: asked.append(time.monotonic())))
    assert comes_true(lambda: len(asked) > 5)
    go.set()
    before = len(asked)
    assert comes_true(lambda: len(asked) > before + 5)
    assert comes_true(lambda: watchdogs() <= 2), "those that stood in are gone"
    del vigils


def test_a_vigil_keeps_nothing_alive() -> None:
    class Holder:
        """Who holds a body, and is held by its check."""

    holder: Any = Holder()
    holder.body = silence()
    holder.vigil = watched(holder.body, lambda held=holder: held is None)  # type: ignore[misc]
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert comes_true(lambda: gone() is None)


def test_a_body_that_is_over_is_not_asked_about() -> None:
    body, asked = silence(), []
    vigil = Vigil(body, lambda: asked.append(1))
    vigil.look()
    body.over = True
    assert not vigil.look()
    assert not asked


def test_a_body_that_cannot_be_closed_costs_no_watchdog() -> None:
    broken, body, asked = silence(), silence(), []

    def fail(_: BaseException) -> None:
        raise OSError("closed twice")

    broken.end_with = fail
    vigils = [watched(broken, lambda: True), watched(body, lambda: asked.append(1))]
    assert comes_true(lambda: len(asked) > 5)
    del vigils


def test_without_a_thread_the_caller_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    dog, vigil = Watchdog(), Vigil(silence(), lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            dog.keep(vigil)
    body = silence()
    again = Vigil(body, lambda: True)
    dog.keep(again)
    assert comes_true(lambda: body.ended_with)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_watchdog_of_its_own() -> None:
    body = silence()
    vigil = watched(body, lambda: False)
    child = os.fork()
    if child == 0:
        mine = silence()
        kept = watched(mine, lambda: True)
        os._exit(0 if comes_true(lambda: mine.ended_with) and not kept.look() else 1)
    assert os.waitpid(child, 0)[1] == 0
    del vigil

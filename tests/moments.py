"""When things happen in tests: conditions are waited for, not times, and promises of speed are held to fairly.

A machine that is busy may pause any thread, or all of them, for a second or two. A test that acts after a fixed time, or
counts on what another thread has done by then, fails now and then without anybody being at fault; and the whole suite
has to pass. What is to come is waited for here with a patience that only what never comes exhausts. What is promised
within a time has to be kept in one of several tries, and in all of them soon enough to be no accident.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import wraps
from threading import Thread
from time import monotonic, process_time, sleep
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

if TYPE_CHECKING:
    from agent.bedrock.testing import FakeBedrock

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that nothing takes on any machine. Less than the 20 of a read timeout: what only ends with that is found."""

PROMPT = 0.1
"""Seconds within which whoever waits is to be released, as the project promises."""

TRIES = 5

STUCK = 5.0
"""Seconds by which no release is late on any machine, in none of the tries."""

STILL = 0.05
"""Seconds for a thread to begin its wait, where nothing tells. One that is not as far shows less, and nothing wrong."""

PACES = (1, 4, 16)


def comes_true(condition: Callable[[], Any], within: float = PATIENCE) -> bool:
    """Whether a condition holds, now or soon."""
    until = monotonic() + within
    while not condition():
        if monotonic() > until:
            return bool(condition())
        sleep(0.005)
    return True


@contextmanager
def once(condition: Callable[[], Any], action: Callable[[], Any]) -> Iterator[list[float]]:
    """Do something in another thread as soon as a condition has come true, and a little later; the list gets the moment."""
    came: list[bool] = []
    moments: list[float] = []

    def act() -> None:
        came.append(comes_true(condition))
        sleep(STILL)
        moments.append(monotonic())
        action()

    thread = Thread(target=act)
    thread.start()
    try:
        yield moments
    finally:
        thread.join()
    assert came == [True], "what was waited for never came true"


def once_asked(fake: FakeBedrock, action: Callable[[], Any]) -> AbstractContextManager[list[float]]:
    """Do something in another thread when the stand-in has taken one more request, and with it the next answer."""
    awaited = len(fake.requests) + 1
    return once(lambda: len(fake.requests) >= awaited, action)


def shortly(action: Callable[[], Any]) -> AbstractContextManager[list[float]]:
    """Do something in another thread after a little while, where nothing tells that its time has come."""
    return once(lambda: True, action)


def prompt(measure: Callable[[], float], within: float = PROMPT) -> bool:
    """Whether something takes no longer than promised in one of some tries, and is stuck in none.

    `measure` does it once and says how many seconds it took; `math.inf` where the machine was too busy to show it.
    """
    took = [measure()]
    while min(took) >= within and len(took) < TRIES:
        took.append(measure())
    return min(took) < within and all(seconds < within + STUCK for seconds in took if seconds != math.inf)


def at_some_pace(scene: Callable[[int], T]) -> T:
    """What a scene with time limits gives at one of some paces; it multiplies its times by what it is given.

    A limit of 0.2 s may pass while the machine is elsewhere, one of 3.2 s does not: what is wrong at every pace is wrong.
    """
    for pace in PACES[:-1]:
        with suppress(Exception, pytest.fail.Exception):
            return scene(pace)
    return scene(PACES[-1])


def in_some_try(test: Callable[P, None]) -> Callable[P, None]:
    """Let a test try three times: for limits of a fraction of a second that it shares with others and cannot stretch."""

    @wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        at_some_pace(lambda _: test(*args, **kwargs))

    return tried


AS_MEASURED = 0.0017
"""Seconds of CPU that the yardstick takes on the machine on which bounds of cost were measured."""


def cost(work: Callable[[], Any], times: int = 1) -> float:
    """Seconds of CPU that work takes, the least of several runs; on a slow machine, what a quicker one would take."""

    def once() -> float:
        slower = max(1.0, _seconds_of(_yardstick) / AS_MEASURED)
        return _seconds_of(lambda: [work() for _ in range(times)]) / times / slower

    return min(once() for _ in range(7))


def _seconds_of(work: Callable[[], Any]) -> float:
    began = process_time()
    work()
    return process_time() - began


def _yardstick() -> None:
    """Work as an interpreter has it: calls, small objects, a dictionary."""
    kept: dict[int, str] = {}
    for number in range(20_000):
        kept[number % 97] = str(number)

"""The ground all tests stand on: no credentials, settings, proxies or home of the person who runs them.

This happens when pytest loads this file, before anything imports botocore, and again in every xdist worker.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.moments import comes_true

KEPT = {"BEDROCK_RECORDINGS", "BEDROCK_REQUESTS"}
"""What names the folders of real traffic; every other BEDROCK_* variable is a setting under test."""

STRIPPED_PREFIXES = ("AWS_", "BEDROCK_")

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _remove(folder: str, owner: int) -> None:
    """Clear up at the end of the process that made the folder, not of a child that a test forks."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _leave_the_readers_world() -> None:
    for name in list(os.environ):
        if (name.startswith(STRIPPED_PREFIXES) and name not in KEPT) or name.lower() in PROXIES:
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="bedrock-tests-home-")
    atexit.register(_remove, home, os.getpid())
    os.environ.update({"HOME": home, "USERPROFILE": home, "AWS_EC2_METADATA_DISABLED": "true"})


_leave_the_readers_world()

settings.register_profile(
    "default",
    max_examples=60,  # the whole suite fits two minutes; scripts/fuzz is for the long run
    deadline=None,  # two cores, many workers: an example may wait for its turn
    database=None,  # nothing is left in the checkout
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaves_threads: a foreign runtime under test has daemon threads of its own")
    config.addinivalue_line("markers", "needs_botocore(version): about what the oldest botocore allowed does not do")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the installed botocore is too old for."""
    for marker in item.iter_markers("needs_botocore"):
        wanted, installed = marker.args[0], version("botocore")
        if _numbers(installed) < _numbers(wanted):
            pytest.skip(f"botocore {installed} is older than {wanted}")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])


LONGEST_TEST = 120
"""Seconds; far more than any test needs on two busy cores, far less than patience lasts."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """End a test that hangs, with the place where it does (POSIX; elsewhere pytest's own faulthandler_timeout)."""
    if not hasattr(signal, "SIGALRM"):
        return (yield)

    def give_up(*_: object) -> None:
        pytest.fail(f"{item.nodeid} takes longer than {LONGEST_TEST} s")  # no Exception: nobody may swallow it

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_TEST)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _the_process_is_as_it_was() -> Iterator[None]:
    """What a command under test sets for its own process, variables and logging, ends with the test."""
    before = dict(os.environ)
    disabled = logging.root.manager.disable
    yield
    logging.disable(disabled)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("agent") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every thread that a test started ends with it, or soon after."""
    if "leaves_threads" in request.keywords:
        yield
        return
    before = set(threading.enumerate())
    yield
    if not comes_true(lambda: set(threading.enumerate()) <= before):
        pytest.fail(f"left behind: {', '.join(thread.name for thread in set(threading.enumerate()) - before)}")


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    """What the process learned of models and regions in one test is not known in the next."""
    yield
    memory = sys.modules.get("agent.bedrock.aws.memory")  # not imported here: some tests watch what is imported
    if memory is not None:
        memory.forget_everything()


@pytest.fixture(autouse=True)
def _the_environment_is_left_as_it_was() -> Iterator[None]:
    """What a test or a script under test sets in the environment does not reach the next test."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def _folder_of_real_traffic(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} names no folder of real traffic")
    return Path(folder)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded Bedrock exchanges; the test is skipped where there is none."""
    return _folder_of_real_traffic("BEDROCK_RECORDINGS")


@pytest.fixture(scope="session")
def requests_folder() -> Path:
    """The folder of request bodies that real runtimes sent; the test is skipped where there is none."""
    return _folder_of_real_traffic("BEDROCK_REQUESTS")

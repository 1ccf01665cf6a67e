"""`python -m workshop TASK`: make the environment that a task needs, then run the task in it.

The scripts are thin over this; on Windows it is called directly, as `py workshop TASK`. This module and what it imports
at the top run on a bare Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if not __package__:  # started as a folder, from anywhere: `python path/to/workshop TASK`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

if sys.version_info < (3, 11):  # noqa: UP036 - the reader may have an older one, and is told so
    sys.exit(f"Python 3.11 or newer is needed; this is {sys.version}")

from workshop import environment, vendor

OLDEST_FLAG = "--oldest"


def setup(_: Sequence[str]) -> int:
    """Install what the other tasks need into .venv."""
    print(environment.prepare(environment.development()))
    return 0


def check(arguments: Sequence[str]) -> int:
    """Lint, format, strict types, directions of import."""
    return _inside("workshop.checks", arguments)


def test(arguments: Sequence[str]) -> int:
    """Run all checks and tests, in parallel; --oldest uses the oldest boto3 allowed; the rest goes to pytest."""
    wished = environment.oldest() if OLDEST_FLAG in arguments else environment.development()
    rest = [argument for argument in arguments if argument != OLDEST_FLAG]
    os.chdir(environment.ROOT)
    # Many tests wait for a socket: two workers for each core keep the cores busy.
    workers = 2 * (os.cpu_count() or 1)
    return _inside("pytest", [f"--numprocesses={workers}", "--dist=worksteal", *rest], wished)


def fuzz(arguments: Sequence[str]) -> int:
    """Try 20 000 hostile histories, or as many as the first argument says, over every family of models."""
    os.environ["FUZZ_HISTORIES"] = arguments[0] if arguments else "20000"
    os.chdir(environment.ROOT)
    return _inside("pytest", ["--numprocesses=auto", "tests/request/test_any_history.py", *arguments[1:]])


def demo(arguments: Sequence[str]) -> int:
    """An agent with three tools at work on this repository, or on a task of your own."""
    return _inside("workshop.demo", arguments)


def check_recordings(arguments: Sequence[str]) -> int:
    """Hold every recorded exchange in a folder against the adapter: nothing lost, nothing unclassified."""
    return _inside("workshop.recordings", arguments)


def faults(arguments: Sequence[str]) -> int:
    """Have every fault of the wire and the service happen, and print what came of it; --sample takes a minute."""
    return _inside("workshop.faults", arguments)


def soak(arguments: Sequence[str]) -> int:
    """Thousands of turns with random faults in many threads, and nothing left over; --seconds says how long."""
    return _inside("workshop.soak", arguments)


def bench(arguments: Sequence[str]) -> int:
    """Measure the adapter beside bare boto3; --peers adds other adapters that are installed, --speed orjson."""
    os.chdir(environment.ROOT)
    return _inside("tests.bench", arguments)


def test_hermes(arguments: Sequence[str]) -> int:
    """Run Hermes Agent's own loop on the adapter, in an environment of its own."""
    from workshop import hermes

    return hermes.main(arguments)


def test_runtimes(arguments: Sequence[str]) -> int:
    """Run agent runtimes on the adapter, each in an environment of its own; names choose some of them."""
    from workshop import runtimes

    return runtimes.main(arguments)


TASKS: dict[str, Callable[[Sequence[str]], int]] = {
    "setup": setup,
    "check": check,
    "test": test,
    "demo": demo,
    "fuzz": fuzz,
    "check-recordings": check_recordings,
    "faults": faults,
    "soak": soak,
    "bench": bench,
    "vendor": vendor.main,
    "test-hermes": test_hermes,
    "test-runtimes": test_runtimes,
}


def main(arguments: Sequence[str]) -> int:
    """Run the task named by the first argument."""
    task = TASKS.get(arguments[0]) if arguments else None
    if task is None:
        print(__doc__, *(f"  {name:17} {task.__doc__}" for name, task in TASKS.items()), sep="\n")
        return 2
    return task(arguments[1:])


def _inside(module: str, arguments: Sequence[str], wished: environment.Environment | None = None) -> int:
    """Run a module in an environment, `.venv` unless another is wished for."""
    python = environment.prepare(wished or environment.development())
    # -P: the folder that the reader stands in may hold an `agent` of its own.
    return subprocess.run([python, "-P", "-m", module, *arguments], check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

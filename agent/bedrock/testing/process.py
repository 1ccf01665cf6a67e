"""A stand-in in a process of its own, for benchmarks and for tests of whole programs: its CPU time is not the client's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
"""Seconds in which the process has to end."""


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run `python -m agent.bedrock.testing` with these arguments; its URL."""
    command = [sys.executable, "-m", str(__package__), "--until-eof", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise RuntimeError(f"the stand-in did not start: exit code {process.wait(PATIENCE)}")
        yield url
    finally:
        process.communicate()

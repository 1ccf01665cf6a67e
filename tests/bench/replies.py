"""What the benchmark's server answers, by name: the server renders these, and the judges of answers read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MARK = "reply="
"""Stands in the last user message before the name of the reply that it asks for."""


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: its deltas by kind, and the seconds between two events of its stream.

    With `clocked`, every delta is the server's `time.monotonic()` at the moment of writing instead.
    """

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    pace: float = 0.0
    clocked: bool = False


def _words(count: int) -> tuple[str, ...]:
    """Deltas of about the size that the service sends (recorded: 16 characters in the mean)."""
    return tuple(f"some {number} words " for number in range(count))


def _argument_pieces(count: int) -> tuple[str, ...]:
    return ('{"code": "', *(f"line {number}; " for number in range(count - 2)), '"}')


SCRIPTS: Mapping[str, Script] = {
    "short": Script(text=_words(4)),
    "text-20": Script(text=_words(20)),
    "text-1000": Script(text=_words(1000)),
    "reasoning-500": Script(text=_words(5), reasoning=_words(500)),
    "arguments-2000": Script(text=_words(2), arguments=_argument_pieces(2000)),
    "clock-50": Script(text=_words(50), pace=0.01, clocked=True),
    "paced-50": Script(text=_words(50), pace=0.01),
    "clock-brisk-250": Script(text=_words(250), pace=0.002, clocked=True),
    "brisk-250": Script(text=_words(250), pace=0.002),
    "slow-20": Script(text=_words(20), pace=0.05),
}

TOOL = "write_file"
CALL_ID = "tooluse_00000000000000000benchm"


def prompt(name: str) -> str:
    """A user's message that the server answers with the script of this name."""
    return f"Please go on. {MARK}{name};"

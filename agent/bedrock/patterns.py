"""Regular expressions that are compiled when they are first needed: most of them never are, in a short conversation.

In comes a text, out goes what behaves as the compiled pattern. Compiling the thirty on the road to a first token took
3 ms (measured 2026-11-20); once it is compiled, asking one costs what it always did.
"""

from __future__ import annotations

import re
from typing import Any, cast


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile`, later; a text that is no pattern raises at the first use, which the tests make."""
    return cast("re.Pattern[str]", _Pattern(text, flags))


class _Pattern:
    """Knows the text, and keeps each method of the compiled pattern that was asked for."""

    def __init__(self, text: str, flags: int) -> None:
        self._source = text, flags

    def __reduce__(self) -> tuple[Any, ...]:
        return _Pattern, self._source

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        setattr(self, name, found)
        return found

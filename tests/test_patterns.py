"""Regular expressions that are compiled when they are first needed."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from agent.bedrock.patterns import pattern


def test_it_is_what_re_compile_gives() -> None:
    ours, theirs = (
        pattern(r"(?P<letter>[a-c])(\d+)", re.IGNORECASE),
        re.compile(r"(?P<letter>[a-c])(\d+)", re.IGNORECASE),
    )
    for text in ("B12", "b1 c2", "", "d3"):
        for method in ("match", "fullmatch", "search"):
            found, expected = getattr(ours, method)(text), getattr(theirs, method)(text)
            assert (found and (found.span(), found.groupdict())) == (
                expected and (expected.span(), expected.groupdict())
            )
        assert ours.sub("x", text) == theirs.sub("x", text)
        assert ours.findall(text) == theirs.findall(text)
    assert (ours.pattern, ours.flags, ours.groupindex) == (theirs.pattern, theirs.flags, theirs.groupindex)


def test_it_is_compiled_once_and_not_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, genuine = [], re.compile
    monkeypatch.setattr(re, "compile", lambda *given: (compiled.append(given), genuine(*given))[1])
    digits = pattern(r"\d+")
    assert compiled == []
    assert digits.search("a1")
    assert digits.search("b2")
    assert compiled == [(r"\d+", 0)]


def test_what_no_pattern_has_is_refused() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = pattern("a").nothing  # type: ignore[attr-defined]


def test_it_can_be_copied_and_pickled() -> None:
    digits = pattern(r"\d+", re.IGNORECASE)
    for twin in (copy.deepcopy(digits), copy.copy(digits), pickle.loads(pickle.dumps(digits))):
        assert twin.search("a1")
        assert twin.flags == digits.flags

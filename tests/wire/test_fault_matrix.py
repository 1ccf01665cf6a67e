"""A sample of the fault matrix; `scripts/faults` runs all of it: every byte, every event, every status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from workshop.faults.__main__ import Row, Table, lines
from workshop.faults.cases import GROUPS, PLAIN, SAMPLE, TLS, Case
from workshop.faults.judge import Judge, Verdict, unless_late


@pytest.fixture(params=[PLAIN, TLS])
def judge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Judge(request.param) as judge:
        yield judge


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_fault_ends_as_it_has_to(judge: Judge, group: Callable[..., Iterable[Case]]) -> None:
    verdicts = [judge.verdict(case) for case in group(SAMPLE[judge.wire])]
    assert verdicts
    assert [verdict for verdict in verdicts if verdict.wrong] == []


def test_nobody_there_is_no_harm_to_calls_elsewhere(judge: Judge) -> None:
    verdicts = list(judge.unreachable())
    assert len(verdicts) >= 6
    assert [verdict for verdict in verdicts if verdict.wrong] == []


def test_the_table_says_how_much_was_tried_and_what_was_wrong() -> None:
    table: Table = {}
    for ended, healed, wrong in (("truncated", True, ()), ("complete", None, ()), ("truncated", False, ("too late",))):
        case = Case("cut, by FIN", "converse", None, frozenset({"truncated"}), note="byte 7")
        table.setdefault(("cut, by FIN", "converse", PLAIN), Row()).add(Verdict(case, ended, healed, wrong))
    assert [line.split("|")[1:-1] for line in lines(table)][2] == [
        " cut, by FIN ",
        " converse ",
        " plain ",
        " 3     ",
        " truncated 2, complete 1 ",
        " 1 of 2 ",
        " 1 wrong ",
    ]


def test_what_was_only_late_is_tried_once_more() -> None:
    case = Case("cut, by FIN", "converse", None, frozenset({"truncated"}))
    late, wrong = Verdict(case, "truncated", None, ("took 6.2 s",)), Verdict(case, "x", None, ("took 6.2 s", "lost"))
    good = Verdict(case, "truncated")
    for first, second, expected in ((late, good, good), (late, late, late), (wrong, good, wrong), (good, late, good)):
        tried = iter((first, second))
        assert unless_late(lambda tried=tried: next(tried)) is expected  # type: ignore[misc]

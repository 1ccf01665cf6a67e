"""A sample of the fault matrix; `scripts/faults` runs all of it: every byte, every event, every status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from workshop.faults.__main__ import Row, Table, lines
from workshop.faults.cases import GROUPS, PLAIN, SAMPLE, TLS, Case
from workshop.faults.judge import Judge, Verdict, at_some_pace


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
    assert len(verdicts) == (6 if judge.wire == PLAIN else 12)
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


CUT = Case("cut, by FIN", "converse", None, frozenset({"truncated"}))
GOOD = Verdict(CUT, "truncated")
LATE = Verdict(CUT, "truncated", None, ("took 6.2 s",))
WRONG = Verdict(CUT, "x", None, ("took 6.2 s", "lost"))


@pytest.mark.parametrize(
    ("hurried", "verdicts", "paces"),
    [
        (False, [LATE, GOOD], [1, 4]),
        (False, [LATE, LATE, LATE], [1, 4, 16]),
        (False, [WRONG], [1]),
        (True, [WRONG, LATE, GOOD], [1, 4, 16]),
        (True, [WRONG, WRONG, WRONG], [1, 4, 16]),
        (True, [GOOD], [1]),
    ],
)
def test_what_may_come_of_too_little_time_is_tried_with_more(
    hurried: bool, verdicts: list[Verdict], paces: list[int]
) -> None:
    tried: list[int] = []

    def judged(pace: int) -> Verdict:
        tried.append(pace)
        return verdicts[len(tried) - 1]

    assert at_some_pace(judged, hurried=hurried) is verdicts[-1]
    assert tried == paces

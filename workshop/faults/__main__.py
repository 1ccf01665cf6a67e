"""The fault matrix as a table: every case on a plain wire and over TLS.

    python -m workshop.faults [--sample] [--write] [--only GROUP]

Exits with 1 where something was wrong. `--write` puts the table into docs/faults.md. All of it takes about ten minutes.
"""

from __future__ import annotations

import logging
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from workshop.environment import ROOT
from workshop.faults.cases import PLAIN, SAMPLE, THOROUGH, TLS, Case, every_case
from workshop.faults.judge import Judge, Verdict, leftovers

DOCUMENT = ROOT / "docs" / "faults.md"

HEAD = """# Faults

What comes of every fault that was tried, with real boto3 on a loopback wire; `scripts/faults --write` writes this page.
For each: the kind of failure is right, nothing that was told is lost or told twice, no call outlasts its timeout, the
next call on the same adapter works. "Healed" counts the calls that ended complete because a second attempt was allowed
and nothing had been shown yet; where nothing is healed, a retry would show something twice, be billed again, or be
refused again.

"""


@dataclass(slots=True)
class Row:
    """One line of the table: what was tried of a group, by one method, on one wire."""

    tried: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    healed: int = 0
    wrong: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.tried += 1
        self.ended[verdict.ended] += 1
        self.retried += verdict.healed is not None
        self.healed += verdict.healed is True
        if verdict.wrong:
            self.wrong.append(verdict)

    def cells(self) -> list[str]:
        """The cells after those that name the row."""
        ended = ", ".join(
            f"{kind} {count}" if len(self.ended) > 1 else kind for kind, count in self.ended.most_common()
        )
        healed = f"{self.healed} of {self.retried}" if self.retried else ""
        return [str(self.tried), ended, healed, "ok" if not self.wrong else f"{len(self.wrong)} wrong"]


Table = dict[tuple[str, str, str], Row]

TITLES = ("fault", "method", "wire", "tried", "ends as", "healed", "")


def verdicts(judge: Judge, cases: Iterable[Case]) -> Iterator[Verdict]:
    """What comes of each case, those without an endpoint first."""
    yield from judge.unreachable()
    for case in cases:
        yield judge.verdict(case)


def run(arguments: Namespace) -> Table:
    """Have everything happen, and gather it by group."""
    table: Table = {}
    for wire in (PLAIN, TLS):
        extent = (SAMPLE if arguments.sample else THOROUGH)[wire]
        cases = (case for case in every_case(extent) if arguments.only in case.group)
        with Judge(wire) as judge:
            for number, verdict in enumerate(verdicts(judge, cases)):
                table.setdefault((verdict.case.group, verdict.case.operation, wire), Row()).add(verdict)
                if number % 100 == 0 and sys.stderr.isatty():
                    print(f"\r{wire}: {number}", end="", file=sys.stderr, flush=True)
    return table


def lines(table: Table) -> Iterator[str]:
    """The table in Markdown, aligned."""
    rows = [TITLES, *((*key, *row.cells()) for key, row in table.items())]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(TITLES))]
    for number, cells in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
        if number == 0:
            yield "| " + " | ".join("-" * max(3, width) for width in widths) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix, print it, and say what was wrong."""
    parser = ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--sample", action="store_true", help="as much as scripts/test tries")
    parser.add_argument("--write", action="store_true", help="write docs/faults.md")
    parser.add_argument("--only", default="", metavar="TEXT", help="only groups whose name holds this")
    asked = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # thousands of warnings, each deserved
    began = time.monotonic()
    table = run(asked)
    text = "\n".join(lines(table))
    wrong = [verdict for row in table.values() for verdict in row.wrong]
    total = sum(row.tried for row in table.values())
    print(text, *(_complaint(verdict) for verdict in wrong), sep="\n")
    print(
        f"{total} cases in {time.monotonic() - began:.0f} s, {len(wrong)} wrong, threads left: {leftovers() or 'none'}"
    )
    if asked.write:
        DOCUMENT.write_text(f"{HEAD}{text}\n\n{total} cases, {len(wrong)} wrong.\n", encoding="utf-8")
    return int(bool(wrong) or bool(leftovers()))


def _complaint(verdict: Verdict) -> str:
    case = verdict.case
    return f"{case.group} | {case.operation} | {case.note}: {'; '.join(verdict.wrong)}"


if __name__ == "__main__":
    sys.exit(main())

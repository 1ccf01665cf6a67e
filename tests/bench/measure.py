"""The measuring: what every subject does is checked first, then they take turns, round by round.

Out come results: per row and column the samples of each round, and the ratio of each to bare boto3's in the same round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from .processes import WITHOUT_ORJSON, Child, Server, SubjectError, seconds_to_first_token, subject_process
from .workloads import WORKLOADS, Workload

FLOOR = "boto3"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Column:
    """A subject as it is run: its name in the table, who it is, and with which flags."""

    title: str
    subject: str
    flags: tuple[str, ...] = ()
    peer: bool = False


OURS = Column("ours", "ours", (WITHOUT_ORJSON,))
OURS_SPEED = Column("ours [speed]", "ours")
OURS_ASYNC = Column("ours, async", "ours-async", (WITHOUT_ORJSON,))
OURS_HTTP = Column("ours, openai transport", "ours-http", (WITHOUT_ORJSON,))

FACES: Mapping[Column, tuple[str, ...]] = {
    OURS_ASYNC: (
        "text",
        "crowd-50",
        "crowd-50-brisk",
        "crowd-50-tls",
        "crowd-500",
        "lag",
        "crowd-lag",
        "first",
        "memory",
        "start",
    ),
    OURS_HTTP: ("turn", "text"),
}
"""Faces over the core, and the rows in which they have something to say."""

OVER_THE_CORE: Mapping[str, tuple[tuple[Column, str, str, float], ...]] = {
    "turn": ((OURS_HTTP, "openai transport over the core, per call", "us CPU", 500),),
    "text": (
        (OURS_ASYNC, "async face over the core, per delta", "us CPU", 15),
        (OURS_HTTP, "openai transport over the core, per chunk", "us CPU", 30),
    ),
}
"""What a face may cost more than the core, in microseconds per unit of the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; samples are seconds, bytes or counts as `unit` says, by column title, one per round."""

    name: str
    title: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    targets: tuple[float, float] | None = None
    relative: bool = True

    def median(self, column: str) -> float:
        """The middle sample."""
        return statistics.median(self.samples[column])

    def ratios(self, column: str) -> list[float]:
        """The column's samples over the floor's, round by round."""
        pairs = zip(self.samples[column], self.samples[FLOOR], strict=False)
        return [sample / floor for sample, floor in pairs if floor]

    def target(self, column: str) -> float | None:
        """What the column must reach in this row."""
        if self.targets is None or column not in _TARGETED:
            return None
        return self.targets[_TARGETED[column]]


_TARGETED = {OURS.title: 0, OURS_SPEED.title: 1}


@dataclass(slots=True)
class Bench:
    """Everything that a round needs; columns that fail in a row are left out of it, and what they said is kept."""

    server: Server
    environ: Mapping[str, str]
    columns: Sequence[Column]
    say: Say
    notes: list[str] = field(default_factory=list)
    _children: dict[str, Child] = field(default_factory=dict)

    def close(self) -> None:
        """End the subjects."""
        for child in self._children.values():
            child.close()

    # --- rows of CPU ----------------------------------------------------------------------------------------------

    def cpu_row(self, workload: Workload, rounds: int) -> Row:
        """One workload, all columns."""
        row = Row(workload.name, workload.title, f"CPU per {workload.unit}", targets=workload.targets)
        able = [column for column in self._columns_of(workload) if self._checks(column, workload)]
        for number in range(rounds):
            turn = number % len(able)
            for column in (*able[turn:], *able[:turn]):
                answer = self._child(column).ask("measure", name=workload.name)
                row.samples.setdefault(column.title, []).append(answer["cpu"])
        for column in able:
            self._child(column).ask("forget", name=workload.name)
        return row

    def _columns_of(self, workload: Workload) -> list[Column]:
        return [column for column in self._present_in(workload.name) if workload.peers or not column.peer]

    def _present_in(self, row: str) -> list[Column]:
        return [column for column in self.columns if row in FACES.get(column, (row,))]

    def _checks(self, column: Column, workload: Workload) -> bool:
        try:
            self._child(column).ask("check", name=workload.name)
            self._check_request(workload)
        except SubjectError as error:
            self.notes.append(f"{column.title}, {workload.title}: {error}")
            self.say(f"{column.title} fails in {workload.name}: {error}")
            return False
        return True

    def _check_request(self, workload: Workload) -> None:
        """Nothing of the conversation may be missing in what was sent."""
        body = self.server.last_body()
        asked = workload.conversation(0).messages
        results = sum(message["role"] == "tool" for message in asked)
        pictures = sum(
            str(message["content"]).count("data:image/png") for message in asked if message["role"] == "user"
        )
        sent = [block for message in body["messages"] for block in message["content"]]
        found = sum("toolResult" in block for block in sent), sum("image" in block for block in sent)
        if found != (results, pictures):
            raise SubjectError(f"sent {found} tool results and images, not {(results, pictures)}")

    def _child(self, column: Column) -> Child:
        if column.title not in self._children:
            self._children[column.title] = subject_process(
                column.subject, self.server.endpoints, self.environ, column.flags, connections=500
            )
        return self._children[column.title]

    # --- rows of other kinds --------------------------------------------------------------------------------------

    def over_rows(self, row: Row) -> Iterator[Row]:
        """What the faces cost over the core, from the samples of a row."""
        for column, title, unit, most in OVER_THE_CORE.get(row.name, ()):
            if column.title in row.samples:
                pairs = zip(row.samples[column.title], row.samples[OURS.title], strict=True)
                over = [(slow - fast) * 1e6 for slow, fast in pairs]
                yield Row(f"{row.name}-{column.subject}", title, unit, {OURS.title: over}, (most, most), relative=False)

    def connection_row(self, kind: str) -> Row:
        """New connections in two waves of 50 streams, after a first wave."""
        name = "crowd-50-tls" if kind == "tls" else "crowd-50"
        row = Row(f"connections-{kind}", f"50 streams at once, {kind}: new connections after the first wave",
                  "connections", targets=(0, 0), relative=False)  # fmt: skip
        for column in self._columns_of(WORKLOADS[name]):
            child = self._child(column)
            child.ask("measure", name=name)
            before = self.server.connections()
            child.ask("measure", name=name)
            child.ask("measure", name=name)
            row.samples[column.title] = [self.server.connections() - before]
        return row

    def lag_rows(self, rounds: int) -> list[Row]:
        """The delay of a delta, and the time to the first one, with events every 10 ms."""
        lag = Row("lag", "lag of a delta, events every 10 ms", "wall", targets=(1.0, 1.0))
        first = Row("first", "call to first delta, of which 10 ms are the server's", "wall")
        for _ in range(rounds):
            for column in self._present_in("lag"):
                try:
                    answer = self._told(column).ask("lag", reply="clock-50", streams=1)
                except SubjectError as error:
                    self.notes.append(f"{column.title}, {lag.title}: {error}")
                    continue
                lag.samples.setdefault(column.title, []).append(statistics.median(answer["lags"]))
                first.samples.setdefault(column.title, []).append(answer["first"])
        return [lag, first]

    def crowd_lag_rows(self, rounds: int) -> list[Row]:
        """The delay of a delta where 50 streams are read at once: of the middle one, and of one in a hundred."""
        title = "50 streams at once, 500 deltas/s each: lag of a delta"
        middle, late = (
            Row("crowd-lag", title, "wall"),
            Row("crowd-lag-late", "… of the latest hundredth, at least", "wall"),
        )
        for _ in range(rounds):
            for column in self._present_in("crowd-lag"):
                if not column.peer:
                    lags = sorted(self._told(column).ask("lag", reply="clock-brisk-250", streams=50)["lags"])
                    middle.samples.setdefault(column.title, []).append(statistics.median(lags))
                    late.samples.setdefault(column.title, []).append(lags[len(lags) * 99 // 100])
        return [middle, late]

    def _told(self, column: Column) -> Child:
        """The column, or for bare boto3 the one that says what it reads."""
        return self._child(Column("boto3 (telling)", "boto3-told")) if column.title == FLOOR else self._child(column)

    def memory_row(self, rounds: int) -> Row:
        """Resident memory of fresh processes with 50 streams half read."""
        row = Row("memory", "memory at 50 streams", "bytes", targets=(1.05, 1.05))
        for _ in range(rounds):
            for column in self._present_in("memory"):
                self._sample(row, column, partial(self._memory, column))
        return row

    def _memory(self, column: Column) -> float:
        endpoints = self.server.endpoints
        with subject_process(column.subject, endpoints, self.environ, column.flags, connections=50) as child:
            return float(child.ask("memory")["bytes"])

    def start_row(self, rounds: int) -> Row:
        """From the start of a process to its first text."""
        row = Row("start", "process start to first token", "wall", targets=(1.03, 1.03))
        for column in self._present_in(row.name):  # fills the caches of the file system and of compiled modules
            self._sample(Row("", "", ""), column, partial(self._start, column))
        for _ in range(rounds):
            for column in self._present_in(row.name):
                self._sample(row, column, partial(self._start, column))
        return row

    def _start(self, column: Column) -> float:
        return seconds_to_first_token(column.subject, self.server.endpoints["plain"], self.environ, column.flags)

    def _sample(self, row: Row, column: Column, take: Callable[[], float]) -> None:
        try:
            row.samples.setdefault(column.title, []).append(take())
        except SubjectError as error:
            self.notes.append(f"{column.title}, {row.title}: {error}")

    def conversion_rows(self, lengths: Sequence[int], rounds: int) -> list[Row]:
        """What a turn of a history costs to convert, for histories of several lengths."""
        rows = []
        for turns in lengths:
            row = Row(
                f"convert-{turns}", f"converting {turns:,} turns".replace(",", " "), "us CPU per turn", relative=False
            )
            for _ in range(rounds):
                cpu = self._child(OURS).ask("conversion", turns=turns)["cpu"]
                row.samples.setdefault(OURS.title, []).append(cpu / turns * 1e6)
            rows.append(row)
        return rows

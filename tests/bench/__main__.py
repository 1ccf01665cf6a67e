"""`python -m tests.bench`: run the benchmark, print the table, and with --write keep it in docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from .measure import FACES, FLOOR, OURS, OURS_SPEED, Bench, Column, Row
from .processes import ROOT, Server, authority, environment
from .report import for_terminal, markdown, plot, table
from .subjects import PEERS, is_installed
from .workloads import WORKLOADS

PAGE, PICTURE = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.svg"

BEGIN, END = "<!-- figures: scripts/bench --write -->", "<!-- end of figures -->"

OTHER_ROWS = ("connections", "lag", "crowd-lag", "memory", "start", "convert")


def columns(options: argparse.Namespace) -> list[Column]:
    """Who takes part."""
    chosen = [Column(FLOOR, "boto3"), OURS]
    if options.speed:
        chosen.append(OURS_SPEED)
    if options.faces:
        chosen += [face for face in FACES if is_installed(face.subject)]
    if options.peers:
        chosen += [Column(name, name, peer=True) for name in PEERS if is_installed(name)]
    return chosen


def rows(bench: Bench, options: argparse.Namespace) -> Iterator[Row]:
    """All rows that are wanted, one after the other."""
    wanted = options.only or [*WORKLOADS, *OTHER_ROWS]
    for name in wanted:
        if name in WORKLOADS:
            slow = WORKLOADS[name].crowd
            row = bench.cpu_row(WORKLOADS[name], max(2, options.rounds // 2) if slow else options.rounds)
            yield row
            yield from bench.over_rows(row)
        else:
            yield from _other(bench, name, options.rounds)


def _other(bench: Bench, name: str, rounds: int) -> Iterator[Row]:
    if name == "connections":
        yield from (bench.connection_row(kind) for kind in bench.server.endpoints)
    elif name == "lag":
        yield from bench.lag_rows(rounds)
    elif name == "crowd-lag":
        yield from bench.crowd_lag_rows(max(2, rounds // 2))
    elif name == "memory":
        yield bench.memory_row(max(2, rounds // 2))
    elif name == "start":
        yield bench.start_row(rounds * 2)
    else:
        yield from bench.conversion_rows((10, 100, 1000, 5000), 3)


def conditions(bench: Bench, rounds: int) -> str:
    """Where and with what the figures were taken."""
    names = ["boto3", "botocore", "urllib3", *("orjson" for column in bench.columns if column is OURS_SPEED)]
    peers = {"strands": "strands-agents", "pydantic-ai": "pydantic-ai-slim"}
    names += [peers.get(column.title, column.title) for column in bench.columns if column.peer]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.system()} on {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {versions}; {rounds} rounds; load {os.getloadavg()[0]:.1f}."
    )


def write(text: str, picture: str) -> None:
    """Put the figures into the page, between its marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    PICTURE.write_text(picture, encoding="utf-8")


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="add the adapters that are installed: " + ", ".join(PEERS))
    parser.add_argument("--speed", action="store_true", help="also with orjson, which the default run leaves out")
    parser.add_argument("--core", dest="faces", action="store_false", help="leave AsyncBedrock and the transport out")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which the subjects take turns (5)")
    parser.add_argument("--write", action="store_true", help="keep table and plot in docs/")
    parser.add_argument("only", nargs="*", metavar="ROW", help=f"only these: {', '.join([*WORKLOADS, *OTHER_ROWS])}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run, and say what was measured; 1 where a subject of ours answered wrongly."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, authority(Path(folder)) as (certificate, bundle):
        environ = environment(Path(folder), bundle)
        with Server(certificate, environ) as server, closing(Bench(server, environ, columns(options), _say)) as bench:
            measured = []
            for row in rows(bench, options):
                measured.append(row)
                _say(row.title)
            cells = table(measured, bench.columns)
            about = conditions(bench, options.rounds)
            print(for_terminal(cells), "", about, *bench.notes, sep="\n")
            if options.write:
                write("\n\n".join([markdown(cells), about, *bench.notes]), plot(measured, bench.columns))
    return int(any(note.startswith("ours") for note in bench.notes))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The benchmark judges before it measures, and reports what it measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tests.bench.measure import FLOOR, OURS, OURS_ASYNC, OURS_SPEED, Column, Row
from tests.bench.processes import Server, SubjectError, environment, subject_process
from tests.bench.report import for_terminal, markdown, plot, table
from tests.bench.subjects import is_installed
from tests.bench.workloads import WORKLOADS

#: Those that send another conversation each time send what others send, at great cost.
SINGLE = [name for name, workload in WORKLOADS.items() if not workload.crowd and workload.next != "another"]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def server(environ: dict[str, str]) -> Iterator[Server]:
    with Server([], environ) as running:
        yield running


@pytest.mark.parametrize("name", ["boto3", "ours", "ours-async", "ours-http"])
def test_every_workload_is_answered_rightly(server: Server, environ: dict[str, str], name: str) -> None:
    if not is_installed(name):
        pytest.skip(f"{name} needs what is not installed here")
    with subject_process(name, server.endpoints, environ) as subject:
        for workload in SINGLE:
            subject.ask("check", name=workload)


def test_a_wrong_answer_is_not_measured(server: Server, environ: dict[str, str]) -> None:
    with (
        subject_process("boto3-told", server.endpoints, environ) as subject,
        pytest.raises(SubjectError, match="KeyError"),
    ):
        subject.ask("check", name="no-such-workload")


def test_lag_and_conversion_are_measured_in_the_subject(server: Server, environ: dict[str, str]) -> None:
    with subject_process("ours", server.endpoints, environ) as subject:
        answer = subject.ask("lag", reply="clock-50", streams=1)
        assert len(answer["lags"]) == 50
        assert min(answer["lags"]) > 0
        assert answer["first"] > 0.01
        assert len(subject.ask("lag", reply="clock-50", streams=3)["lags"]) == 150
        assert subject.ask("conversion", turns=10)["cpu"] > 0


ROWS = [
    Row("turn", "short turn", "CPU per request", {FLOOR: [1e-3, 2e-3], OURS.title: [8e-4, 1.4e-3]}, (0.85, 0.85)),
    Row("text", "deltas", "CPU per delta", {FLOOR: [2e-5], OURS.title: [9e-6], OURS_SPEED.title: [5e-6]}, (0.3, 0.27)),
    Row("conn", "connections", "connections", {FLOOR: [40], OURS.title: [3]}, (0, 0), relative=False),
]

COLUMNS = [Column(FLOOR, "boto3"), OURS, OURS_SPEED, OURS_ASYNC]


def test_the_table_puts_the_target_beside_the_figure_and_marks_what_misses_it() -> None:
    cells = table(ROWS, COLUMNS)
    assert cells == [
        ["workload", "bare boto3", "ours", "at most", "ours [speed]", "at most", "ours, async"],
        ["short turn", "1.5 ms", "0.75 ±0.05", "0.85", "-", "0.85", "-"],
        ["deltas", "20 us", "0.45 ±0.00 ✗", "0.3", "0.25 ±0.00", "0.27", "-"],
        ["connections", "40 connections", "3 connections ✗", "0", "-", "0", "-"],
    ]
    assert markdown(cells).splitlines()[2].startswith("| short turn | 1.5 ms | 0.75")
    assert len({line.index("0.85") for line in for_terminal(cells).splitlines() if "0.85" in line}) == 1


def test_the_plot_is_svg_with_a_bar_for_each_ratio() -> None:
    picture = ET.fromstring(plot(ROWS, COLUMNS))
    texts = ["".join(node.itertext()) for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"0.75", "0.45", "0.25", "short turn", "deltas"} <= set(texts)
    assert "connections" not in texts

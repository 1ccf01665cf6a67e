"""Results as a table for a terminal, as Markdown, and as a plot; in come rows, out goes text."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from html import escape

from .measure import FLOOR, OURS, OURS_SPEED, Column, Row

Table = list[list[str]]

Place = Callable[[float], float]
"""A ratio's place on the scale."""

_SCALES = {
    "CPU": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")),
    "wall": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")),
    "bytes": ((2**20, "MB"),),
}


def table(rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    """The cells, headings first: bare boto3 in absolute figures, the others as ratios to it, targets beside ours."""
    head = ["workload", "bare boto3"]
    for column in columns[1:]:
        head += [column.title, "at most"] if column in (OURS, OURS_SPEED) else [column.title]
    return [head, *([row.title, _floor(row), *_cells(row, columns[1:])] for row in rows)]


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    cells = []
    for column in columns:
        cells.append(_cell(row, column.title))
        if column in (OURS, OURS_SPEED):
            target = row.target(column.title)
            cells.append("" if target is None else f"{target:g}")
    return cells


def _floor(row: Row) -> str:
    return absolute(row, FLOOR) if FLOOR in row.samples else "-"


def _cell(row: Row, column: str) -> str:
    if column not in row.samples:
        return "-"
    if not row.relative:
        return absolute(row, column)
    ratios = row.ratios(column)
    missed = row.target(column) is not None and statistics.median(ratios) > (row.target(column) or 0)
    spread = (max(ratios) - min(ratios)) / 2
    return f"{statistics.median(ratios):.2f} ±{spread:.2f}{' ✗' if missed else ''}"


def absolute(row: Row, column: str) -> str:
    """The middle sample with its unit."""
    value = row.median(column)
    scales = _SCALES.get(row.unit.split()[0])
    if scales is None:
        missed = row.target(column) is not None and value > (row.target(column) or 0)
        return f"{value:.3g} {row.unit.split()[0]}{' ✗' if missed else ''}"
    size, unit = next(((size, unit) for size, unit in scales if value >= size), scales[-1])
    return f"{value / size:.3g} {unit}"


def for_terminal(cells: Table) -> str:
    """Columns of equal width."""
    widths = [max(len(line[position]) for line in cells) for position in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(cells: Table) -> str:
    """A Markdown table."""
    head, *lines = cells
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


# --- plot -------------------------------------------------------------------------------------------------------------

_COLORS = ("#0b7285", "#66d9e8", "#748ffc", "#adb5bd", "#868e96", "#ced4da", "#495057")
_SIDE, _LEFT, _WIDTH, _BAR, _GAP, _TOP = 20, 330, 560, 11, 12, 62


def plot(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """An SVG of bars on a logarithmic scale, bare boto3 being the line at 1; a tick is what must be reached."""
    shown = [row for row in rows if row.relative and OURS.title in row.samples and FLOOR in row.samples]
    drawn = [column for column in columns[1:] if any(column.title in row.samples for row in shown)]
    every = [
        statistics.median(row.ratios(column.title)) for row in shown for column in drawn if column.title in row.samples
    ]
    low, high = math.log10(min(0.1, *every)), math.log10(max(2.0, *every))

    def place(ratio: float) -> float:
        return _LEFT + (math.log10(max(ratio, 1e-6)) - low) / (high - low) * _WIDTH

    parts, top = [], _TOP
    for row in shown:
        parts += _group(row, drawn, place, top)
        top += sum(column.title in row.samples for column in drawn) * _BAR + _GAP
    return "\n".join([*_frame(top), *_grid(low, high, place, top), *_legend(drawn), *parts, "</svg>", ""])


def _group(row: Row, drawn: Sequence[Column], place: Place, top: float) -> list[str]:
    present = [column for column in drawn if column.title in row.samples]
    middle = top + len(present) * _BAR / 2 + 4
    parts = [f'<text x="{_LEFT - 8}" y="{middle:.1f}" text-anchor="end">{escape(row.title)}</text>']
    for position, column in enumerate(present):
        ratio = statistics.median(row.ratios(column.title))
        y, end = top + position * _BAR, place(ratio)
        start, width = min(place(1), end), abs(end - place(1))
        color = _COLORS[drawn.index(column) % len(_COLORS)]
        parts.append(f'<rect x="{start:.1f}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" fill="{color}"/>')
        beside, anchor = (end - 4, "end") if ratio < 1 else (end + 4, "start")
        parts.append(f'<text x="{beside:.1f}" y="{y + 8}" text-anchor="{anchor}" class="s">{ratio:.2f}</text>')
        target = row.target(column.title)
        if target:
            x = place(target)
            parts.append(f'<path d="M{x:.1f} {y - 1}v{_BAR}" stroke="#e03131" stroke-width="2"/>')
    return parts


def _frame(bottom: float) -> list[str]:
    width, height = _LEFT + _WIDTH + 60, bottom + 20
    style = "text{font:12px sans-serif;fill:#212529}.s{font-size:9px;fill:#495057}"
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{style}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]


def _grid(low: float, high: float, place: Place, bottom: float) -> list[str]:
    parts = []
    for ratio in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50):
        if low - 1e-9 <= math.log10(ratio) <= high:
            x, color = place(ratio), "#212529" if ratio == 1 else "#dee2e6"
            parts.append(f'<path d="M{x:.1f} {_TOP - 6}V{bottom}" stroke="{color}"/>')
            parts.append(f'<text x="{x:.1f}" y="{_TOP - 9}" text-anchor="middle" class="s">{ratio:g}</text>')
    return parts


def _legend(drawn: Sequence[Column]) -> list[str]:
    parts = [
        f'<text x="{_LEFT}" y="16" class="s">CPU or time beside bare boto3 = 1 (less is better); red: the target</text>'
    ]
    x = _SIDE
    for position, column in enumerate(drawn):
        parts.append(f'<rect x="{x}" y="23" width="10" height="9" fill="{_COLORS[position % len(_COLORS)]}"/>')
        parts.append(f'<text x="{x + 14}" y="31" class="s">{escape(column.title)}</text>')
        x += 34 + 5 * len(column.title)
    return parts

"""Bars and lines as SVG, without a library.

The pictures are few and simple, a text file each, the same bytes for the same figures, so that git shows what
changed; matplotlib would bring 100 MB for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

_FONT = "font-family='DejaVu Sans, Arial, sans-serif'"
_WIDTH, _LEFT, _RIGHT, _TOP, _BAR, _GAP = 760, 190, 110, 56, 20, 8
_OURS, _OTHERS, _SECOND, _INK, _GRID = "#0b6e4f", "#8aa1b1", "#d9a441", "#222222", "#dddddd"
_SERIES = ("#0b6e4f", "#b3472f", "#3d6fb6", "#8a5fa8", "#c08a1e", "#5b7f3a", "#7a7a7a", "#1f9bb0", "#c2548c")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its value, the range of the samples, and a second value stacked on it."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    more: float = 0.0
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: a value for each place on the x axis, None where there is none."""

    label: str
    values: Sequence[float | None]


def number(value: float) -> str:
    """Return a figure as a reader wants it: thousands with commas, small ones with two or three digits."""
    if value >= 1000 or not value:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ticks(highest: float, count: int = 5) -> list[float]:
    """Return round figures from 0 to at least ``highest``."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / count
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    found = [0.0]
    while found[-1] < highest:
        found.append(round(found[-1] + step, 10))
    return found


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, extra: str = "") -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' fill='{_INK}'"
    return f"<text {place} {extra}>{escape(text)}</text>"


def _document(height: float, title: str, note: str, parts: Sequence[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height:.0f}' {_FONT} role='img'>"
    lines = [head, f"<title>{escape(title)}</title>", "<rect width='100%' height='100%' fill='white'/>"]
    lines += [_text(12, 22, title, size=16, extra="font-weight='bold'"), _text(12, 40, note, size=11)]
    return "\n".join([*lines, *parts, "</svg>", ""])


def bars(title: str, note: str, rows: Sequence[Bar]) -> str:
    """Return a picture of horizontal bars, in the order given."""
    marks = ticks(max([0.0, *(max(row.value + row.more, row.high or 0.0) for row in rows)]))
    scale = (_WIDTH - _LEFT - _RIGHT) / marks[-1]
    bottom = _TOP + len(rows) * (_BAR + _GAP)
    parts = []
    for mark in marks:
        x = _LEFT + mark * scale
        parts.append(f"<line x1='{x:.1f}' y1='{_TOP}' x2='{x:.1f}' y2='{bottom}' stroke='{_GRID}'/>")
        parts.append(_text(x, bottom + 14, number(mark), anchor="middle", size=10))
    for position, row in enumerate(rows):
        parts += _bar(row, _TOP + position * (_BAR + _GAP), scale)
    return _document(bottom + 26, title, note, parts)


def _bar(row: Bar, y: float, scale: float) -> list[str]:
    width, more = row.value * scale, row.more * scale
    colour = _OURS if row.ours else _OTHERS
    parts = [
        _text(_LEFT - 8, y + 14, row.label, anchor="end"),
        f"<rect x='{_LEFT}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{colour}'/>",
    ]
    if more:
        parts.append(
            f"<rect x='{_LEFT + width:.1f}' y='{y}' width='{more:.1f}' height='{_BAR}' fill='{_SECOND}'/>"
        )
    end = _LEFT + width + more
    if row.low is not None and row.high is not None and row.high > row.low:
        low, high, middle = _LEFT + row.low * scale, _LEFT + row.high * scale, y + _BAR / 2
        parts.append(
            f"<path d='M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 4:.1f}v8"
            f"M{high:.1f} {middle - 4:.1f}v8' stroke='{_INK}' fill='none'/>"
        )
        end = max(end, high)
    label = number(row.value) + (f" + {number(row.more)}" if row.more else "")
    return [*parts, _text(end + 6, y + 14, label)]


def lines(title: str, note: str, places: Sequence[str], series: Sequence[Line]) -> str:
    """Return a picture of lines over places that stand at equal distances."""
    left, top, height, right = 70, _TOP, 300, _WIDTH - 180
    found = [value for line in series for value in line.values if value is not None]
    marks = ticks(max([0.0, *found]))
    scale, step = height / marks[-1], (right - left) / max(1, len(places) - 1)
    parts = []
    for mark in marks:
        y = top + height - mark * scale
        parts.append(f"<line x1='{left}' y1='{y:.1f}' x2='{right}' y2='{y:.1f}' stroke='{_GRID}'/>")
        parts.append(_text(left - 6, y + 4, number(mark), anchor="end", size=10))
    for position, place in enumerate(places):
        parts.append(_text(left + position * step, top + height + 16, place, anchor="middle", size=11))
    for position, line in enumerate(series):
        colour = _SERIES[position % len(_SERIES)]
        points = [
            f"{left + at * step:.1f},{top + height - value * scale:.1f}"
            for at, value in enumerate(line.values)
            if value is not None
        ]
        joined = " ".join(points)
        parts.append(f"<polyline points='{joined}' fill='none' stroke='{colour}' stroke-width='2'/>")
        y = top + 12 + position * 18
        parts.append(f"<rect x='{right + 20}' y='{y - 9}' width='12' height='10' fill='{colour}'/>")
        parts.append(_text(right + 38, y, line.label, size=11))
    return _document(top + height + 32, title, note, parts)

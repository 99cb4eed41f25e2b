"""Bars as SVG inside a page: patterns instead of colours, so that a black-and-white print says the same.

A picture never says what the table beside it does not: a hidden figure has no bar, only its sign.
"""

from __future__ import annotations

from html import escape
from typing import Final
from zlib import crc32

from filterd.monitor.reports.outline import Bar, Chart

_WIDTH: Final = 680
_LABEL: Final = 265
_FIGURE: Final = 90
_BAR: Final = 18
_GAP: Final = 7
_TALL: Final = 110
_LETTERS: Final = 34  # of a label, at this size
_STYLE: Final = "font-family='DejaVu Sans, sans-serif' font-size='12' fill='#111'"
_HATCH: Final = (
    "<defs><pattern id='{id}' width='6' height='6' patternUnits='userSpaceOnUse'"
    " patternTransform='rotate(45)'>"
    "<rect width='6' height='6' fill='#fff'/><rect width='3' height='6' fill='#333'/></pattern></defs>"
)


def picture(chart: Chart) -> str:
    """Return a chart as an ``svg`` element."""
    return _columns(chart) if chart.shape == "columns" else _rows(chart)


def _top(chart: Chart) -> float:
    return chart.top or max([1.0, *(bar.value for bar in chart.bars if bar.value is not None)])


def _open(chart: Chart, height: int) -> list[str]:
    words = "; ".join(f"{bar.label}: {bar.shown}" for bar in chart.bars)
    return [
        f"<svg viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' height='{height}' role='img' {_STYLE}>",
        f"<title>{escape(chart.title)}</title><desc>{escape(words)}</desc>",
        _HATCH.format(id=_hatch(chart)),
    ]


def _hatch(chart: Chart) -> str:
    """Return the pattern's id: of its own for each chart of a page."""
    return f"hatch-{crc32(chart.title.encode()):08x}"


def _text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {more}>{escape(words)}</text>"


def _rows(chart: Chart) -> str:
    scale = (_WIDTH - _LABEL - _FIGURE) / _top(chart)
    height = len(chart.bars) * (_BAR + _GAP) + _GAP
    parts = _open(chart, height)
    for place, bar in enumerate(chart.bars):
        parts += _row(bar, _GAP + place * (_BAR + _GAP), scale, f"url(#{_hatch(chart)})")
    parts.append(f"<line x1='{_LABEL}' y1='0' x2='{_LABEL}' y2='{height}' stroke='#111'/></svg>")
    return "".join(parts)


def _row(bar: Bar, y: float, scale: float, fill: str) -> list[str]:
    width = (bar.value or 0) * scale
    label = bar.label if len(bar.label) <= _LETTERS else f"{bar.label[: _LETTERS - 1]}…"
    return [
        _text(_LABEL - 8, y + 13, label, "end"),
        f"<rect x='{_LABEL}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{fill}' stroke='#111'/>",
        _text(_LABEL + width + 6, y + 13, bar.shown),
    ]


def _columns(chart: Chart) -> str:
    """Return standing bars; every fifth is labelled when there are many."""
    left, bottom = 46, _TALL + 12
    step = (_WIDTH - left) / max(1, len(chart.bars))
    every = 1 if len(chart.bars) <= 12 else 5
    parts = _open(chart, bottom + 22)
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * _TALL
        parts.append(
            f"<line x1='{left}' y1='{y:.1f}' x2='{_WIDTH}' y2='{y:.1f}' stroke='#999'"
            " stroke-dasharray='2 3'/>"
        )
        parts.append(_text(left - 6, y + 4, _mark(part * _top(chart), chart), "end", "font-size='10'"))
    for place, bar in enumerate(chart.bars):
        x = left + place * step
        tall = 0.0 if bar.value is None else bar.value / _top(chart) * _TALL
        parts.append(
            f"<rect x='{x + step * 0.15:.1f}' y='{bottom - tall:.1f}' width='{step * 0.7:.1f}'"
            f" height='{tall:.1f}' fill='url(#{_hatch(chart)})' stroke='#111'/>"
        )
        if every == 1 or place % every == 0:
            parts.append(_text(x + step / 2, bottom + 15, bar.label, "middle", "font-size='10'"))
        if every == 1:
            parts.append(
                _text(x + step / 2, max(10.0, bottom - tall - 3), bar.shown, "middle", "font-size='9'")
            )
    parts.append(f"<line x1='{left}' y1='{bottom}' x2='{_WIDTH}' y2='{bottom}' stroke='#111'/></svg>")
    return "".join(parts)


def _mark(value: float, chart: Chart) -> str:
    return f"{value * 100:.0f} %" if chart.shares else f"{value:.3g}"

"""Which pictures a report has; svg.py draws them."""

from __future__ import annotations

from harness import svg
from harness.names import size_text
from harness.results import Results, Slice
from harness.settings import RATE

_SPEED = {"hits": "Hits", "misses": "Misses", "morning": "A school morning"}


def draw(results: Results) -> dict[str, str]:
    """Return every picture of the results by file name."""
    note = f"{results.machine['date']}, {results.machine['processor']}, one core a server"
    pictures: dict[str, str] = {}
    for size in results.standings:
        part, suffix = Slice(results, size), size_text(size)
        for workload in part.workloads():
            if workload in _SPEED:
                title = f"{_SPEED[workload]}: {{}}, {size:,} names"
                pictures[f"{workload}-{suffix}"] = _bars(part, workload, "qps", (title, note))
                pictures[f"{workload}-cpu-{suffix}"] = _bars(part, workload, "cpu_us", (title, note))
            elif workload.startswith(RATE):
                rate = int(workload.removeprefix(RATE))
                title = f"{rate:,} hits a second: {{}}, {size:,} names"
                pictures[f"{workload}-p99-{suffix}"] = _bars(part, workload, "p99_us", (title, note))
        pictures[f"memory-{suffix}"] = _memory(part, note)
    if len(results.standings) > 1:
        for workload in ("hits", "misses"):
            pictures[f"growth-{workload}"] = _growth(results, workload, note)
    return {name: picture for name, picture in pictures.items() if picture}


_FIGURES = {
    "qps": "questions a second",
    "cpu_us": "CPU time of a question in µs",
    "p99_us": "99th percentile of latency in µs",
}


def _ours(name: str) -> bool:
    return name.startswith("filterd")


def _bars(part: Slice, workload: str, key: str, words: tuple[str, str]) -> str:
    title, note = words
    found = part.ranked(workload, key, up=key != "qps")
    rows = [svg.Bar(name, value.median, value.low, value.high, ours=_ours(name)) for name, value in found]
    note = f"{note}; median and range of the rounds"
    return svg.bars(title.format(_FIGURES[key]), note, rows) if rows else ""


def _memory(part: Slice, note: str) -> str:
    rows = []
    for name, private in part.ranked("memory", "private", up=True):
        if name == "reflector":
            continue
        mapped = part.value(name, "memory", "mapped")
        rows.append(svg.Bar(name, private.median, more=mapped.median if mapped else 0.0, ours=_ours(name)))
    title = f"Memory in MiB: private + mapped once, {part.size:,} names"
    return svg.bars(title, note, rows) if rows else ""


def _growth(results: Results, workload: str, note: str) -> str:
    sizes = sorted(results.standings)
    series = []
    for name in dict.fromkeys(sample.peer for sample in results.samples):
        found = [Slice(results, size).value(name, workload, "cpu_us") for size in sizes]
        if any(found):
            series.append(svg.Line(name, [value.median if value else None for value in found]))
    title = f"CPU time of a question in µs by names on the list: {workload}"
    return svg.lines(title, note, [size_text(size) for size in sizes], series) if series else ""

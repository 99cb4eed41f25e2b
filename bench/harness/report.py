"""The tables of a report as plain text. Says nothing that is not in the results."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap

from harness.names import size_text
from harness.results import Results, Slice
from harness.settings import RATE
from harness.stats import Spread, spread
from harness.svg import number

AGAINST = ("unbound", "dnsdist", "reflector")
_FULL = 0.97  # of the generator's core: it may be the limit, not the server
_FOREIGN = 0.05  # of the server's core used by others: the figure is disturbed
_PRICE_HEADS = ["", "allowed µs", "blocked µs", "ratio", "busiest, allowed µs", "blocked µs", "ratio"]
_NOTES = """\
± is half the range over the rounds. Ratios are medians of the ratios within each round; the one to the
reflector is against the half second before.  * the generator's core was full: the server may be faster, its
CPU time tells.  ~ others disturbed the server's core.  CPU µs: of all processes of the server for a question;
busiest µs: of the one that used most."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under their heads: the first column to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = starmap(_padded, enumerate(zip(cells, widths, strict=True)))
        return "  ".join([first, *others]).rstrip()

    return "\n".join([line(heads), "  ".join("-" * width for width in widths), *map(line, rows)])


def _padded(position: int, cell: tuple[str, int]) -> str:
    text, width = cell
    return text.rjust(width) if position else text.ljust(width)


def text(results: Results) -> str:
    """Return the whole report."""
    parts = [_head(results)]
    for size in results.standings:
        part = Slice(results, size)
        parts.append(f"==== {size:,} names ====")
        parts += [_latency(part, w) if w.startswith(RATE) else _speed(part, w) for w in _workloads(part)]
        parts += [_price_of_blocking(part), _resources(part), _standings(part)]
    if len(results.standings) > 1:
        parts += [_growth(results, "hits"), _growth(results, "misses")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(results: Results) -> str:
    machine = results.machine
    about = ("processor", "cores", "memory_mib", "kernel", "system", "python", "source")
    lines = [machine["date"], ", ".join(f"{key} {machine[key]}" for key in about)]
    samples = [sample.values for sample in results.samples if sample.values.get("calibration_qps")]
    foreign = spread(values["foreign"] for values in samples)
    speed = spread(values["calibration_qps"] for values in samples)
    if foreign and speed:
        lines += [
            f"others used {foreign.median:.0%} of the server's core, {foreign.high:.0%} at most",
            f"the reflector before each measurement made {number(speed.median)} q/s ± {speed.percent:.0f} %",
        ]
    return "\n".join([*lines, f"settings {machine['settings']}", _NOTES])


def _workloads(part: Slice) -> list[str]:
    found = [workload for workload in part.workloads() if workload not in ("start", "memory")]
    return sorted(found, key=lambda name: (name.startswith(RATE), name == "dnsperf"))


def _show(value: Spread | None, *, digits: int | None = None) -> str:
    if value is None:
        return "-"
    return number(value.median) if digits is None else f"{value.median:.{digits}f}"


def _speed(part: Slice, workload: str) -> str:
    rows = []
    for name, rate in part.ranked(workload, "qps"):
        cells = [name + _marks(part, name, workload), number(rate.median), f"{rate.percent:.0f}%"]
        cells += [_show(part.ratio(name, other, workload), digits=2) for other in AGAINST]
        cells += [_show(part.value(name, workload, key), digits=2) for key in ("cpu_us", "busiest_us")]
        cells += [_show(part.value(name, workload, key)) for key in ("p50_us", "p99_us", "lost", "wrong")]
        rows.append(cells)
    ratios = [f"x {other}" for other in AGAINST]
    heads = ["", "q/s", "±", *ratios, "CPU µs", "busiest µs", "p50 µs", "p99 µs", "lost", "wrong"]
    return f"{workload}: as fast as it goes\n{table(heads, rows)}" if rows else ""


def _latency(part: Slice, workload: str) -> str:
    rows = []
    for name, best in part.ranked(workload, "p99_us", up=True):
        cells = [name + _marks(part, name, workload)]
        cells += [_show(part.value(name, workload, key)) for key in ("p50_us", "p90_us", "p99_us", "p999_us")]
        cells += [f"{best.percent:.0f}%", _show(part.value(name, workload, "cpu_us"), digits=2)]
        cells += [_show(part.value(name, workload, key)) for key in ("qps", "lost", "wrong")]
        rows.append(cells)
    heads = ["", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "± p99", "CPU µs", "q/s", "lost", "wrong"]
    rate = int(workload.removeprefix(RATE))
    return f"latency of hits at {rate:,} questions a second\n{table(heads, rows)}" if rows else ""


def _marks(part: Slice, name: str, workload: str) -> str:
    load, server, foreign = (
        part.value(name, workload, key) for key in ("load_core_busy", "server_core_busy", "foreign")
    )
    closed = not workload.startswith(RATE)  # the open loop spins: its core is always full
    full = closed and load is not None and server is not None and server.median < _FULL < load.median
    return (" *" if full else "") + (" ~" if foreign is not None and foreign.median > _FOREIGN else "")


def _price_of_blocking(part: Slice) -> str:
    """Return what a blocked answer costs, with all that is recorded of it, against an allowed one."""
    rows = []
    for name, _ in part.ranked("blocked", "cpu_us", up=True):
        cells = [name]
        for key in ("cpu_us", "busiest_us"):
            allowed, blocked = part.value(name, "allowed", key), part.value(name, "blocked", key)
            if allowed is not None and blocked is not None and allowed.median:
                cells += [_show(allowed, digits=2), _show(blocked, digits=2)]
                cells.append(f"{blocked.median / allowed.median:.2f}")
        if len(cells) == len(_PRICE_HEADS):
            rows.append(cells)
    return f"CPU time of a blocked hit against an allowed one\n{table(_PRICE_HEADS, rows)}" if rows else ""


def _resources(part: Slice) -> str:
    rows = []
    for name, standing in part.standings.items():
        if part.value(name, "memory", "private") is None:
            continue
        cells = [name]
        cells += [
            _show(part.value(name, "memory", key)) for key in ("private", "largest", "mapped", "shared")
        ]
        cells += [_show(part.value(name, "start", key), digits=2) for key in ("first_answer", "first_block")]
        facts = standing.facts
        cells += [f"{facts[key]:.1f}" if key in facts else "-" for key in ("compile_s", "compile_peak_mib")]
        rows.append([*cells, {True: "yes", False: "no", None: "-"}[standing.below]])
    heads = [
        "",
        "private MiB",
        "largest process",
        "mapped MiB",
        "shared MiB",
        "first answer s",
        "first block s",
    ]
    heads += ["compile s", "compile MiB", "blocks below"]
    return f"memory after hits, start, and what is done before it\n{table(heads, rows)}" if rows else ""


def _standings(part: Slice) -> str:
    lines = []
    for name, standing in part.standings.items():
        about = "; ".join(filter(None, [standing.version, standing.remarks.strip("; ")]))
        if standing.state != "ok":
            about = f"{standing.state.upper()}: {standing.reason}"
        lines.append(f"{name:12} {standing.title}: {about}")
    return "\n".join(lines)


def _growth(results: Results, workload: str) -> str:
    sizes = sorted(results.standings)
    rows = []
    for name in dict.fromkeys(sample.peer for sample in results.samples):
        found = [Slice(results, size).value(name, workload, "cpu_us") for size in sizes]
        if any(found):
            rows.append([name, *(_show(value, digits=2) for value in found)])
    heads = ["", *map(size_text, sizes)]
    return f"CPU µs of {workload} by names on the list\n{table(heads, rows)}" if rows else ""

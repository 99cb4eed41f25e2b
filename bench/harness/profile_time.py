"""``bench/profile time``: where a query's CPU time goes, by Python line and, with perf, in the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness import samples
from harness.report import table
from harness.rig import WORKER, Rig
from harness.tools import TOP

_BEGIN, _END = signal.SIGRTMIN + 5, signal.SIGRTMIN + 6
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def environment(build: Path) -> dict[str, str]:
    """Return what loads the sampler into the workers."""
    return {
        "PYTHONPATH": str(TOP / "bench" / "sampler"),
        "BENCH_SAMPLE_MODULE": WORKER,
        "BENCH_SAMPLE_FILE": str(_file(build)),
    }


def _file(build: Path) -> Path:
    return (build / "samples").resolve()


def measure(rig: Rig, workload: str, *, seconds: float, rate: float, rows: int) -> str:
    """Ask for some seconds and return tables of where the time went.

    Raises:
        LoadFailed: the generator could not measure.
    """
    bench, target = rig.bench, rig.entrant.target
    generator, file = bench.generator, bench.asked.file(workload)
    bench.say("warming ...")
    if workload != "misses":
        generator.once(target, bench.asked.warm)
    generator.run(target, file, seconds=1, seed=1)
    bench.say(f"asking {workload} for {seconds:.0f} s ...")
    worker = rig.workers[0]
    os.kill(worker, _BEGIN)
    user, system = _times(worker)
    with _perf(worker, bench.settings.build) as perf:
        values = generator.run(target, file, seconds=seconds, seed=2, rate=rate)
    user, system = (now - then for now, then in zip(_times(worker), (user, system), strict=True))
    found = _samples(worker, bench.settings.build)
    answered = max(1.0, values["answered"])
    total = (user + system) / answered * 1e6
    figures = [f"{key} {values[key]:,.0f}" for key in ("qps", "p50_us", "p99_us", "lost", "wrong")]
    split = f"{user / answered * 1e6:.2f} in user space, {system / answered * 1e6:.2f} in the kernel"
    parts = [
        f"{workload}: {', '.join(figures)}",
        f"CPU of the worker, the sampler included: {total:.2f} µs a query: {split}",
    ]
    for title, counts in (
        ("by line, time in C and the kernel counts for the line that called", found.lines),
        ("by function, its own time", found.own),
        ("by function, with what it calls", found.under),
    ):
        parts.append(table([title, "share", "µs a query"], samples.top(counts, found.total, total, rows)))
    if perf.exists():
        parts.append(_native(perf, rows))
    return "\n\n".join(parts) + "\n"


def _times(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) * _TICK, int(fields[12]) * _TICK


def _samples(worker: int, build: Path) -> samples.Profile:
    written = Path(f"{_file(build)}.{worker}")
    written.unlink(missing_ok=True)
    os.kill(worker, _END)
    end = time.monotonic() + 10
    while not written.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return samples.read(json.loads(written.read_text("utf-8")) if written.exists() else [])


@contextlib.contextmanager
def _perf(pid: int, build: Path) -> Iterator[Path]:
    """Record with perf while the block runs, where perf is installed and permitted."""
    data = build / "perf.data"
    data.unlink(missing_ok=True)
    perf = shutil.which("perf")
    if perf is None:
        yield data
        return
    argv = [perf, "record", "-q", "-e", "cpu-clock", "-F", "997", "-p", str(pid), "-o", str(data)]
    recording = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield data
    finally:
        recording.send_signal(signal.SIGINT)
        recording.wait(30)


def _native(data: Path, rows: int) -> str:
    argv = [
        "perf",
        "report",
        "-i",
        str(data),
        "--stdio",
        "--sort",
        "dso,symbol",
        "-g",
        "none",
        "--percent-limit",
        "0.5",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(["perf, by library and symbol ([k]: kernel)", *lines[:rows]])

"""``bench/profile reload`` and ``compile``: is DNS harmed while something else goes on?

The same hits are asked at the same rate, first in peace, then while filterd reloads again and again, or while
a new index is compiled on the same core. Lost questions and the 99th percentile tell.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.load import Values
from harness.process import core_set
from harness.report import table
from harness.rig import Rig

Disturb = Callable[[threading.Event], int]  # goes on until the event is set; returns how often it did it


@dataclass(frozen=True, slots=True)
class Measured:
    """In peace and under disturbance."""

    peace: Values
    disturbed: Values
    times: int

    def text(self, what: str) -> str:
        """Return the comparison as a table."""
        keys = ("qps", "p50_us", "p99_us", "p999_us", "max_us", "lost", "wrong")
        rows = [
            [name, *(f"{values[key]:,.0f}" for key in keys)]
            for name, values in (("in peace", self.peace), (f"{self.times} times {what}", self.disturbed))
        ]
        ratio = self.disturbed["p99_us"] / self.peace["p99_us"] if self.peace["p99_us"] else 0.0
        return f"{table(['', *keys], rows)}\n99th percentile: {ratio:.2f} times that in peace\n"


def measure(rig: Rig, disturb: Disturb, *, rate: float, seconds: float) -> Measured:
    """Ask in peace, then while ``disturb`` runs in a thread.

    Raises:
        LoadFailed: the generator could not ask.
    """
    bench, target = rig.bench, rig.entrant.target
    bench.generator.once(target, bench.asked.warm)
    bench.say(f"asking {rate:,.0f} q/s in peace ...")
    peace = bench.generator.run(target, bench.asked.hits, seconds=seconds, seed=1, rate=rate)
    bench.say(f"asking {rate:,.0f} q/s under disturbance ...")
    over, done = threading.Event(), []
    thread = threading.Thread(target=lambda: done.append(disturb(over)))
    thread.start()
    try:
        disturbed = bench.generator.run(target, bench.asked.hits, seconds=seconds, seed=2, rate=rate)
    finally:
        over.set()
        thread.join()
    return Measured(peace, disturbed, sum(done))


def _command(rig: Rig, *words: str) -> list[str]:
    folder = rig.entrant.site.folder
    options = ["--config", str(folder / "filterd.yaml"), "--state", str(folder / "state")]
    return [rig.entrant.site.program, *words, *options]


def _run(rig: Rig, argv: list[str]) -> bool:
    cores = core_set(rig.bench.settings.server_cores)
    done = subprocess.run(
        argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    return done.returncode == 0


def compiling(rig: Rig) -> Disturb:
    """Compile the lists into a new index and put it in use, again and again."""

    def disturb(over: threading.Event) -> int:
        times = 0
        while not over.is_set():
            times += _run(rig, _command(rig, "lists", "compile"))
        return times

    return disturb


def reloading(rig: Rig, pause: float) -> Disturb:
    """Have configuration and policy put in force anew, again and again."""

    def disturb(over: threading.Event) -> int:
        times = 0
        while not over.wait(pause):
            times += _run(rig, _command(rig, "reload"))
        return times

    return disturb

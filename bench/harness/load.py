"""Runs a generator against a server and returns what it measured. Never decides what a good result is."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SLACK = 60.0  # seconds past the wanted duration after which a generator is given up

Values = dict[str, float]


class LoadFailed(Exception):
    """The generator did not measure; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which server is asked.

    Attributes:
        port: UDP port on 127.0.0.1.
        blocked: how it answers blocked names: nxdomain, nodata, null, refused.
        reflected: it only sends questions back.
    """

    port: int
    blocked: str = "nxdomain"
    reflected: bool = False


@dataclass(frozen=True, slots=True)
class Generator:
    """The load generator of ``src/load.c`` on its core."""

    program: Path
    core: int
    clients: int = 8
    window: int = 256

    def run(self, target: Target, queries: Path, *, seconds: float, seed: int, rate: float = 0) -> Values:
        """Ask for some seconds: as fast as the window allows, or at a rate.

        Raises:
            LoadFailed: the generator ended with an error.
        """
        pace = ["--rate", str(rate)] if rate else ["--window", str(self.window)]
        return self._values(target, queries, [*pace, "--seconds", str(seconds), "--seed", str(seed)], seconds)

    def once(self, target: Target, queries: Path, window: int = 64) -> tuple[Values, str]:
        """Ask each question once; return the figures and what the first wrong answer was.

        Raises:
            LoadFailed: the generator ended with an error.
        """
        found = self._run(target, queries, ["--once", "--window", str(window)], 600.0)
        return _numbers(found), str(found["first_wrong"])

    def _values(self, target: Target, queries: Path, options: list[str], seconds: float) -> Values:
        return _numbers(self._run(target, queries, options, seconds))

    def _run(self, target: Target, queries: Path, options: list[str], seconds: float) -> dict[str, Any]:
        argv = [str(self.program), "--port", str(target.port), "--queries", str(queries)]
        argv += ["--clients", str(self.clients), "--blocked", target.blocked, *options]
        if target.reflected:
            argv.append("--reflected")
        text = _output(self.core, argv, seconds + _SLACK)
        found: dict[str, Any] = json.loads(text)
        return found


def dnsperf(program: str, core: int, target: Target, queries: Path, seconds: float) -> Values:
    """Ask as fast as dnsperf can; return rate, answered and lost questions, mean latency.

    Args:
        program: path of dnsperf.
        core: the core it may use.
        target: the server.
        queries: lines of NAME TYPE; what follows is not for dnsperf and must not be there.
        seconds: how long.

    Raises:
        LoadFailed: it ended with an error or printed nothing known.
    """
    argv = [program, "-s", "127.0.0.1", "-p", str(target.port), "-d", str(queries), "-l", str(round(seconds))]
    return parse_dnsperf(_output(core, [*argv, "-c", "8", "-q", "256"], seconds + _SLACK))


def parse_dnsperf(text: str) -> Values:
    """Return the figures of dnsperf's closing statistics.

    Raises:
        LoadFailed: there are none.
    """
    patterns = {
        "qps": r"Queries per second:\s+([\d.]+)",
        "answered": r"Queries completed:\s+(\d+)",
        "seconds": r"Run time \(s\):\s+([\d.]+)",
        "lost": r"Queries lost:\s+(\d+)",
        "mean_s": r"Average Latency \(s\):\s+([\d.]+)",
    }
    found = {key: re.search(pattern, text) for key, pattern in patterns.items()}
    values = {key: float(match[1]) for key, match in found.items() if match is not None}
    if "qps" not in values:
        raise LoadFailed(f"dnsperf printed no rate: {text.strip()[-200:]}")
    values["mean_us"] = values.pop("mean_s", 0.0) * 1e6
    return values


def _output(core: int, argv: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{Path(argv[0]).name} did not end within {timeout:.0f} s") from None
    if done.returncode:
        raise LoadFailed(f"{Path(argv[0]).name}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _numbers(found: Mapping[str, Any]) -> Values:
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}

"""The command ``bench/profile``: one filterd, looked at closely."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness import names, profile_count, profile_disturb, profile_memory, profile_time, tools
from harness.load import LoadFailed
from harness.rig import Plan, with_environment
from harness.settings import Settings

BUILD = tools.TOP / "build" / "bench"
_WORKLOADS = ("hits", "allowed", "blocked", "misses", "morning")
_ABOUT = {
    "time": "CPU time of a query by Python line and function, and in the kernel where perf is installed",
    "count": "instructions of a query in user space, by valgrind: does not depend on the machine's mood",
    "memory": "private, mapped and shared memory of each process",
    "reload": "hits at a rate while `filterd reload` runs again and again, against that in peace",
    "compile": "hits at a rate while `filterd lists compile` runs on the same core, against that in peace",
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(
        prog="bench/profile",
        description="Look closely at one filterd.",
        epilog="; ".join(f"{name}: {about}" for name, about in _ABOUT.items()),
    )
    add = line.add_argument
    add("what", choices=_ABOUT, help="see below")
    add("--workload", choices=_WORKLOADS, default="hits", help="for time and count; default: hits")
    add("--size", default="1m", metavar="N", help="names on the list: 10k 100k 1m 5m; default: 1m")
    add("--seconds", type=float, default=10.0, help="how long to ask; default: 10")
    add("--rate", type=float, metavar="QPS", help="default: as fast as it goes; reload and compile: 20000")
    add("--pause", type=float, default=0.1, metavar="S", help="between two reloads; default: 0.1")
    add("--rows", type=int, default=20, help="lines of each table; default: 20")
    add("--server-cores", default="0", metavar="CORES", help="cores of filterd; default: 0")
    add("--load-core", type=int, default=1, metavar="CORE", help="core of generator and upstream; default: 1")
    add("--data", type=Path, metavar="DIR", help="real lists and queries; default: $FILTERD_TEST_DATA")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = parser().parse_args(arguments)
    try:
        with tools.alone(BUILD):
            print(_run(given))
    except (tools.Missing, LoadFailed, FileNotFoundError, ValueError) as error:
        print(f"bench/profile: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> str:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:6.0f} s] {text}", file=sys.stderr, flush=True)

    settings = Settings(BUILD, starts=1, server_cores=given.server_cores, load_core=given.load_core)
    plan = Plan(settings, names.parse_size(given.size), tools.data_folder(given.data), say)
    rate = given.rate or 0.0
    if given.what == "count":
        folder = settings.build / "count"
        with plan.filterd(profile_count.under_valgrind(folder)) as rig:
            return profile_count.measure(rig, given.workload, folder, given.rows)
    if given.what == "time":
        with plan.filterd(with_environment(profile_time.environment(settings.build))) as rig:
            return profile_time.measure(
                rig, given.workload, seconds=given.seconds, rate=rate, rows=given.rows
            )
    with plan.filterd() as rig:
        if given.what == "memory":
            return profile_memory.measure(rig)
        reload = given.what == "reload"
        disturb = profile_disturb.reloading(rig, given.pause) if reload else profile_disturb.compiling(rig)
        measured = profile_disturb.measure(rig, disturb, rate=rate or 20_000, seconds=given.seconds)
        return measured.text("reloaded" if reload else "compiled")


if __name__ == "__main__":
    sys.exit(main())

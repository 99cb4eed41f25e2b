"""The command ``bench/compare``: reads the options, runs every list size, writes the report."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import names, plots, report, runner, tools, workloads
from harness.entrants import Bench
from harness.machine import describe
from harness.peers import all_peers
from harness.results import Results, merged
from harness.settings import RATE, Settings

BUILD = tools.TOP / "build" / "bench"
WORKLOADS = ("hits", "allowed", "blocked", "dnsperf", "morning", "misses")
_QUICK = {"rounds": 1, "seconds": 1.0, "starts": 1, "sizes": ["10k"], "calibration": 0.2}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    known = list(all_peers())
    line = argparse.ArgumentParser(
        prog="bench/compare",
        description="Compare DNS filters on this machine, one core each: speed, latency, CPU, memory, start.",
        epilog=f"peers: {' '.join(known)}. Each gets the same list in its own format, is verified, and is"
        " measured in turn with the others; a peer that is absent or wrong is named with the reason."
        " Needs gcc and two cores; as root it installs the peers' Debian packages.",
    )
    add = line.add_argument
    add("--quick", action="store_true", help="one short round with 10k names: does everything work?")
    add("--peers", nargs="+", choices=known, metavar="PEER", default=known, help="only these; default: all")
    add("--sizes", nargs="+", metavar="N", help="names on the list: 10k 100k 1m 5m; default: 1m")
    add(
        "--workloads",
        nargs="+",
        metavar="W",
        help=f"of {' '.join(WORKLOADS)} {RATE}QPS; default: all but allowed, blocked",
    )
    add("--rates", nargs="*", type=int, default=[20_000], metavar="QPS", help="for latency; default: 20000")
    add("--rounds", type=int, help="default: 5")
    add("--seconds", type=float, help="length of a measurement; default: 5")
    add("--starts", type=int, help="starts of each peer for its start-up time; default: 3")
    add("--calibration", type=float, metavar="S", help="seconds of the reflector before each; default: 0.5")
    add("--server-cores", default="0", metavar="CORES", help="cores of the servers; default: 0")
    add("--load-core", type=int, default=1, metavar="CORE", help="core of generator and upstream; default: 1")
    add("--keep-up-to", default="1m", metavar="N", help="largest list for which all peers stay in memory")
    add("--data", type=Path, metavar="DIR", help="real lists and queries; default: $FILTERD_TEST_DATA")
    add("--out", type=Path, metavar="DIR", help="the report; default: a new folder in build/bench")
    add(
        "--render", nargs="+", type=Path, metavar="RESULTS.json", help="only write the report of earlier runs"
    )
    add("--no-install", action="store_true", help="install no Debian packages")
    add("--no-go", action="store_true", help="build no Go peers")
    return line


def settings_of(given: argparse.Namespace) -> Settings:
    """Return the settings that the command line asks for."""
    default = Settings(BUILD)

    def value(key: str, otherwise: float) -> float:
        found = getattr(given, key)
        if found is not None:
            return float(found)
        return float(_QUICK[key]) if given.quick else otherwise  # type: ignore[arg-type]

    rates = [f"{RATE}{rate}" for rate in given.rates]
    return Settings(
        build=default.build,
        rounds=int(value("rounds", default.rounds)),
        seconds=value("seconds", default.seconds),
        calibration=value("calibration", default.calibration),
        starts=max(1, int(value("starts", default.starts))),
        workloads=tuple(given.workloads or ["hits", *rates, "dnsperf", "morning", "misses"]),
        server_cores=given.server_cores,
        load_core=given.load_core,
        keep_up_to=names.parse_size(given.keep_up_to),
        go=not given.no_go,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = parser().parse_args(arguments)
    if given.out is None:
        given.out = BUILD / datetime.now(UTC).strftime("report-%Y%m%d-%H%M%S")
    if given.render is not None:
        write_report(merged([Results.load(path) for path in given.render]), given.out)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers too
    try:
        with tools.alone(BUILD):
            _run(given)
    except (tools.Missing, FileNotFoundError, ValueError) as error:
        print(f"bench/compare: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> None:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:6.0f} s] {text}", file=sys.stderr, flush=True)

    settings = settings_of(given)
    known = all_peers()
    peers = [known[name] for name in given.peers]
    sizes = sorted({names.parse_size(text) for text in given.sizes or (["10k"] if given.quick else ["1m"])})
    for workload in settings.workloads:
        if workload not in WORKLOADS and not workload.removeprefix(RATE).isdecimal():
            raise ValueError(f"no workload {workload!r}; there are {' '.join(WORKLOADS)} and {RATE}QPS")
    tools.make_c_tools(settings.build)
    if not given.no_install:
        wanted = [package for peer in peers for package in peer.packages]
        problem = tools.install(
            dict.fromkeys([*wanted, *(["dnsperf"] if "dnsperf" in settings.workloads else [])])
        )
        if problem:
            say(f"packages: {problem}")
    say("reading the real lists and queries ...")
    data = tools.data_folder(given.data)
    real = names.real_names(data / "lists")
    asked = workloads.read_asked(data / "queries", frozenset(real))
    paths = names.make_lists(settings.build / "lists", real, [*asked.popular, *asked.hosts], sizes)
    results = Results(describe(settings), {}, [])
    try:
        for size in sizes:
            say(f"{size:,} names ({min(size, len(real)):,} real)")
            folder = settings.build / "asked" / names.size_text(size)
            files = workloads.make_workloads(folder, paths[size], asked)
            results.standings[size] = {}
            bench = Bench(settings, size, paths[size], files, say, results.samples, results.standings[size])
            runner.run(bench, peers)
    finally:
        write_report(results, given.out)


def write_report(results: Results, out: Path) -> None:
    """Write the JSON, the tables and the plots; print the tables."""
    out.mkdir(parents=True, exist_ok=True)
    results.save(out / "results.json")
    text = report.text(results)
    (out / "report.txt").write_text(text, "utf-8")
    for name, picture in plots.draw(results).items():
        (out / f"{name}.svg").write_text(picture, "utf-8")
    print(text)
    print(f"written to {out}: results.json, report.txt, plots", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

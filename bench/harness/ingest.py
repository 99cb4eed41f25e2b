"""The command ``bench/ingest``: one real ``filterd monitor`` takes what many schools deliver.

Each store in turn: PostgreSQL (a cluster of its own, fsync on) and SQLite. Prints a table, writes all
figures as JSON. Generator, monitor and database share the machine's cores: CPU per event tells more than
the clock does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast
from urllib.request import urlopen

import yaml

from harness import boxes, growth, tools
from harness.machine import facts
from harness.postgres import Cluster, PostgresFailed, free_port
from harness.process import Command, Server, cpu_seconds, descendants

BUILD = tools.TOP / "build" / "bench"
_STORES = ("postgresql", "sqlite")
_START_SECONDS = 60.0
Say = Callable[[str], None]


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(
        prog="bench/ingest",
        description="How many events a second one monitoring endpoint stores, and how soon it says so.",
        epilog="The load is open: a delivery is due at its time, and its latency counts from then. With"
        " --growth, months of growing size are put into PostgreSQL instead and the monthly report's queries"
        " timed. Installs PostgreSQL when run as root.",
    )
    add = line.add_argument
    add("--quick", action="store_true", help="ten seconds each: does everything work?")
    add("--stores", nargs="+", choices=_STORES, default=list(_STORES), help="default: both")
    add("--schools", type=int, default=500, metavar="N", help="boxes, one a school; default: 500")
    add("--rate", type=float, default=5000, metavar="N", help="events a second of all; default: 5000")
    add("--every", type=float, default=5.0, metavar="S", help="between a box's deliveries; default: 5")
    add("--seconds", type=float, help="length of the measurement; default: 60")
    add("--warm", type=float, help="seconds before it that do not count; default: 10")
    add("--profile", action="store_true", help="also show where the monitor's Python time goes (cProfile)")
    add(
        "--growth",
        nargs="*",
        type=float,
        metavar="MILLIONS",
        help="months of so many events; default: 1 2 4 8",
    )
    add("--out", type=Path, metavar="DIR", help="the figures; default: a new folder in build/bench")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = parser().parse_args(arguments)
    out = given.out or BUILD / datetime.now(UTC).strftime("ingest-%Y%m%d-%H%M%S")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers too
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:6.0f} s] {text}", file=sys.stderr, flush=True)

    try:
        _run(given, out, say)
    except (tools.Missing, PostgresFailed) as error:
        print(f"bench/ingest: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace, out: Path, say: Say) -> None:
    results: dict[str, Any] = {"machine": facts()}
    with tools.alone(BUILD):
        if given.growth is not None:
            results["growth"] = growth.run(given.growth or [1, 2, 4, 8], say)
            text = growth.table(results["growth"])
        else:
            seconds = given.seconds or (10 if given.quick else 60)
            warm = given.warm if given.warm is not None else (3 if given.quick else 10)
            plan = boxes.Plan("", given.schools, given.rate, given.every, seconds, warm)
            results |= {"plan": asdict(plan), "runs": {}}
            for store in given.stores:
                say(f"{store}: {given.rate:g} events/s of {given.schools} schools for {seconds:g} s ...")
                results["runs"][store] = _measure(store, plan, out, profile=given.profile)
            text = table(results["runs"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    (out / "report.txt").write_text(text, "utf-8")
    print(text)
    print(f"written to {out}: results.json, report.txt", file=sys.stderr)


def _measure(store: str, plan: boxes.Plan, out: Path, *, profile: bool) -> dict[str, Any]:
    """Return the figures of one store."""
    with tempfile.TemporaryDirectory(prefix="filterd-ingest-", dir="/var/tmp") as name:
        folder = Path(name)
        with _database(store, folder) as (url, cluster), _monitor(folder, url, plan, profile) as server:
            found = _load(server, cluster, Path(f"{folder}/port").read_text(), plan)
        if profile:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{store}.prof").write_bytes((folder / "profile").read_bytes())
    return found


@contextmanager
def _database(store: str, folder: Path) -> Iterator[tuple[str, Cluster | None]]:
    if store == "sqlite":
        yield f"sqlite:///{folder}/monitor.sqlite", None
        return
    with Cluster.make() as cluster:
        cluster.start(**POSTGRES)
        yield cluster.url("postgres"), cluster


# What docs/scale.md tells a region to set; durability stays as PostgreSQL ships it.
POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}


@contextmanager
def _monitor(folder: Path, url: str, plan: boxes.Plan, profile: bool) -> Iterator[Server]:
    """Start a real ``filterd monitor`` that knows the boxes, and wait until it serves."""
    port = free_port()
    (folder / "port").write_text(str(port))
    known = {}
    for number in range(plan.schools):
        box, school = boxes.names(number)
        digest = hashlib.sha256(boxes.token(number).encode()).hexdigest()
        known[box] = {"school": school, "token_sha256": digest}
    config = {
        "state": str(folder / "state"),
        "monitor": {"listen": [f"127.0.0.1:{port}"], "database": url, "boxes": known},
    }
    (folder / "filterd.yaml").write_text(yaml.safe_dump(config), "utf-8")
    watched = ["-m", "cProfile", "-o", str(folder / "profile")] if profile else []
    argv = [sys.executable, *watched, "-m", "filterd", "monitor", "--config", str(folder / "filterd.yaml")]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    with Server(Command(argv, folder), cores) as server:
        end = time.monotonic() + _START_SECONDS
        while "monitor_ready" not in (text := server.log.read_text("utf-8", "replace")):
            if not server.alive() or time.monotonic() > end:
                raise tools.Missing(f"the monitor did not start: {text[-1000:]}")
            time.sleep(0.05)
        yield server


def _load(server: Server, cluster: Cluster | None, port: str, plan: boxes.Plan) -> dict[str, Any]:
    """Let the boxes send, and watch CPU and memory meanwhile."""
    values = asdict(plan) | {"url": f"http://127.0.0.1:{port}/v1/batches"}
    generator = subprocess.Popen(
        [sys.executable, "-m", "harness.boxes", json.dumps(values)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tools.TOP / "bench")},
    )
    output = cast("IO[str]", generator.stdout)
    try:
        if not output.readline():  # it begins
            raise tools.Missing("the generator did not start")
        time.sleep(plan.warm)
        before = _cpu(server, cluster), time.perf_counter(), _machine_cpu()
        memory = [_rss(server)]
        while generator.poll() is None and time.perf_counter() - before[1] < plan.seconds:
            time.sleep(1.0)
            memory.append(_rss(server))
        after = _cpu(server, cluster), time.perf_counter(), _machine_cpu()
        found: dict[str, Any] = json.loads(output.readline())
        found["rows"] = _rows(values["url"])
        log = server.log.read_text("utf-8", "replace").splitlines()
        found["log"] = [text for text in log if "error" in text or "critical" in text][:20]
    finally:
        generator.kill()
        generator.wait()
        output.close()
    took = after[1] - before[1]
    quarter = max(1, len(memory) // 4)
    return found | {
        "events_per_second": round(found["events"] / max(found["seconds"], plan.seconds), 1),
        "monitor_cpu_percent": round(100 * (after[0][0] - before[0][0]) / took, 1),
        "database_cpu_percent": round(100 * (after[0][1] - before[0][1]) / took, 1),
        "machine_cpu_percent": round(100 * (after[2] - before[2]) / took, 1),
        "monitor_us_per_event": round(1e6 * (after[0][0] - before[0][0]) / took / plan.rate, 1),
        "database_us_per_event": round(1e6 * (after[0][1] - before[0][1]) / took / plan.rate, 1),
        "memory_mib_start": round(sum(memory[:quarter]) / quarter, 1),
        "memory_mib_end": round(sum(memory[-quarter:]) / quarter, 1),
    }


def _rows(url: str) -> int:
    """Return how many rows of events the monitor says it has stored since its start."""
    with urlopen(url.replace("/v1/batches", "/metrics"), timeout=30) as reply:  # noqa: S310 - ours
        text = reply.read().decode()
    return int(float(text.partition('filterd_ingest_records_total{kind="events"} ')[2].split()[0]))


def _cpu(server: Server, cluster: Cluster | None) -> tuple[float, float]:
    database = 0.0
    if cluster is not None and cluster.pid is not None:
        database = sum(cpu_seconds(pid) for pid in (cluster.pid, *descendants(cluster.pid)))
    return server.cpu(), database


def _machine_cpu() -> float:
    """Return the seconds that all cores were busy, for anyone."""
    user, nice, system, _idle, _wait, irq, soft = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _rss(server: Server) -> float:
    status = Path(f"/proc/{server.pids[0]}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


_ROWS = (
    ("events/s stored", "events_per_second", "{:,.0f}"),
    ("rows of events, warming included", "rows", "{:,}"),
    ("deliveries", "deliveries", "{:,}"),
    ("answers", "statuses", "{}"),
    ("acknowledged, median", "p50_ms", "{:,.1f} ms"),
    ("acknowledged, 90 %", "p90_ms", "{:,.1f} ms"),
    ("acknowledged, 99 %", "p99_ms", "{:,.1f} ms"),
    ("acknowledged, slowest", "p100_ms", "{:,.1f} ms"),
    ("monitor, CPU", "monitor_cpu_percent", "{:.0f} % of a core"),
    ("database, CPU", "database_cpu_percent", "{:.0f} % of a core"),
    ("machine, CPU (all programs)", "machine_cpu_percent", "{:.0f} % of a core"),
    ("monitor, CPU an event", "monitor_us_per_event", "{:.0f} µs"),
    ("database, CPU an event", "database_us_per_event", "{:.0f} µs"),
    ("monitor, memory at the start", "memory_mib_start", "{:.0f} MiB"),
    ("monitor, memory at the end", "memory_mib_end", "{:.0f} MiB"),
)


def table(runs: dict[str, dict[str, Any]]) -> str:
    """Return the runs side by side, for a person."""
    lines = [f"{'':34}" + "".join(f"{store:>22}" for store in runs)]
    for title, key, shape in _ROWS:
        cells = []
        for figures in runs.values():
            value = figures[key]
            if isinstance(value, dict):
                value = ", ".join(f"{count} x {status}" for status, count in value.items())
            cells.append(f"{shape.format(value):>22}")
        lines.append(f"{title:34}" + "".join(cells))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

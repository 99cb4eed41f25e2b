"""kill -9 at random moments: nothing committed is lost, nothing is stored twice.

    python tests/events/killing.py --kills 200 [--seed N] [--folder DIR]

Three real processes: a writer that records numbered lookups and says how many are committed, a shipper, and
an endpoint. One of them is killed again and again, at once started anew, and at the end the endpoint's store
is compared with what each life of the writer had said. Prints a line of figures; exit status 1 on a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import structlog

from filterd.events.outbox import Outbox
from filterd.events.outboxfile import OutboxBusy
from filterd.events.pseudonym import Pseudonyms
from filterd.events.recorder import Recorder
from filterd.events.shipper import Shipper, ShipperSettings
from filterd.events.writer import Writer, WriterSettings
from filterd.rules.categories import Categories
from filterd.rules.verdict import Action, Reason, Verdict
from filterd.rules.view import View
from filterd.wire import names

PATIENCE = 120.0
WEIGHTS = {"writer": 3, "shipper": 2, "endpoint": 2}
OUTBOX = "dns.outbox"
ACCEPTED = "right"


def say(line: str) -> None:
    """Write a line that is whole, or not there, after a kill."""
    os.write(1, f"{line}\n".encode())


def write(folder: Path, life: int) -> None:
    """Be the DNS process: record until killed; say "<recorded at most> <committed>" whenever that grows."""
    group = f"life-{life}"
    view = View(categories=Categories(()), group=group)
    verdict = Verdict(Action.BLOCK, Reason.CATEGORY, "games", "local-games", "kill.kz", "catalogue")
    recorder = Recorder()
    writer = Writer(
        recorder,
        Outbox(folder / OUTBOX),
        Pseudonyms(b"s" * 32),
        settings=WriterSettings(interval=0.003, slow_interval=0.03, retry=0.01),
    )
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    writer.start()
    recorded = 0
    say("0 0")
    while not stopping.is_set():
        ahead = recorded + random.randrange(1, 20)
        say(f"{ahead} {writer.committed}")
        while recorded < ahead:
            recorded += 1
            recorder.blocked(
                b"\x0a\x00\x00\x07", None, view, names.from_text(f"n{recorded}.l{life}.kill.kz"), 1, verdict
            )
            recorder.count(group, "middle", "games", "blocked")
        time.sleep(random.uniform(0.0, 0.004))
    writer.stop(timeout=60)
    say(f"{recorded} {writer.committed}")


def ship(folder: Path, port: int) -> None:
    """Be the supervisor's shipper until killed."""
    settings = ShipperSettings(
        endpoint=f"http://127.0.0.1:{port}",
        token=ACCEPTED,
        box="box-1",
        school="school-1",
        outboxes=folder,
        poll=0.005,
        timeout=5.0,
        backoff_base=0.01,
        backoff_cap=0.05,
        slow_retry=0.05,
    )
    say("ready")
    asyncio.run(Shipper(settings).run())


class Children:
    """The three processes; each writes its output to a file, whose whole lines are what it has said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lives = Counter()
        self.kills = Counter()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str) -> None:
        self.lives[role] += 1
        here = str(Path(__file__))
        command = {
            "writer": [here, "--be", "writer", "--folder", str(self.folder), "--life", str(self.lives[role])],
            "shipper": [here, "--be", "shipper", "--folder", str(self.folder), "--port", str(self.port)],
            "endpoint": [str(Path(here).with_name("endpoint.py")), str(self.database), str(self.port)],
        }[role]
        with self.output(role, self.lives[role]).open("wb") as output:
            self.running[role] = subprocess.Popen([sys.executable, *command], stdout=output, stderr=output)

    @property
    def database(self) -> Path:
        return self.folder / "endpoint.sqlite"

    def output(self, role: str, life: int) -> Path:
        return self.folder / f"{role}-{life}.out"

    def said(self, role: str, life: int) -> list[str]:
        return self.output(role, life).read_text().split("\n")[:-1]

    def wait_ready(self, role: str) -> None:
        wait_for(lambda: self.said(role, self.lives[role]), f"{role} to start")
        assert self.running[role].poll() is None, self.said(role, self.lives[role])

    def kill(self, role: str) -> None:
        process = self.running.pop(role)
        assert process.poll() is None, f"{role} ended by itself: {self.said(role, self.lives[role])[-5:]}"
        process.kill()
        process.wait()
        self.kills[role] += 1

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.005)


def run(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill so many times, then let everything arrive; return the figures, among them the faults found."""
    dice = random.Random(seed)
    children = Children(folder)
    began = time.monotonic()
    try:
        for role in WEIGHTS:
            children.start(role)
        for _ in range(kills):
            (victim,) = dice.choices(list(WEIGHTS), WEIGHTS.values())
            children.wait_ready(victim)
            # Often right after the start, where recovery is; else somewhere in the middle of the work.
            time.sleep(dice.choice((dice.uniform(0, 0.02), dice.uniform(0, 0.4))))
            children.kill(victim)
            children.start(victim)
        for role in WEIGHTS:
            children.wait_ready(role)
        time.sleep(0.2)
        children.running["writer"].send_signal(signal.SIGTERM)
        children.running["writer"].wait(PATIENCE)
        outbox = Outbox(folder / OUTBOX)
        wait_for(lambda: is_empty(outbox), "the outbox to be shipped")
        outbox.close()
    finally:
        children.end()
    figures = compare(children)
    return {"kills": dict(children.kills), "seconds": round(time.monotonic() - began, 1), **figures}


def is_empty(outbox: Outbox) -> bool:
    """Tell whether all has been shipped, after cutting the usage that gathered meanwhile into a batch."""
    with suppress(OutboxBusy):
        outbox.commit([], {}, now=int(time.time()))
        return not outbox.waiting().batches
    return False


def compare(children: Children) -> dict[str, object]:
    """Compare what the endpoint stored with what each life of the writer said."""
    connection = sqlite3.connect(children.database)
    stored: dict[int, list[int]] = {}
    for name, count in connection.execute("SELECT name, count FROM events"):
        number, life, _ = name.split(".", 2)
        stored.setdefault(int(life[1:]), []).extend([int(number[1:])] * count)
    usage = dict(connection.execute("SELECT grp, sum(queries) FROM usage GROUP BY grp"))
    connection.close()
    faults = []
    promised = 0
    for life in range(1, children.lives["writer"] + 1):
        said = children.said("writer", life)
        recorded, committed = map(int, said[-1].split()) if said else (0, 0)
        promised += committed
        numbers = stored.get(life, [])
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            faults.append(f"life {life}: numbers missing or twice")
        if not committed <= len(numbers) <= recorded:
            faults.append(f"life {life}: {len(numbers)} stored, {committed} promised, {recorded} recorded")
        if usage.get(f"life-{life}", 0) > recorded:
            faults.append(f"life {life}: usage {usage[f'life-{life}']} of {recorded} recorded")
    last = children.lives["writer"]
    if usage.get(f"life-{last}") != recorded or committed != recorded:
        faults.append(
            f"the life that ended well: {committed} and usage {usage.get(f'life-{last}')} of {recorded}"
        )
    faults += [f"put aside: {path.name}" for path in children.folder.glob("*.bad-*")]
    return {"promised": promised, "stored": sum(map(len, stored.values())), "faults": faults}


def main() -> int:
    """Run, or be one of the children."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--be", choices=["writer", "shipper"], help=argparse.SUPPRESS)
    parser.add_argument("--life", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if given.be == "writer":
        write(given.folder, given.life)
        return 0
    if given.be == "shipper":
        ship(given.folder, given.port)
        return 0
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="filterd-kill-") as temporary:
        figures = run(given.folder or Path(temporary), given.kills, seed)
    say(json.dumps({"seed": seed, **figures}))
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""The product as a user starts it, and what the fault tests do to it and read of it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import _programs
from _programs import DNS, MONITOR, Filterd, Program, free_port, marked, until

__all__ = ["DNS", "MONITOR", "NOWHERE", "Product", "Program", "free_port", "limit", "reading", "until"]

NOWHERE = "127.0.0.1:9"  # discard: nothing listens there, the kernel says so at once
NO_LIMITS = {"queries_per_second": 0}


class Product(Filterd):
    """``filterd`` with its own state; may be started again in the same folder, with the same ports.

    Args:
        folder: of configuration, state and output.
        config: what stands in the configuration; no upstream and no rate limit unless given.
        under: a command line that runs ``filterd`` given behind it, such as ``env A=1``; for a shell.
        more: of :class:`Filterd`.
    """

    def __init__(self, folder: Path, config: dict[str, Any], *, under: str = "", **more: Any) -> None:
        defaults = {"upstreams": [NOWHERE], "workers": 1, "limits": NO_LIMITS}
        self._given = {"under": under, **more}
        folder.mkdir(parents=True, exist_ok=True)
        plain = _programs.COMMAND
        if under:
            script = folder / "filterd"
            script.write_text(f'#!/bin/sh\nexec {under} "{plain}" "$@"\n')
            script.chmod(0o700)
            _programs.COMMAND = str(script)
        try:
            super().__init__(folder, {**defaults, **config}, **more)
        finally:
            _programs.COMMAND = plain
        self.port = int(self.model["listen"][0].rpartition(":")[2])

    def again(self) -> Product:
        """Start the same anew; returns at once."""
        return Product(self.folder, self.model, **self._given)

    @property
    def outboxes(self) -> Path:
        return self.state / "outbox"

    @property
    def store(self) -> Path:
        return self.state / "monitor.sqlite"

    def pids(self) -> dict[int, str]:
        """Return the living processes by pid: ``supervisor``, ``worker`` or ``endpoint``."""
        kinds = {DNS: "worker", MONITOR: "endpoint"}
        return {
            pid: next((kind for module, kind in kinds.items() if module in line), "supervisor")
            for pid, line in marked(self.mark).items()
        }

    def freeze_and_kill(self) -> None:
        """End all processes at one moment, as a power cut does: none sees another one die."""
        pids = self.pids()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.process.wait()
        self.gone()

    def counts(self) -> Counter[str]:
        """Return how often each name stands in the endpoint's store."""
        return stored(self.store)

    def settled(self, seconds: float = 90.0) -> Counter[str]:
        """Wait until the outboxes are empty; return what is stored.

        What was asked less than a moment ago may not even have reached an outbox.
        """
        until(lambda: self.waiting() == 0, "the outboxes to be shipped", seconds)
        return self.counts()

    def arrived(self) -> Counter[str]:
        """Return what is stored now; nothing while the store cannot be read."""
        try:
            return self.counts()
        except sqlite3.Error:
            return Counter()

    def waiting(self) -> int:
        """Return the batches of events that wait in the outboxes; -1 when that cannot be read now."""
        total = 0
        for path in sorted(self.outboxes.glob("*.outbox")):
            try:
                with reading(path) as connection:
                    total += connection.execute("SELECT count(*) FROM batches WHERE kind = 0").fetchone()[0]
            except sqlite3.Error:
                return -1
        return total

    def metrics(self, name: str) -> dict[str, float]:
        """Return the samples of a metric: labels as text -> value."""
        found = {}
        for line in self._page("/metrics").decode().splitlines():
            if line.startswith((f"{name} ", f"{name}{{")):
                labels, _, value = line.removeprefix(name).rpartition(" ")
                found[labels] = float(value)
        return found

    def get(self, path: str) -> Any:
        """Return the JSON of a page of the endpoint."""
        return json.loads(self._page(path))

    def _page(self, path: str) -> bytes:
        with contextlib.closing(HTTPConnection("127.0.0.1", self.monitor_port, timeout=20)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise OSError(f"{path}: {answer.status} {answer.reason}")
            return answer.read()

    def listed(self) -> Counter[str]:
        """Return how often each name stands in the endpoint's listing, read to its last page."""
        found: Counter[str] = Counter()
        cursor = ""
        while True:
            page = self.get(f"/v1/events?limit=500{cursor and f'&cursor={cursor}'}")
            for event in page["events"]:
                found[event["name"]] += event["count"]
            if page["next"] is None:
                return found
            cursor = page["next"]


def limit(pid: int, what: int, soft: int | None) -> None:
    """Lower (None: raise again) a soft resource limit of a process that runs."""
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (hard if soft is None else soft, hard))


def stored(path: Path) -> Counter[str]:
    """Return how often each name stands in a store."""
    with reading(path) as connection:
        return Counter(dict(connection.execute("SELECT name, sum(count) FROM events GROUP BY name")))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file that others write, without ever writing it."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=20)
    try:
        yield connection
    finally:
        connection.close()

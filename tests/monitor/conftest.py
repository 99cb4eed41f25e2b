"""A real endpoint on a real port with a real database, and the deliveries to send it.

Tests marked ``both_engines`` run on SQLite and on PostgreSQL (not those marked ``sqlite_only`` or
``postgresql_only``); all others run on SQLite.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

# With import mode "importlib" these folders are on no path.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from _postgres import fresh_database, postgres, postgres_server  # noqa: F401 - fixtures of these tests

from filterd.monitor.service import serve_monitor
from filterd.monitor.settings import MonitorLimits, MonitorSettings

NOW = 1_795_000_000  # 2026-11-18
TOKENS = {"box1": "token of box one", "box2": "token of box two", "far1": "token of the far school"}
SCHOOLS = {"box1": "school-1", "box2": "school-1", "far1": "school-2"}
ADMIN = "token of the admin"


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Make:
    """Deliveries, batches, events, usage: plain JSON values, as a box would send them."""

    now = NOW

    def event(self, **changes: object) -> dict[str, object]:
        return {
            "bucket": NOW - NOW % 300,
            "group": "class-7",
            "tier": "middle",
            "pseudonym": "abcdefgh",
            "domain": "casino.example",
            "name": "www.casino.example",
            "category": "gambling",
            "list": "local-gambling",
            "rule": "casino.example",
            "layer": "baseline",
            "verdict": "block",
            "reason": "category",
            "count": 1,
        } | changes

    def usage(self, **changes: object) -> dict[str, object]:
        return {
            "hour": NOW - NOW % 3600,
            "group": "class-7",
            "tier": "middle",
            "category": "",
            "outcome": "allowed",
            "queries": 1,
        } | changes

    def batch(
        self, sequence: int, events: list[Any] | None = None, usage: list[Any] | None = None
    ) -> dict[str, Any]:
        return {
            "sequence": sequence,
            "events": [self.event()] if events is None else events,
            "usage": [self.usage()] if usage is None else usage,
        }

    def health(self, **changes: object) -> dict[str, object]:
        return {
            "at": NOW,
            "started": NOW - 60,
            "version": "0.1.0",
            "policy_version": "p1",
            "index_version": "i1",
            "values": {"cache_entries": 3},
        } | changes

    def delivery(self, *batches: object, box: str = "box1", **changes: object) -> dict[str, Any]:
        return {
            "box": box,
            "school": SCHOOLS.get(box, "school-1"),
            "stream": "0" * 32,
            "batches": list(batches),
        } | changes


@dataclass(slots=True)
class Running:
    """One endpoint that serves."""

    settings: MonitorSettings
    url: str
    path: Path  # of the SQLite file
    session: aiohttp.ClientSession
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def post(
        self,
        value: object,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        packed: bool = False,
    ) -> tuple[int, Any]:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        if token is None:
            box = value.get("box") if isinstance(value, dict) else None
            token = TOKENS.get(box if isinstance(box, str) else "", TOKENS["box1"])
        sent = {"Content-Type": "application/json"}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if packed:
            body = gzip.compress(body)
            sent["Content-Encoding"] = "gzip"
        async with self.session.post(
            f"{self.url}/v1/batches", data=io.BytesIO(body), headers=sent | (headers or {})
        ) as reply:
            return reply.status, await reply.json(content_type=None)

    async def get(self, path: str, *, admin: bool = True, **headers: str) -> tuple[int, Any]:
        sent = ({"Authorization": f"Bearer {ADMIN}"} if admin else {}) | headers
        async with self.session.get(f"{self.url}{path}", headers=sent) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if "json" in reply.content_type else text

    async def metric(self, name: str) -> dict[str, float]:
        """Return the samples of a metric: their labels as text -> value."""
        _status, text = await self.get("/metrics")
        found = {}
        for line in text.splitlines():
            key, _, value = line.rpartition(" ")
            if key == name or key.startswith(f"{name}{{"):
                found[key.removeprefix(name)] = float(value)
        return found

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return ask(self.settings.database, statement)

    async def end(self) -> None:
        self.stop.set()
        if self.task is not None:
            await self.task
        await self.session.close()


Start = Callable[..., Any]


def ask(database: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask a store's database by a client of its own, what is committed only."""
    if database.startswith("postgresql"):
        with psycopg.connect(database) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
        return connection.execute(statement).fetchall()


async def at_rest(database: str) -> None:
    """Wait until the upkeep of an endpoint that just started is over.

    Tests look into the database from the loop that the endpoint runs in. While they wait for a lock of
    PostgreSQL, that of making partitions, the endpoint could not end the transaction that holds it.
    """
    if not database.startswith("postgresql"):
        return
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND state IN ('active', 'idle in transaction')"
    )
    deadline, quiet = time.monotonic() + 20.0, 0
    while quiet < 4 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        with suppress(psycopg.Error):  # a server that a test made sick
            quiet = 0 if (await asyncio.to_thread(ask, database, busy))[0][0] else quiet + 1


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each engine if it asks for that."""
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "both_engines" in marks and "engine" in metafunc.fixturenames:
        engines = ["sqlite"] * ("postgresql_only" not in marks) + ["postgresql"] * (
            "sqlite_only" not in marks
        )
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The engine of the store: ``sqlite`` or ``postgresql``."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def database(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a store of the test's own."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path}/monitor.sqlite"
    return str(request.getfixturevalue("fresh_database")())


def make_settings(store: str, **changes: Any) -> MonitorSettings:
    values: dict[str, Any] = {
        "listen": (("127.0.0.1", 0),),
        "database": store,
        "boxes": {box: (SCHOOLS[box], sha256(token)) for box, token in TOKENS.items()},
        "admin_token_sha256": sha256(ADMIN),
        "limits": MonitorLimits(store_seconds=10.0, busy_seconds=2.0),
    }
    return MonitorSettings(**(values | changes))


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(database: str) -> MonitorSettings:
    return make_settings(database)


@pytest.fixture
async def start(database: str, tmp_path: Path) -> AsyncIterator[Start]:
    """A function that starts an endpoint: ``await start(clock=..., **settings)``."""
    running: list[Running] = []

    async def begin(*, clock: Callable[[], float] = time.time, **changes: Any) -> Running:
        values = make_settings(database, **changes)
        bound: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        path = tmp_path / "monitor.sqlite"
        one = Running(values, "", path, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        running.append(one)
        one.task = asyncio.create_task(serve_monitor(values, one.stop, bound.set_result, clock=clock))
        await asyncio.wait({one.task, bound}, return_when=asyncio.FIRST_COMPLETED)
        if not bound.done():
            task, one.task = one.task, None
            task.result()
        host, port = bound.result()[0]
        one.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        await at_rest(values.database)
        return one

    yield begin
    for one in running:
        await one.end()


@pytest.fixture
async def monitor(start: Start, clock: Clock) -> Running:
    """An endpoint with its clock at ``NOW``."""
    found: Running = await start(clock=clock)
    return found


_PROGRAM = """
import asyncio, json, resource, signal, sys
from filterd.monitor.service import serve_monitor
from filterd.monitor.settings import MonitorLimits, MonitorSettings

async def main(raw):
    limits = MonitorLimits(**raw.pop("limits"))
    listen = tuple(tuple(pair) for pair in raw.pop("listen"))
    boxes = {box: tuple(pair) for box, pair in raw.pop("boxes").items()}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = MonitorSettings(listen=listen, boxes=boxes, limits=limits, **raw)
    await serve_monitor(settings, stop, lambda _: print("ready", flush=True))

raw = json.loads(sys.argv[1])
if size := raw.pop("file_bytes", None):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
asyncio.run(main(raw))
"""


class Program:
    """An endpoint in a process of its own, which a test may kill."""

    def __init__(self, path: Path, port: int, log: Path, **changes: Any) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.path = path
        self._log = log
        self._plan = {
            "listen": [["127.0.0.1", port]],
            "database": f"sqlite:///{path}",
            "boxes": {box: [SCHOOLS[box], sha256(token)] for box, token in TOKENS.items()},
            "admin_token_sha256": sha256(ADMIN),
            "limits": {"busy_seconds": 2.0, "store_seconds": 10.0},
        } | changes
        self.database = self._plan["database"]  # where the test looks
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it serves."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(self._plan)],
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line == b"ready\n":
                return
        pytest.fail(f"the endpoint did not start: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it as the kernel would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return ask(self.database, statement)


@pytest.fixture
def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def program(database: str, tmp_path: Path, free_port: int) -> Iterator[Callable[..., Program]]:
    """A function that makes an endpoint program (not yet started)."""
    made: list[Program] = []

    def make_program(**changes: Any) -> Program:
        plan = {"database": database} | changes
        made.append(Program(tmp_path / "monitor.sqlite", free_port, tmp_path / "monitor.log", **plan))
        return made[-1]

    yield make_program
    for one in made:
        with suppress(ProcessLookupError):
            one.kill()

"""What the tests of events share: views and verdicts as the DNS path has them, an endpoint, a small disk."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

from filterd.events.batch import Event, Health
from filterd.events.recorder import Lookup
from filterd.rules.categories import Categories
from filterd.rules.verdict import Action, Reason, Verdict
from filterd.rules.view import View
from filterd.wire import names

HERE = Path(__file__).parent
NOON = 1_760_000_100  # a bucket's beginning


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"events_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def endpoint_module() -> ModuleType:
    return load("endpoint")


@pytest.fixture(scope="session")
def view() -> View:
    return View(categories=Categories(()), school="school-1", group="class-7a", tier="middle")


@pytest.fixture(scope="session")
def verdict() -> Verdict:
    return Verdict(Action.BLOCK, Reason.CATEGORY, "games", "local-games", "example.kz", "catalogue")


@pytest.fixture(scope="session")
def lookup(view: View, verdict: Verdict) -> Callable[..., Lookup]:
    def make(name: str = "www.example.kz", **changes: Any) -> Lookup:
        given = {
            "client": b"\x0a\x00\x00\x07",
            "mac": None,
            "view": view,
            "qtype": 1,
            "verdict": verdict,
        } | changes
        return (
            given["client"],
            given["mac"],
            given["view"],
            names.from_text(name),
            given["qtype"],
            given["verdict"],
        )

    return make


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    def make(name: str = "www.example.kz", count: int = 1, **changes: Any) -> Event:
        fields = {
            "bucket": NOON,
            "group": "class-7a",
            "tier": "middle",
            "pseudonym": "abcdefgh234567ab",
            "domain": "example.kz",
            "name": name,
            "category": "games",
            "list": "local-games",
            "rule": "example.kz",
            "layer": "catalogue",
            "verdict": "block",
            "reason": "category",
            "count": count,
        }
        return Event.model_validate(fields | changes)

    return make


@pytest.fixture(scope="session")
def health() -> Health:
    return Health(
        at=NOON, started=NOON, version="1", policy_version="p", index_version="i", values={"workers": 1}
    )


def payloads(path: Path) -> list[tuple[int, dict[str, Any]]]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT sequence, payload FROM batches ORDER BY sequence").fetchall()
    finally:
        connection.close()
    return [(sequence, json.loads(payload)) for sequence, payload in rows]


@pytest.fixture(scope="session")
def stored_names() -> Callable[[Path], dict[str, int]]:
    """Return the names in an outbox with their counts; a name twice is an error."""

    def read(path: Path) -> dict[str, int]:
        found: dict[str, int] = {}
        for _, batch in payloads(path):
            for one in batch["events"]:
                assert one["name"] not in found
                found[one["name"]] = one["count"]
        return found

    return read


@pytest.fixture(scope="session")
def batches_in() -> Callable[[Path], list[tuple[int, dict[str, Any]]]]:
    return payloads


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], None]:
    """Wait until something holds; the generous limit only ends a test that would hang."""

    def wait(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def aeventually() -> Callable[[Callable[[], Any]], Any]:
    async def wait(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
async def endpoint(endpoint_module: ModuleType, tmp_path: Path) -> AsyncIterator[Any]:
    """A running endpoint; `.url`, `.store`, `.script` (faults to come), `.poison` (names it refuses)."""
    running = endpoint_module.Endpoint(tmp_path / "endpoint.sqlite", token=endpoint_module.ACCEPTED)
    runner = web.AppRunner(running.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield running
    finally:
        await runner.cleanup()
        running.store.close()


class SmallDisk:
    """A disk that is full when `fill` was called and has room again after `free`."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        if not self.mounted:
            # No file grows any further: what a quota does, and all that one may do without being root.
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._before[1]))
            return
        with (self.folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        (self.folder / "ballast").unlink(missing_ok=True)


def _mount(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture(params=["a disk of its own", "a limit on files"])
def small_disk(request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    """A full disk twice: a tmpfs of 1 MiB (ENOSPC) where we may mount one, and a file size limit (EFBIG).

    Not below `tmp_path`: a mount left by a run that was killed must not be in the way of the next one.
    """
    folder = Path(tempfile.mkdtemp(prefix="filterd-disk-"))
    mounted = request.param == "a disk of its own" and _mount(folder)
    disk = SmallDisk(folder, mounted=mounted)
    try:
        yield disk
    finally:
        disk.free()
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder)

"""A region's 500 boxes take its bundles from one static file, over real HTTPS and conditional requests."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from filterd.errors import BundleError, FetchError
from filterd.lists.bundle import check, open_bundle, sign, write_bundle
from filterd.lists.bundlefetch import fetch_bundle
from filterd.lists.bundlestore import BundleState, BundleStore
from filterd.lists.fetch import Fetcher, FetchSettings
from filterd.lists.resolving import Names, Way, written
from filterd.lists.signing import PrivateKey, public_text

BOXES = 500
AT_ONCE = 40


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def publish(server, key, tmp_path: Path):
    """Return a function that puts a bundle of a serial on the region's server; returns its size."""

    def publish(serial: int, signed_by: PrivateKey | None = None) -> int:
        chance = random.Random(serial)
        listed = "".join(f"{chance.randrange(10**9)}.example\n" for _ in range(3000)).encode()
        about = {"serial": serial, "made_at": serial, "region": "almaty", "by": "", "note": ""}
        path = tmp_path / "published"
        write_bundle(path, {"sources.yaml": b"sources: []\n", "fetched/one/1/list": listed}, about)
        sign(path, signed_by or key, path)
        server.put("/bundle", path.read_bytes())
        return path.stat().st_size

    return publish


class Box:
    """What one box does of `filterd bundle apply`: ask, verify, compare serials, unpack, remember."""

    def __init__(self, folder: Path, public: str) -> None:
        self.store = BundleStore(folder)
        self.public = public

    async def update(self, fetcher: Fetcher, url: str) -> tuple[str, int]:
        """Return what came of it and how many bytes came."""
        try:
            found = await fetch_bundle(self.store, fetcher, url)
        except FetchError:
            return "failed", 0
        if found.path is None:
            return "same", 0
        found.settled(self.store)
        try:
            opened = open_bundle(found.path, [self.public])
            if not self.store.is_new(opened):
                return "same", found.received
            check(opened)
        except BundleError as error:
            return error.message, found.received
        state = self.store.state()
        self.store.save(replace(state, serial=opened.header.serial, digest=opened.digest))
        self.store.forget_transfers()
        return "new", found.received


@pytest.fixture
def fleet(tmp_path: Path, key) -> list[Box]:
    return [Box(tmp_path / f"box-{number}", public_text(key)) for number in range(BOXES)]


@pytest.fixture
def everybody(server, authority, fleet):
    """Return a function: every box asks once; what came of it, counted, and the bytes that came."""

    async def everybody() -> tuple[Counter[str], int]:
        turn, context = asyncio.Semaphore(AT_ONCE), authority.client_context()

        async def one(box: Box) -> tuple[str, int]:
            known = Way("written", written({"region.test": ["127.0.0.1"]}))
            hosts = Names([known], [ipaddress.ip_network("127.0.0.0/8")])
            settings = FetchSettings(tries=1, time=60)
            async with turn, Fetcher(hosts, context, settings) as fetcher:
                return await box.update(fetcher, server.url("/bundle", "region.test"))

        found = await asyncio.gather(*(one(box) for box in fleet))
        return Counter(result for result, _ in found), sum(count for _, count in found)

    return everybody


@pytest.mark.timeout(170)
async def test_500_boxes_by_conditional_requests(  # noqa: PLR0917 - fixtures
    server, publish, fleet, everybody, key, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # 500 boxes have 500 disks, this machine one
    size = publish(1)
    assert await everybody() == (Counter(new=BOXES), BOXES * size)

    server.counts.clear()
    assert await everybody() == (Counter(same=BOXES), 0)
    assert (server.counts["304"], server.counts["bytes"]) == (BOXES, 0), "a day without news costs no byte"

    size = publish(2)
    fleet[0].store.save(BundleState())  # a box that was set up anew
    fleet[1].public = public_text(PrivateKey.generate())  # one that trusts another region
    results, received = await everybody()
    assert received == BOXES * size
    assert results == Counter({"new": BOXES - 1, "the bundle is not signed by a key that is trusted here": 1})
    serials = Counter(box.store.state().serial for box in fleet)
    assert serials == Counter({2: BOXES - 1, 1: 1}), "which box runs what is seen"

    publish(3, signed_by=PrivateKey.generate())
    results, _ = await everybody()
    assert results == Counter({"the bundle is not signed by a key that is trusted here": BOXES})
    assert Counter(box.store.state().serial for box in fleet) == serials, "nobody took it"

    publish(1)  # somebody puts yesterday's file back
    results, _ = await everybody()
    assert results["bundle 1 is not newer: 2 is in force"] == BOXES - 1

    page = server.pages["/bundle"]
    size = publish(4)
    server.pages["/bundle"].cut = size // 2
    results, _ = await everybody()
    assert results == Counter(failed=BOXES)
    server.pages["/bundle"].cut = None
    server.counts.clear()
    fleet[1].public = public_text(key)
    results, received = await everybody()
    assert results == Counter(new=BOXES)
    assert server.counts["206"] == BOXES, "a line that broke goes on where it was"
    assert received < BOXES * size * 0.6
    assert page is not server.pages["/bundle"]

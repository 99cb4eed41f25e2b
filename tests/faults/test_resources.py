"""A full disk, no descriptors left: DNS goes on; what fits into memory arrives later, the rest is counted."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import _figures
import pytest
from _ask import ask
from _asking import Asking
from _product import DNS, MONITOR, limit, until
from _scripted_upstream import ScriptedUpstream, honest, truth
from _stream_of_lookups import Load, text

NONE_LEFT = 3  # numbers for descriptors, which the standard streams have taken
BOUND = 20_000  # events that wait in memory (filterd.events.writer)
MOUNTED = """unshare {options} sh -c 'mount -t tmpfs -o size=96m,mode=700 none "$0" && exec "$@"' '{state}'"""


class TmpfsDisk:
    """The state folder on a small disk of its own, seen by filterd only: it ends with filterd."""

    def __init__(self, folder):
        self.folder = folder / "small"
        state = self.folder / "state"
        state.mkdir(parents=True)
        self.under = MOUNTED.format(options=namespace(), state=state)

    def fill(self, product):
        self._filler = Path(f"/proc/{product.process.pid}/root{product.state}/filler")
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self, _product):
        self._filler.unlink()


class LimitedDisk:
    """No process may write any file, its log included, as on a disk that is full and holds everything."""

    def __init__(self, folder):
        self.folder = folder / "limited"
        self.under = ""

    def fill(self, product):
        for module in (DNS, MONITOR):
            limit(product.child(module), resource.RLIMIT_FSIZE, 1)
        limit(product.process.pid, resource.RLIMIT_FSIZE, 1)

    def free(self, product):
        for module in (DNS, MONITOR):
            limit(product.child(module), resource.RLIMIT_FSIZE, None)
        limit(product.process.pid, resource.RLIMIT_FSIZE, None)


def namespace():
    """Return the options by which ``unshare`` gives us mounts of our own."""
    for options in ("--mount", "--mount --map-root-user"):
        mount = f"unshare {options} mount -t tmpfs none /mnt"
        if subprocess.run(["sh", "-c", mount], capture_output=True, check=False).returncode == 0:
            return options
    pytest.fail("cannot mount a small disk: run as root, or allow user namespaces")
    return ""


@pytest.fixture
def tmpfs_disk(tmp_path):
    return TmpfsDisk(tmp_path)


@pytest.fixture(params=[TmpfsDisk, LimitedDisk])
def disk(request, tmp_path):
    return request.param(tmp_path)


def test_on_a_full_disk_dns_goes_on_and_what_is_in_memory_arrives_later(start, disk):
    product = start(folder=disk.folder, under=disk.under)
    asking = Asking(product)
    asking.some()
    until(lambda: product.listed() == asking.asked, "what was asked before")
    pids = product.pids()
    disk.fill(product)
    asking.some(300)
    disk.free(product)
    until(lambda: product.listed() == asking.asked, "every event, once")
    assert product.pids().items() <= pids.items(), "nobody died"
    assert product.end() == 0


def test_on_a_full_disk_what_finds_no_room_in_memory_is_counted(start, tmpfs_disk):
    product = start(folder=tmpfs_disk.folder, under=tmpfs_disk.under)
    Asking(product).some(1)
    until(product.listed, "the first event")
    tmpfs_disk.fill(product)
    with Load(product.port, per_second=6000, again=0) as load:
        until(lambda: len(load.asked) > BOUND * 5 // 4, "enough to be asked")
    assert len(load.answered) > 0.99 * len(load.asked), "DNS goes on"
    tmpfs_disk.free(product)
    names = {text(number) for number in load.asked}
    lost = arrived = 0

    def balanced():
        nonlocal lost, arrived
        arrived = sum(count for name, count in product.listed().items() if name in names)
        records = product.metrics("filterd_outbox_lost_records_total")
        lost = sum(value for labels, value in records.items() if 'kind="events"' in labels)
        return arrived + lost >= len(load.answers)

    until(balanced, "each lookup stored or counted as lost")
    assert arrived + lost <= len(load.asked), "nothing is counted twice"
    assert sum(product.metrics("filterd_outbox_failures_total").values()) > 0
    assert arrived >= BOUND
    _figures.note("full disk", asked=len(load.asked), kept_in_memory=arrived, counted_as_lost=lost)


async def right(talk):
    talk.say(honest(talk.query))


def test_without_descriptors_in_the_dns_process_udp_lives(start):
    with ScriptedUpstream(right) as upstream:
        product = start({"upstreams": [upstream.address]})
        asking = Asking(product)
        assert ask(product.v4, "cached.example").data == [truth("cached.example")]
        worker = product.child(DNS)
        limit(worker, resource.RLIMIT_NOFILE, NONE_LEFT)
        asking.some()
        assert ask(product.v4, "cached.example").data == [truth("cached.example")]
        assert ask(product.v4, "new.example").rcode == "SERVFAIL", "no socket left to ask with"
        with pytest.raises(OSError):
            ask(product.v4, "1xbet.com", tcp=True, timeout=0.5)
        asking.some()
        limit(worker, resource.RLIMIT_NOFILE, None)
        until(lambda: ask(product.v4, f"n{time.monotonic()}.example").rcode == "NOERROR", "lookups upstream")
        assert ask(product.v4, "1xbet.com", tcp=True).blocked
        asking.asked["1xbet.com"] = 1
        # The one that was tried without success may have been taken from the queue and answered to nobody.
        until(lambda: not asking.asked - product.arrived(), "every event")
        assert product.arrived() - asking.asked <= Counter({"1xbet.com": 1})
        assert product.child(DNS) == worker


def test_without_descriptors_in_the_supervisor_its_children_are_started_as_soon_as_can_be(start):
    product = start()
    supervisor = product.process.pid
    limit(supervisor, resource.RLIMIT_NOFILE, NONE_LEFT)
    os.kill(product.child(DNS), signal.SIGKILL)
    product.logged("child_not_started", 2)
    limit(supervisor, resource.RLIMIT_NOFILE, None)
    assert ask(product.v4, "1xbet.com", timeout=30).blocked
    asking = Asking(product)
    asking.some()
    until(lambda: not asking.asked - product.arrived(), "every event")
    assert product.end() == 0

"""Locked and corrupt SQLite files at both ends, through the whole product: DNS goes on, events arrive."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3

import pytest
from _asking import Asking
from _product import until
from _programs import MONITOR


@contextlib.contextmanager
def locked(path):
    """Hold a SQLite file's write lock, as a careless backup does."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=20)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def spoil(*paths):
    """Overwrite what is in files, as a bad disk does; their size stays."""
    for path in paths:
        if path.exists():
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))


def with_journal(path):
    return path, path.with_name(f"{path.name}-wal")


def test_a_locked_store_delays_and_loses_nothing(start):
    product = start()
    asking = Asking(product)
    asking.some()
    with locked(product.store):
        asking.some()
        until(lambda: product.waiting() > 0, "events to wait in the outbox")
        asking.some()
    until(lambda: product.arrived() == asking.asked, "every event")


def test_a_locked_outbox_delays_and_loses_nothing(start):
    product = start()
    asking = Asking(product)
    asking.some()
    until(lambda: product.arrived() == asking.asked, "every event before it")
    with locked(product.outboxes / "dns-0.outbox"):
        asking.some()
        product.logged("outbox_trouble")
        asking.some()
    product.logged("outbox_works_again")
    until(lambda: product.arrived() == asking.asked, "every event")


def test_a_corrupt_store_is_put_aside_with_an_alarm_and_a_new_one_begun(start):
    product = start()
    asking = Asking(product)
    asking.some()
    until(lambda: product.arrived() == asking.asked, "every event before it")
    spoil(*with_journal(product.store))
    asking.some()
    with contextlib.suppress(OSError):  # whoever reads finds it: here the next look of Prometheus
        product.metrics("filterd_up")
    (alarm,) = product.logged("store_put_aside")
    assert alarm["level"] == "critical"
    later = asking.some()
    until(lambda: later <= product.arrived().keys(), "the events after it")
    assert not product.counts() - asking.asked
    assert list(product.state.glob("monitor.sqlite.corrupt-*")), (
        "what was there is kept for people to look at"
    )
    assert product.end() == 0


def test_a_store_corrupt_at_the_start_is_put_aside_too(start):
    product = start()
    asking = Asking(product)
    asking.some()
    until(lambda: product.arrived() == asking.asked, "every event before it")
    os.kill(product.child(MONITOR), signal.SIGSTOP)  # nothing is written while it is spoilt
    victim = product.child(MONITOR)
    spoil(*with_journal(product.store))
    os.kill(victim, signal.SIGKILL)
    later = asking.some()
    product.logged("store_put_aside")
    until(lambda: later <= product.arrived().keys(), "the events after it")
    assert not product.counts() - asking.asked


DAMAGES = {
    "spoilt": "outbox_corrupt",
    "empty": "outbox_removed",
    "removed": "outbox_removed",
    "a folder": "outbox_trouble",
}
"""What is done to an outbox, and what the log says of it."""


@pytest.mark.parametrize("what", DAMAGES)
def test_a_corrupt_outbox_is_put_aside_and_what_follows_arrives(start, what):
    product = start()
    asking = Asking(product)
    asking.some()
    until(lambda: product.arrived() == asking.asked, "every event before it")
    path = product.outboxes / "dns-0.outbox"
    match what:
        case "spoilt":
            spoil(*with_journal(path))
        case "empty":
            for file in with_journal(path):
                os.truncate(file, 0)
        case "removed" | "a folder":
            for file in product.outboxes.glob("dns-0.outbox*"):
                file.unlink()
            if what == "a folder":
                path.mkdir()
    lost = asking.some()  # between the damage and its discovery
    product.logged(DAMAGES[what])
    if what == "a folder":
        path.rmdir()
    later = asking.some()
    until(lambda: later <= product.arrived().keys(), "the events after it")
    counts = product.settled()
    assert not counts - asking.asked, "nothing twice"
    missing = asking.asked - counts
    assert missing.keys() <= lost, "what had arrived stays, what came later arrives"
    assert product.end() == 0
    assert "Traceback" not in product.said

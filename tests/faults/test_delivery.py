"""Acknowledgements that get lost, and a region that cannot be reached: everything arrives, exactly once."""

from __future__ import annotations

import hashlib
import signal
import time
from collections import Counter

import _figures
from _asking import Asking
from _cutting_proxy import CuttingProxy
from _product import free_port, reading, until
from _stream_of_lookups import Load, text

TOKEN = "a-token-of-the-tests"  # noqa: S105


def test_lost_acknowledgements_double_nothing(start):
    port = free_port()
    with CuttingProxy(port, lose=0.6) as proxy:
        product = start(
            {
                "monitor": {"listen": [f"127.0.0.1:{port}"]},
                "delivery": {"url": f"http://127.0.0.1:{proxy.port}"},
                "workers": 2,
            }
        )
        with Load(product.port, per_second=400) as load:
            until(lambda: proxy.cut >= 6, "answers to be cut")
        assert load.answered.keys() == load.asked.keys(), "DNS notices nothing"
        proxy.lose = 0.0
        asked = Counter({text(number): times for number, times in load.asked.items()})
        until(lambda: product.arrived() == asked, "every event, once")
        assert product.end() == 0
    with reading(product.store) as connection:
        (again,) = connection.execute("SELECT sum(duplicate_batches) FROM boxes").fetchone()
    assert again >= 1, "no batch came twice: nothing was tested"
    assert product.counts() == asked
    _figures.note("lost acknowledgements", cut=proxy.cut, passed=proxy.passed, batches_that_came_again=again)


def test_a_region_out_of_reach_gets_everything_exactly_once(start, tmp_path):
    """Serving, restarted in between, while the region is gone; then the region comes back."""
    region = start(
        {"monitor": {"boxes": {"box-7": {"school": "example-school", "token_sha256": sha256(TOKEN)}}}},
        command="monitor",
        folder=tmp_path / "region",
        wait=False,
    )
    region.say("Ctrl-C ends it")
    (tmp_path / "token").write_text(TOKEN)
    box = start(
        {"box": "box-7", "delivery": {"url": region.url, "token_file": str(tmp_path / "token")}},
        command="serve",
        folder=tmp_path / "box",
    )
    asking = Asking(box)
    asking.some()
    until(lambda: region.arrived() == asking.asked, "what was asked while the region was there")

    assert region.end(signal.SIGTERM) == 0
    asking.some()
    until(lambda: box.waiting() > 0, "events to wait")
    assert box.end() == 0
    box = asking.product = start(box.model, command="serve", folder=box.folder)
    asking.some()
    until(lambda: committed(box) == 2 * 20 * 2, "all of it in the outbox")
    box.freeze_and_kill()
    box = asking.product = start(box.model, command="serve", folder=box.folder)
    asking.some()

    began = time.monotonic()
    region = start(region.model, command="monitor", folder=region.folder, wait=False)
    until(lambda: region.arrived() == asking.asked, "everything, once")
    _figures.note("region back", everything_there_after_s=time.monotonic() - began)
    assert box.end() == 0
    assert region.end(signal.SIGTERM) == 0
    assert region.counts() == asking.asked


def committed(box):
    """Return how many lookups wait in the outboxes."""
    total = 0
    for path in box.outboxes.glob("*.outbox"):
        with reading(path) as connection:
            total += connection.execute("SELECT coalesce(sum(lookups), 0) FROM batches").fetchone()[0]
    return total


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

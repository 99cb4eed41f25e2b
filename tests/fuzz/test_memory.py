"""Names that nobody asked before, without end: every table has its bound, and memory stops growing."""

from __future__ import annotations

import os

import _figures
import pytest
from _ask import ask
from _listening import Gauge, Listening
from _product import DNS

LOOKUPS = 2 * int(os.environ.get("FILTERD_PACKETS", "20000"))
WAVE = 100
MIB = 1 << 20
GROWTH = 24 * MIB

HEAD = b"\x00\x00\x01\x00\x00\x01" + bytes(6)
QUESTION = b"\x00\x00\x01\x00\x01"
# Allowed, with a cache entry each; blocked, with an event each; special, answered here.
ZONES = (b"\x07example", b"\x07example\x03org", b"\x051xbet\x03com", b"\x05local")


@pytest.mark.timeout(240 + LOOKUPS // 500)
def test_lookups_of_random_names_take_no_more_and_more_memory(product, dice):
    gauge = Gauge(product)
    listening = Listening(product)
    sizes = []
    before = gauge.cpu()
    for _ in range(LOOKUPS // WAVE):
        labels = [b"%020x" % dice.getrandbits(80) for _ in range(WAVE)]
        listening.batch([HEAD + b"\x14" + one + dice.choice(ZONES) + QUESTION for one in labels])
        listening.finish()
        sizes.append(gauge.resident())
    listening.close()
    half = len(sizes) // 2
    _figures.note(
        "random names",
        lookups=LOOKUPS,
        cpu_each=f"{(gauge.cpu() - before) / LOOKUPS * 1e6:.0f} us",
        memory=f"{sizes[0] / MIB:.1f} MiB at first, {sizes[half] / MIB:.1f} half-way,"
        f" {sizes[-1] / MIB:.1f} at the end",
    )
    assert max(sizes[half:]) - sizes[half] < GROWTH
    assert product.child(DNS) == gauge.pid
    assert ask(product.v4, "1xbet.com").blocked

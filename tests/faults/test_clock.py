"""The clock jumps a year ahead, a year back: TTLs go on by the monotonic clock, events by the new one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from _ask import ask
from _asking import Asking
from _product import reading, until
from _scripted_upstream import TTL, ScriptedUpstream, honest, truth

YEAR = 365 * 86_400
LIBRARY = "libfaketimeMT.so.1"


@pytest.fixture
def clock(tmp_path):
    """Return a function that sets the clock of what is started under its ``under``."""
    found = sorted(Path("/usr/lib").glob(f"**/faketime/{LIBRARY}"))
    if not found:
        pytest.fail(f"{LIBRARY} is missing: apt-get install faketime")
    file = tmp_path / "clock"

    def move(seconds):
        file.with_suffix(".new").write_text(f"{seconds:+d}\n")
        file.with_suffix(".new").replace(file)

    move(0)
    # The monotonic clock stays as it is: timers and timeouts run on it, and a jump does not move them.
    move.under = (
        f'env LD_PRELOAD={found[0]} FAKETIME_TIMESTAMP_FILE="{file}"'
        " FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1"
    )
    return move


async def right(talk):
    talk.say(honest(talk.query))


def test_jumps_of_a_year(start, clock):
    with ScriptedUpstream(right) as upstream:
        product = start({"upstreams": [upstream.address]}, under=clock.under)
        asking = Asking(product)
        by_jump = {}
        assert ask(product.v4, "kept.example").data == [truth("kept.example")]
        for jump in (0, YEAR, -YEAR, 0):
            clock(jump)
            names = by_jump.setdefault(jump, set())
            answer = ask(product.v4, "kept.example")
            assert answer.data == [truth("kept.example")]
            assert TTL - 100 < answer.ttls[0] <= TTL, "its time counts down as if nothing had happened"
            assert ask(product.v4, f"new{len(asking.asked)}.example").rcode == "NOERROR"
            names |= asking.some()
            until(lambda: names <= product.arrived().keys(), "what was asked after the jump")  # noqa: B023
            expect_times(product, names, time.time() + jump)
        assert upstream.asked.count("kept.example.") == 1
        until(lambda: product.arrived() == asking.asked, "everything, once")
        assert product.end() == 0
    assert "Traceback" not in product.said


def expect_times(product, names, now):
    with reading(product.store) as connection:
        buckets = dict(connection.execute("SELECT name, bucket FROM events"))
    for name in names:
        assert abs(buckets[name] - now) < 900, name

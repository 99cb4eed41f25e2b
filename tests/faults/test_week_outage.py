"""A week without the region: what waited is drained in good time, and the pupils' lookups do not notice."""

from __future__ import annotations

import hashlib
import os
import random
import time

import _figures
from _product import until
from _stream_of_lookups import Load

from filterd.events.batch import Event
from filterd.events.outbox import Outbox

TOKEN = "a-token-of-the-tests"  # noqa: S105
EVENTS = int(os.environ.get("FILTERD_WEEK_EVENTS", "20000"))  # 200,000: a week of a busy school
A_COMMIT = 20
WEEK = 7 * 86400


def fill(path) -> None:
    """Write a week's events as the DNS process does: small commits, each durable."""
    outbox, dice, now = Outbox(path), random.Random(1), int(time.time())
    for first in range(0, EVENTS, A_COMMIT):
        at = now - WEEK + WEEK * first // EVENTS
        events = [
            Event(
                bucket=at - at % 300,
                group="class-7a",
                tier="middle",
                pseudonym=f"{dice.choice('abcdefgh')}abcdefgh234567"[:16],
                domain=f"site{number % 997}.example",
                name=f"w{number}.site{number % 997}.example",
                category="gambling",
                list="local-gambling",
                rule=f"site{number % 997}.example",
                layer="baseline",
                verdict="block",
                reason="category",
                count=1,
            )
            for number in range(first, min(first + A_COMMIT, EVENTS))
        ]
        outbox.commit(events, {}, now=at)
    outbox.close()


def p99(load: Load, since: float, until_: float) -> float:
    """Return the 99th percentile, in ms, of the answers to questions sent within a time."""
    sent = {(flow, number): at for at, flow, number in load.sent}
    taken = sorted(
        at - sent[flow, number] for at, flow, number in load.answers if since <= sent[flow, number] < until_
    )
    assert taken, "nothing was asked"
    return taken[len(taken) * 99 // 100] * 1000


def test_a_weeks_outage_is_drained_within_the_hour_without_hurting_dns(start, tmp_path):
    region = start(
        {
            "monitor": {
                "boxes": {
                    "box-7": {
                        "school": "example-school",
                        "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest(),
                    }
                }
            }
        },
        command="monitor",
        folder=tmp_path / "region",
        wait=False,
    )
    region.say("Ctrl-C ends it")
    (tmp_path / "token").write_text(TOKEN)
    outboxes = tmp_path / "box" / "state" / "outbox"
    outboxes.mkdir(parents=True)
    fill(outboxes / "dns-0.outbox")
    size = (outboxes / "dns-0.outbox").stat().st_size
    began = time.monotonic()
    box = start(
        {"box": "box-7", "delivery": {"url": region.url, "token_file": str(tmp_path / "token")}},
        command="serve",
        folder=tmp_path / "box",
    )
    with Load(box.port, per_second=200, again=0.0) as load:
        load_began = time.monotonic()
        until(lambda: 0 <= box.waiting() < 20, "the week to be drained", 100)
        drained = time.monotonic()
        until(lambda: len(load.answers) and load.answers[-1][0] > drained + 5, "five seconds in peace", 60)
        ended = time.monotonic()
    assert load.answered.keys() == load.asked.keys(), "DNS notices nothing"
    stored = until(
        lambda: (found := region.arrived()) and len(found) >= EVENTS + len(load.asked) and found, "all"
    )
    assert all(stored[f"w{number}.site{number % 997}.example"] == 1 for number in range(EVENTS))
    busy, calm = p99(load, load_began, drained), p99(load, drained, ended - 1)
    _figures.note(
        "a week's outage",
        events=EVENTS,
        mib=size / 2**20,
        drained_in_seconds=drained - began,
        events_a_second=EVENTS / (drained - began),
        p99_ms_of_dns_while_draining=busy,
        p99_ms_afterwards=calm,
    )
    assert drained - began < 3600 * EVENTS / 200_000 + 30
    assert busy < 1000

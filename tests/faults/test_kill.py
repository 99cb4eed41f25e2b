"""kill -9 in random moments under load: no acknowledged event is lost, none is stored twice.

FILTERD_KILLS says how often (200 in a longer run). An event is acknowledged when it is committed in an
outbox. After each kill, outboxes and store are read before anything else; whatever stands there must be in
the store at the end, exactly once.
"""

from __future__ import annotations

import os
import random
import signal
import time
from bisect import bisect_right
from collections import Counter

import _figures
import pytest
from _ledger import Ledger
from _product import Product, reading, until
from _stream_of_lookups import Load, text

KILLS = int(os.environ.get("FILTERD_KILLS", "12"))
VICTIMS = {"worker": 5, "endpoint": 3, "supervisor": 2, "all": 2}
PER_SECOND = 300
LATE = 0.5  # seconds in which this process reads an answer, on a busy machine
WHILE_IT_WORKS = 0.8  # share of the kills; the others hit where the last recovery may be under way


class Killing:
    """Kills, looks, and starts again what does not start again by itself."""

    def __init__(self, product: Product, load: Load, start, seed: int) -> None:
        self.product = product
        self.load = load
        self.ledger = Ledger()
        self.kills: list[tuple[float, str]] = []
        self.restarted_by_hand = 0
        self._start = start
        self._dice = random.Random(seed)

    def go_on(self, kills: int) -> None:
        """Kill so many times, often where the last recovery is still under way."""
        # Each kind at least once; then as the dice fall.
        order = [*VICTIMS, *self._dice.choices(list(VICTIMS), VICTIMS.values(), k=kills)][:kills]
        self._dice.shuffle(order)
        for victim in order:
            if self._dice.random() < WHILE_IT_WORKS:
                self.wait_until_it_works()
            self._pause(self._dice.uniform(0, 1.0))
            self.kill(victim)
        self.wait_until_it_works()

    def wait_until_it_works(self) -> None:
        """Wait until every port has an answer to what was asked after the last kill."""
        last = self.kills[-1][0] if self.kills else 0.0
        until(lambda: self.revive() or self._answered_since(last), "answers")

    def _answered_since(self, moment: float) -> bool:
        sent = self.load.sent
        asked_after = {number for _, _, number in sent[bisect_right(sent, (moment,)) :]}
        answers = self.load.answers
        flows = {
            flow for _, flow, number in answers[bisect_right(answers, (moment,)) :] if number in asked_after
        }
        return len(flows) == self.load.flows

    def kill(self, victim: str) -> None:
        """Kill one victim that lives, look at the files, and see to it that a supervisor runs."""
        if victim == "all":
            self.kills.append((time.monotonic(), victim))
            self.product.freeze_and_kill()
            self.ledger.look(self.product, dead=True)
        else:
            pid = until(lambda: self._find(victim), f"a {victim} to kill")
            self.kills.append((time.monotonic(), victim))
            os.kill(pid, signal.SIGKILL)
            self.ledger.look(self.product)
        self.revive()

    def revive(self) -> None:
        """Do what systemd does: start it again when it has ended, and again when that fails."""
        if self.product.process.poll() is None:
            return
        self.restarted_by_hand += 1
        self.product = self._start(self.product)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.revive()
            time.sleep(0.02)

    def _find(self, victim: str) -> int:
        """Return a random process of a kind; 0 when none lives at the moment."""
        self.revive()
        found = [pid for pid, kind in self.product.pids().items() if kind == victim]
        return self._dice.choice(found) if found else 0


@pytest.mark.timeout(180 + 10 * KILLS)
def test_no_acknowledged_event_is_lost_and_none_stored_twice(start, request):
    seed = random.SystemRandom().randrange(2**32)
    product = start({"workers": 2})
    with Load(product.port, per_second=PER_SECOND) as load:
        killing = Killing(product, load, lambda old: started_again(old, request), seed)
        killing.go_on(KILLS)
        time.sleep(1.0)  # the end of the load is without kills
    product = killing.product
    product.settled()
    assert product.end() == 0, product.said
    counts = product.counts()

    promised = killing.ledger.promised()
    asked = Counter({text(number): times for number, times in load.asked.items()})
    told = f"seed {seed}, kills {Counter(victim for _, victim in killing.kills)}"
    assert sum(promised.values()) > 100, told
    assert not promised - counts, f"acknowledged and lost: {list((promised - counts).items())[:5]}; {told}"
    assert not counts - asked, f"stored more often than asked: {list((counts - asked).items())[:5]}; {told}"
    books_agree(product, counts)

    answered = load.answered
    lost = {number: at for number, at in answered.items() if text(number) not in counts}
    report(load, killing, lost)
    # What was answered in the last moments before a kill may be missing; on a busy machine that is a while.
    assert len(lost) < 0.25 * len(answered), told


def started_again(old: Product, request) -> Product:
    product = old.again()
    request.addfinalizer(product.kill)
    return product


def books_agree(product: Product, counts: Counter[str]) -> None:
    """The store in itself: whole, without a gap in the sequences, sums equal to what is summed."""
    with reading(product.store) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM gaps").fetchone() == (0,)
        assert connection.execute("SELECT sum(lost_batches) FROM boxes").fetchone() == (0,)
        assert connection.execute("SELECT sum(lookups) FROM event_totals").fetchone() == (counts.total(),)
        (hours,) = connection.execute("SELECT sum(queries) FROM usage").fetchone()
        assert connection.execute("SELECT sum(queries) FROM usage_totals").fetchone() == (hours,)
    assert not list(product.outboxes.glob("*.bad-*"))
    assert not list(product.state.glob("*.corrupt-*"))
    for path in product.outboxes.glob("*.outbox"):
        with reading(path) as connection:
            assert connection.execute("SELECT count(*) FROM rejected").fetchone() == (0,)
            assert not connection.execute("SELECT * FROM counters").fetchall()


def report(load: Load, killing: Killing, lost: dict[int, float]) -> None:
    """Note what a person wants to know; nothing here makes the test fail."""
    moments = [at for at, _ in killing.kills]
    # An answer that was sent before a kill may be read a moment after it.
    before = sorted(
        max(0.0, next((kill - at for kill in moments if kill >= at - LATE), 99.0)) for at in lost.values()
    )
    answered = len({number for _, _, number in load.answers})
    _figures.note(
        f"kill -9, {len(killing.kills)} times",
        **Counter(victim for _, victim in killing.kills),
        looks=killing.ledger.looks,
        restarts_by_hand=killing.restarted_by_hand,
        asked=len(load.asked),
        answered=answered,
        acknowledged=len(killing.ledger.promised()),
        answered_and_recorded=f"{1 - len(lost) / max(1, answered):.2%}",
        unrecorded_at_most_before_a_kill=f"{before[-1] if before else 0:.2f} s",
        half_of_them=f"{before[len(before) // 2] if before else 0:.2f} s",
    )
    for kind in ("worker", "supervisor", "all"):
        found = [outage(load, at, moments) for at, victim in killing.kills if victim == kind]
        gaps = sorted(gap for gap in found if gap is not None)
        if gaps:
            _figures.note(
                f"  answers on the worst port after a kill of {kind}",
                median=f"{gaps[len(gaps) // 2]:.2f} s",
                worst=f"{gaps[-1]:.2f} s",
                measured=len(gaps),
            )


def outage(load: Load, at: float, moments: list[float]) -> float | None:
    """Return for how long some port got no answer after a kill; None when other kills fall into it."""
    following = moments[bisect_right(moments, at) :]
    end = following[0] if following else at + 10
    first: dict[int, float] = {}
    for when, flow, _ in load.answers[bisect_right(load.answers, (at + 0.005,)) :]:
        first.setdefault(flow, when)
    worst = max(first.values(), default=end) - at
    return worst if at + worst < end else None

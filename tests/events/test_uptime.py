"""When a DNS process filtered: marked once a step, durable, shipped like the rest, harmed by no clock."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import OutboxError
from filterd.events.batch import MAX_ALIVE, Batch
from filterd.events.outbox import Outbox
from filterd.events.outboxreader import OutboxReader
from filterd.events.pseudonym import Pseudonyms
from filterd.events.recorder import Recorder
from filterd.events.writer import Writer, WriterSettings

HOUR = 1_760_000_400 - 1_760_000_400 % 3600
FAST = WriterSettings(interval=0.002, slow_interval=0.002, retry=0.002)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "dns.outbox"


def alive(path: Path) -> dict[int, int]:
    """All uptime in an outbox, waiting in batches or still gathering, hours joined by OR."""
    found: dict[int, int] = defaultdict(int)
    connection = sqlite3.connect(path)
    try:
        for sequence, payload in connection.execute("SELECT sequence, payload FROM batches"):
            for one in Batch.model_validate({"sequence": sequence, **json.loads(payload)}).alive:
                found[one.hour] |= one.steps
        for hour, steps in connection.execute("SELECT hour, steps FROM alive"):
            found[hour] |= steps
    finally:
        connection.close()
    return dict(found)


def commit(path: Path, *marks: dict[int, int]) -> None:
    outbox = Outbox(path)
    for mark in marks:
        outbox.commit([], {}, alive=mark, now=HOUR)
    outbox.close()


def test_a_step_that_is_marked_waits_for_the_endpoint(path):
    commit(path, {HOUR: 1}, {HOUR: 2}, {HOUR: 2, HOUR + 3600: 1 << 11})
    assert alive(path) == {HOUR: 3, HOUR + 3600: 1 << 11}


def test_it_is_forgotten_only_when_acknowledged(path):
    commit(path, {HOUR: 1}, {HOUR: 6})
    reader = OutboxReader(path)
    load = reader.load(max_batches=10, max_bytes=10**6)
    assert [json.loads(batch.payload)["alive"] for batch in load.batches] == [[{"hour": HOUR, "steps": 1}]]
    reader.acknowledge(load.stream, [batch.sequence for batch in load.batches])
    commit(path, {})
    later = reader.load(max_batches=10, max_bytes=10**6)
    assert [json.loads(batch.payload)["alive"] for batch in later.batches] == [[{"hour": HOUR, "steps": 6}]]
    reader.close()


def test_it_is_bounded_the_oldest_hours_go_and_are_counted(path):
    outbox = Outbox(path)
    outbox.commit([], {}, alive={HOUR: 1}, now=HOUR)  # waits in a batch
    outbox.commit([], {}, alive={HOUR + 3600 * n: 1 for n in range(MAX_ALIVE + 5)}, now=HOUR)
    assert outbox.counters() == {"dropped_alive_hours": 5}
    assert outbox.waiting().batches == 1
    outbox.close()


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


def run(path: Path, clock: Clock, serving=lambda: True, outbox: Outbox | None = None) -> Writer:
    writer = Writer(
        Recorder(),
        outbox or Outbox(path),
        Pseudonyms(b"s" * 32),
        settings=FAST,
        clock=clock,
        serving=serving,
    )
    writer.start()
    return writer


def test_each_step_is_marked_at_its_beginning_whatever_the_clock_does(path, eventually):
    clock = Clock(HOUR + 10)
    writer = run(path, clock)
    for now in (HOUR + 299, HOUR + 300, HOUR - 3600, HOUR + 50, HOUR + 3599, 2**33, HOUR + 1):
        clock.now, before = now, clock.asked
        eventually(lambda before=before: clock.asked > before + 2)
    assert writer.stop()
    far = 2**33 - 2**33 % 3600
    assert alive(path) == {
        HOUR: 1 | 2 | 1 << 11,
        HOUR - 3600: 1,
        far: 1 << (2**33 - far) // 300,
    }


def test_a_process_that_does_not_filter_marks_nothing(path, eventually):
    clock = Clock(HOUR)
    writer = run(path, clock, serving=lambda: False)
    eventually(lambda: clock.asked > 5)
    assert writer.stop()
    assert alive(path) == {}


def test_a_mark_outlives_trouble_with_the_disk(path, eventually):
    class Full(Outbox):
        full = True

        def commit(self, *args, **more):
            if self.full:
                raise OutboxError("full")
            super().commit(*args, **more)

    clock = Clock(HOUR)
    outbox = Full(path)
    writer = run(path, clock, outbox=outbox)
    eventually(lambda: writer.failures > 2)
    clock.now = HOUR + 300
    eventually(lambda failures=writer.failures: writer.failures > failures + 2)
    outbox.full = False
    assert writer.stop()
    assert alive(path) == {HOUR: 3}


_PROGRAM = """
import sys, time
from pathlib import Path
from filterd.events.outbox import Outbox
from filterd.events.pseudonym import Pseudonyms
from filterd.events.recorder import Recorder
from filterd.events.writer import Writer, WriterSettings
ticks = iter(range(10**9))
hour = int(sys.argv[2])
writer = Writer(Recorder(), Outbox(Path(sys.argv[1])), Pseudonyms(b"s" * 32), serving=lambda: True,
                settings=WriterSettings(interval=0.001, slow_interval=0.001),
                clock=lambda: hour + 100 * next(ticks))
commit, marked = writer._outbox.commit, 0
def tell(events, usage, health, *, alive, now):
    marks = sum(steps.bit_count() for steps in alive.values())
    commit(events, usage, health, alive=alive, now=now)
    global marked
    marked += marks
    print(marked, flush=True)
writer._outbox.commit = tell
writer.start()
time.sleep(3600)
"""


def test_kill_9_loses_no_step_that_was_committed(path):
    """The clock of the process runs a step in a few ticks; at most what was not committed yet is lost."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(path), str(HOUR)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = 0
    while told < 100:
        told = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.wait()
    process.stdout.close()
    marks = sorted(
        hour + 300 * bit for hour, steps in alive(path).items() for bit in range(12) if steps >> bit & 1
    )
    assert marks == [HOUR + 300 * number for number in range(len(marks))]  # without a gap
    assert told <= len(marks) <= told + 1


marks = st.lists(
    st.dictionaries(st.integers(0, 5).map(lambda n: HOUR + n * 3600), st.integers(1, 4095)), max_size=8
)


@settings(deadline=None, max_examples=25)  # each example makes two files and syncs them
@given(marks)
def test_the_order_of_marks_does_not_matter(tmp_path_factory, given_marks):
    expected: dict[int, int] = defaultdict(int)
    for mark in given_marks:
        for hour, steps in mark.items():
            expected[hour] |= steps
    found = []
    for order in (given_marks, given_marks[::-1]):
        path = tmp_path_factory.mktemp("uptime") / "dns.outbox"
        commit(path, *order, {})
        found.append(alive(path))
    assert found == [dict(expected)] * 2

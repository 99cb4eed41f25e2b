from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import structlog

from filterd.events.outbox import Limits, Outbox
from filterd.events.pseudonym import Pseudonyms
from filterd.events.recorder import Recorder
from filterd.events.writer import Writer, WriterSettings

FAST = WriterSettings(interval=0.005, slow_interval=0.02, retry=0.02)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "dns.outbox"


@pytest.fixture
def start(path):
    writers = []

    def begin(
        recorder: Recorder, *, settings: WriterSettings = FAST, outbox: Outbox | None = None, **more
    ) -> Writer:
        writer = Writer(
            recorder,
            outbox or Outbox(path, wait=0.01),
            Pseudonyms(b"s" * 32),
            settings=settings,
            **more,
        )
        writer.start()
        writers.append(writer)
        return writer

    yield begin
    for writer in writers:
        writer.stop(drain=False)


def test_what_is_recorded_is_committed(start, path, lookup, stored_names, eventually):
    recorder = Recorder()
    writer = start(recorder)
    for n in range(100):
        recorder.blocked(*lookup(f"{n}.kz"))
        recorder.blocked(*lookup(f"{n}.kz", qtype=28))
    eventually(lambda: writer.committed == 200)
    assert sum(stored_names(path).values()) == 200
    assert writer.counters()["events_committed"] == 200


def test_no_address_and_no_mac_reaches_the_disk(start, path, lookup, eventually):
    recorder = Recorder()
    writer = start(recorder)
    client, mac = b"\x0a\xd7\xc8\x9b", b"\xf2\xd1\xe9\x9c\xb7\xaa"
    recorder.blocked(*lookup(client=client, mac=mac))
    recorder.blocked(*lookup(client=client))
    eventually(lambda: writer.committed == 2)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"www.example.kz" in content
    for trace in (
        client,
        mac,
        client.hex().encode(),
        mac.hex().encode(),
        mac.hex(":").encode(),
        b"10.215.200.155",
    ):
        assert trace not in content


def test_stop_commits_what_is_left_usage_included(start, path, lookup, batches_in):
    recorder = Recorder()
    writer = start(recorder, settings=WriterSettings(interval=0.005, slow_interval=3600))
    writer.stop()
    writer = start(recorder, settings=WriterSettings(interval=3600, slow_interval=3600))
    for n in range(20_000):
        recorder.blocked(*lookup(f"{n % 7000}.kz"))
    recorder.count("class-7a", "middle", "", "allowed", 5)
    assert writer.stop()
    assert writer.committed == 20_000
    stored = [batch for _, batch in batches_in(path)]
    assert sum(one["count"] for batch in stored for one in batch["events"]) == 20_000
    assert sum(one["queries"] for batch in stored for one in batch["usage"]) == 5


def test_stop_without_draining_leaves_the_rest(start, lookup):
    recorder = Recorder()
    writer = start(recorder, settings=WriterSettings(interval=3600))
    recorder.blocked(*lookup())
    assert not writer.stop(drain=False)
    assert writer.committed == 0


def test_usage_is_counted_by_the_hour(start, path, batches_in):
    recorder = Recorder()
    writer = start(recorder, clock=lambda: 1_760_000_123.9, settings=WriterSettings(interval=3600))
    recorder.count("class-7a", "middle", "games", "blocked", 3)
    assert writer.stop()
    ((_, batch),) = batches_in(path)
    assert batch["usage"] == [
        {
            "hour": 1_760_000_123 - 1_760_000_123 % 3600,
            "group": "class-7a",
            "tier": "middle",
            "category": "games",
            "outcome": "blocked",
            "queries": 3,
        }
    ]


def test_health_is_kept_and_its_failure_keeps_no_event_back(start, path, lookup, health, eventually):
    recorder = Recorder()
    answers = iter([health])
    writer = start(recorder, health=lambda: next(answers))
    recorder.blocked(*lookup())
    eventually(lambda: writer.committed == 1 and writer.errors >= 2)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM health").fetchone() == (1,)
    connection.close()


def test_locked_for_a_while_loses_nothing_and_is_said_once(start, path, lookup, stored_names, eventually):
    recorder = Recorder()
    with structlog.testing.capture_logs() as logs:
        writer = start(recorder)
        recorder.blocked(*lookup("before.kz"))
        eventually(lambda: writer.committed == 1)
        other = sqlite3.connect(path, isolation_level=None, timeout=60)
        other.execute("BEGIN EXCLUSIVE")
        for n in range(10):
            recorder.blocked(*lookup(f"{n}.kz"))
        eventually(lambda: writer.failures >= 3)
        assert writer.committed == 1
        other.execute("COMMIT")
        other.close()
        eventually(lambda: writer.committed == 11)
        assert len(stored_names(path)) == 11
        writer.stop()
    said = [entry["event"] for entry in logs]
    assert said == ["outbox_trouble", "outbox_works_again"]


def test_a_full_disk_holds_nobody_up_and_loses_nothing_within_the_bound(
    small_disk, start, lookup, stored_names, eventually
):
    path = small_disk.folder / "dns.outbox"
    recorder = Recorder()
    writer = start(recorder, outbox=Outbox(path))
    recorder.blocked(*lookup("before.kz"))
    eventually(lambda: writer.committed == 1)
    small_disk.fill()
    recorded = 1
    while writer.failures < 3:
        for _ in range(100):
            recorder.blocked(*lookup(f"{recorded}.{'x' * 60}.{'y' * 60}.kz"))
            recorded += 1
        eventually(lambda: not len(recorder))
    assert recorder.dropped == writer.dropped == 0
    small_disk.free()
    eventually(lambda: writer.committed == recorded)
    assert len(stored_names(path)) == recorded


def test_over_the_bound_in_memory_every_lookup_is_counted(
    small_disk, start, lookup, stored_names, eventually
):
    path = small_disk.folder / "dns.outbox"
    settings = WriterSettings(interval=0.005, slow_interval=0.02, retry=0.02, max_events=50)
    recorder = Recorder(max_pending=1000)
    writer = start(recorder, outbox=Outbox(path), settings=settings)
    eventually(path.exists)
    small_disk.fill()
    recorded = 0
    while not (writer.dropped and writer.failures):
        recorder.blocked(*lookup(f"{recorded}.{'x' * 60}.{'y' * 60}.kz"))
        recorded += 1
    small_disk.free()
    eventually(lambda: writer.committed + writer.dropped + recorder.dropped == recorded)
    assert sum(stored_names(path).values()) == writer.committed
    assert writer.counters()["outbox_dropped_events"] == writer.dropped + recorder.dropped


def test_what_the_outbox_drops_is_in_the_counters(start, path, lookup, eventually):
    recorder = Recorder()
    writer = start(recorder, outbox=Outbox(path, Limits(max_bytes=256 * 1024)))
    for n in range(40):
        for m in range(50):
            recorder.blocked(*lookup(f"{n}.{m}.{'x' * 60}.{'y' * 60}.kz"))
        eventually(lambda: not len(recorder))
    eventually(lambda: writer.counters()["outbox_dropped_events"])
    assert writer.counters()["outbox_bytes"] <= 256 * 1024


def test_a_corrupt_file_does_not_stop_it(start, path, lookup, stored_names, eventually):
    path.write_text("garbage " * 1000)
    recorder = Recorder()
    with structlog.testing.capture_logs() as logs:
        writer = start(recorder)
        recorder.blocked(*lookup("new.kz"))
        eventually(lambda: writer.committed == 1)
        writer.stop()
    assert stored_names(path) == {"new.kz": 1}
    assert writer.counters()["outbox_corrupt_files"] == 1
    assert [entry["event"] for entry in logs if entry["log_level"] == "critical"] == ["outbox_corrupt"]


def test_a_lookup_that_breaks_the_code_takes_no_other_with_it(start, path, lookup, stored_names, eventually):
    recorder = Recorder()
    writer = start(recorder)
    with structlog.testing.capture_logs():
        recorder.blocked(*lookup("good.kz"))
        recorder.blocked(*lookup("bad.kz", view=None))
        recorder.blocked(*lookup("fine.kz"))
        eventually(lambda: writer.committed == 2)
        eventually(lambda: writer.discarded == 1)
    assert stored_names(path) == {"good.kz": 1, "fine.kz": 1}


def test_an_error_nobody_thought_of_does_not_end_the_thread(start, path, lookup, stored_names, eventually):
    class Broken(Outbox):
        broken = True

        def commit(self, *args, **kwargs) -> None:
            if self.broken:
                raise ZeroDivisionError
            super().commit(*args, **kwargs)

    recorder = Recorder()
    outbox = Broken(path)
    with structlog.testing.capture_logs() as logs:
        writer = start(recorder, outbox=outbox)
        recorder.blocked(*lookup("a.kz"))
        eventually(lambda: writer.errors >= 2)
        outbox.broken = False
        eventually(lambda: writer.committed == 1)
        writer.stop()
    assert stored_names(path) == {"a.kz": 1}
    assert {entry["event"] for entry in logs} == {"writer_error"}


def test_a_log_that_fails_neither_ends_the_thread_nor_doubles_events(
    start, path, lookup, stored_names, eventually
):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    structlog.configure(processors=[fail])
    try:
        recorder = Recorder()
        writer = start(recorder)
        recorder.blocked(*lookup("a.kz"))
        eventually(lambda: writer.committed == 1)
        other = sqlite3.connect(path, isolation_level=None, timeout=60)
        other.execute("BEGIN EXCLUSIVE")
        recorder.blocked(*lookup("b.kz"))
        eventually(lambda: writer.failures >= 2)
        other.execute("COMMIT")
        other.close()
        eventually(lambda: writer.committed == 2)
        recorder.blocked(*lookup("c.kz"))
        eventually(lambda: writer.committed == 3)
        assert writer.stop()
    finally:
        structlog.reset_defaults()
    assert stored_names(path) == {"a.kz": 1, "b.kz": 1, "c.kz": 1}


def test_repetitions_are_told_once_and_counted_all(start, path, lookup, eventually, batches_in):
    """A device that asks for one blocked name all the time is one event with a count, not a flood."""
    recorder = Recorder()
    writer = start(
        recorder, settings=WriterSettings(interval=0.005, slow_interval=30), clock=lambda: 1_000_000.0
    )
    recorder.blocked(*lookup("casino.kz"))
    eventually(lambda: writer.committed == 1)
    for _ in range(50):
        recorder.blocked(*lookup("casino.kz"))
        eventually(lambda: not len(recorder))
    assert writer.commits == 1, "known already: only its count grows, and that can wait"
    recorder.blocked(*lookup("other.kz"))
    eventually(lambda: writer.commits == 2)
    assert writer.stop()
    told = [(one["name"], one["count"]) for _, batch in batches_in(path) for one in batch["events"]]
    assert told == [("casino.kz", 1), ("other.kz", 1), ("casino.kz", 50)]


def test_a_new_bucket_tells_the_same_lookup_anew(start, path, lookup, eventually):
    now = [1_000_200.0]
    recorder = Recorder()
    writer = start(recorder, settings=WriterSettings(interval=0.005, slow_interval=30), clock=lambda: now[0])
    recorder.blocked(*lookup("casino.kz"))
    eventually(lambda: writer.committed == 1)
    now[0] += 300
    recorder.blocked(*lookup("casino.kz"))
    eventually(lambda: writer.committed == 2)
    assert writer.commits == 2

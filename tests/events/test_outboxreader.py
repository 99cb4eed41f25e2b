from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from filterd.errors import OutboxError
from filterd.events.outbox import Outbox
from filterd.events.outboxfile import outbox_files
from filterd.events.outboxreader import MAX_REJECTED, OutboxReader

NOW = 1_760_000_000


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "dns.outbox"


@pytest.fixture
def outbox(path):
    opened = Outbox(path)
    opened.commit([], {}, now=NOW)
    yield opened
    opened.close()


@pytest.fixture
def reader(path):
    opened = OutboxReader(path, wait=0.01)
    yield opened
    opened.close()


def load(reader: OutboxReader, *, batches: int = 64, size: int = 10**9):
    return reader.load(max_batches=batches, max_bytes=size)


def test_the_oldest_first_within_the_limits(outbox, reader, event, health):
    for n in range(5):
        outbox.commit([event(f"{n}.kz")], {}, health, now=NOW)
    found = load(reader, batches=3)
    assert [batch.sequence for batch in found.batches] == [1, 2, 3]
    assert found.health == health
    one = len(found.batches[0].payload)
    assert len(load(reader, size=2 * one).batches) == 2
    assert len(load(reader, size=1).batches) == 1


def test_acknowledged_is_forgotten(outbox, reader, event):
    for n in range(3):
        outbox.commit([event(f"{n}.kz")], {}, now=NOW)
    found = load(reader)
    reader.acknowledge(found.stream, [1, 3])
    assert [batch.sequence for batch in load(reader).batches] == [2]
    assert outbox.waiting().batches == 1


def test_an_acknowledgement_for_another_stream_changes_nothing(outbox, reader, event):
    outbox.commit([event()], {}, now=NOW)
    reader.acknowledge("0" * 32, [1])
    reader.reject("0" * 32, 1, "bad", now=NOW)
    assert len(load(reader).batches) == 1


def test_a_late_acknowledgement_spares_a_file_begun_anew(outbox, reader, path, event):
    outbox.commit([event("old.kz")], {}, now=NOW)
    old = load(reader)
    outbox.close()
    path.rename(path.with_name("aside"))
    outbox.commit([event("new.kz")], {}, now=NOW)
    reader.acknowledge(old.stream, [1])
    found = load(reader)
    assert found.stream != old.stream
    assert b"new.kz" in found.batches[0].payload


def test_what_cannot_be_removed_now_is_not_sent_again_and_removed_later(outbox, reader, path, event):
    for n in range(3):
        outbox.commit([event(f"{n}.kz")], {}, now=NOW)
    found = load(reader)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    reader.acknowledge(found.stream, [1, 2])
    assert [batch.sequence for batch in load(reader).batches] == [3]
    other.execute("COMMIT")
    other.close()
    load(reader)
    assert outbox.waiting().batches == 1


def test_rejected_is_put_apart_counted_and_bounded(outbox, reader, path, event):
    for n in range(MAX_REJECTED + 5):
        outbox.commit([event(f"{n}.kz", 2)], {}, now=NOW)
    stream = load(reader).stream
    for sequence in range(1, MAX_REJECTED + 6):
        reader.reject(stream, sequence, "422 no", now=NOW + sequence)
    reader.reject(stream, 1, "again", now=NOW)
    assert load(reader).batches == ()
    assert outbox.counters() == {
        "rejected_batches": MAX_REJECTED + 5,
        "rejected_lookups": 2 * (MAX_REJECTED + 5),
    }
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sequence, reason FROM rejected ORDER BY sequence").fetchall()
    connection.close()
    assert rows == [(sequence, "422 no") for sequence in range(6, MAX_REJECTED + 6)]


def test_no_file_is_an_error_and_none_is_made(reader, path):
    with pytest.raises(OutboxError):
        load(reader)
    assert not path.exists()


def test_a_file_without_its_schema_yet_is_an_error(reader, path):
    path.touch()
    with pytest.raises(OutboxError):
        load(reader)


def test_health_that_cannot_be_read_does_not_keep_batches_back(outbox, reader, path, event):
    outbox.commit([event()], {}, now=NOW)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT OR REPLACE INTO health VALUES (1, '{}')")
    connection.close()
    found = load(reader)
    assert (found.health, len(found.batches)) == (None, 1)


def test_outboxes_are_found_without_journals_and_those_put_aside(tmp_path):
    for name in ("b.outbox", "a.outbox", "a.outbox-wal", "a.outbox-shm", "a.outbox.bad-x", "letter.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in outbox_files(tmp_path)] == ["a.outbox", "b.outbox"]
    assert outbox_files(tmp_path / "nowhere") == []

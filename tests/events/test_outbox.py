from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from filterd.errors import OutboxError
from filterd.events import outboxfile, outboxrows
from filterd.events.batch import Batch
from filterd.events.outbox import Limits, Outbox
from filterd.events.outboxfile import OutboxBusy, OutboxFull

NOW = 1_760_000_000
HOUR = NOW - NOW % 3600
USAGE = {(HOUR, "class-7a", "middle", "", "allowed"): 10}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "dns.outbox"


@pytest.fixture
def outbox(path):
    opened = Outbox(path)
    yield opened
    opened.close()


def sql(path: Path, statement: str, *values: object) -> list[tuple]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def test_a_commit_is_a_batch_that_fits_the_schema(outbox, path, event, batches_in):
    outbox.commit([event("a.kz", 2), event("b.kz", 3)], {}, now=NOW)
    ((sequence, batch),) = batches_in(path)
    checked = Batch.model_validate({"sequence": sequence, **batch})
    assert [(one.name, one.count) for one in checked.events] == [("a.kz", 2), ("b.kz", 3)]
    waiting = outbox.waiting()
    assert (waiting.batches, waiting.lookups, waiting.oldest) == (1, 5, NOW)


def test_a_commit_of_nothing_is_no_batch(outbox, path, batches_in):
    outbox.commit([], {}, now=NOW)
    assert batches_in(path) == []


def test_many_events_become_batches_of_bounded_size(outbox, path, event, batches_in):
    outbox.commit([event(f"{n}.{'x' * 900}.kz") for n in range(3000)], {}, now=NOW)
    stored = batches_in(path)
    assert sum(len(batch["events"]) for _, batch in stored) == 3000
    sizes = sql(path, "SELECT max(length(payload)) FROM batches")
    assert sizes[0][0] <= outboxrows.BATCH_BYTES + 100
    assert all(len(batch["events"]) <= outboxrows.BATCH_EVENTS for _, batch in stored)


def test_the_file_is_for_its_owner_only_and_the_journal_too(outbox, path, event):
    outbox.commit([event()], {}, now=NOW)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_commits_are_synced(outbox, path):
    outbox.commit([], {}, now=NOW)
    assert outbox._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert sql(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_sequence_is_never_given_twice(path, event, batches_in):
    seen = []
    for _ in range(3):
        outbox = Outbox(path)
        outbox.commit([event()], {}, now=NOW)
        seen += [sequence for sequence, _ in batches_in(path)]
        sql(path, "DELETE FROM batches")
        outbox.close()
    assert seen == [1, 2, 3]


def test_the_stream_is_of_the_file(path, tmp_path):
    streams = []
    for file in (path, path, tmp_path / "other.outbox"):
        outbox = Outbox(file)
        outbox.commit([], {}, now=NOW)
        outbox.close()
        streams += sql(file, "SELECT stream FROM meta")
    assert streams[0] == streams[1] != streams[2]
    assert len(streams[0][0]) == 32


def test_the_latest_health_is_kept(outbox, path, health):
    outbox.commit([], {}, health, now=NOW)
    outbox.commit([], {}, health.model_copy(update={"at": NOW + 5}), now=NOW)
    ((payload,),) = sql(path, "SELECT payload FROM health")
    assert b'"at":%d' % (NOW + 5) in payload


class TestUsage:
    def test_is_cut_into_one_batch_and_gathers_until_that_is_gone(self, outbox, path, batches_in):
        outbox.commit([], USAGE, now=NOW)
        for _ in range(5):
            outbox.commit([], USAGE, now=NOW)
        ((first, batch),) = batches_in(path)
        assert batch["usage"][0]["queries"] == 10
        sql(path, "DELETE FROM batches WHERE sequence = ?", first)
        outbox.commit([], {}, now=NOW)
        ((second, batch),) = batches_in(path)
        assert (second, batch["usage"][0]["queries"]) == (first + 1, 50)

    def test_a_batch_takes_the_earliest_hours_first(self, outbox, path, batches_in, monkeypatch):
        monkeypatch.setattr(outboxrows, "BATCH_USAGE", 2)
        outbox.commit([], {(HOUR + 3600 * n, "g", "t", "", "allowed"): n + 1 for n in (3, 1, 2, 0)}, now=NOW)
        ((_, batch),) = batches_in(path)
        assert [row["queries"] for row in batch["usage"]] == [1, 2]
        assert sql(path, "SELECT count(*) FROM usage") == [(2,)]

    def test_over_its_bound_the_oldest_hour_goes_and_is_counted(self, path):
        outbox = Outbox(path, Limits(max_usage_rows=2))
        outbox.commit([], USAGE, now=NOW)  # cut: from now on it gathers
        for n in range(4):
            key = (HOUR + 3600 * n, "g", "t", "", "allowed")
            outbox.commit([], {key: 7 + n}, now=NOW)
        assert outbox.counters() == {"dropped_usage": 7 + 8}
        assert sql(path, "SELECT queries FROM usage") == [(9,), (10,)]
        outbox.close()

    def test_a_count_that_fits_no_schema_is_dropped_alone(self, outbox, path, batches_in):
        outbox.commit([], USAGE | {(HOUR, "g", "t", "", "no-outcome"): 4}, now=NOW)
        ((_, batch),) = batches_in(path)
        assert [row["outcome"] for row in batch["usage"]] == ["allowed"]
        assert outbox.counters() == {"dropped_usage": 4}


class TestBounds:
    def test_when_full_the_oldest_events_go_counted_and_usage_stays(self, path, event, batches_in):
        outbox = Outbox(path, Limits(max_bytes=512 * 1024))
        outbox.commit([], USAGE, now=NOW)
        for n in range(200):
            outbox.commit([event(f"{n}-{m}.{'x' * 900}.kz") for m in range(10)], {}, now=NOW)
        assert outbox.waiting().bytes <= 512 * 1024
        stored = batches_in(path)
        assert len(stored[0][1]["usage"]) == 1
        kept = [sequence for sequence, batch in stored if batch["events"]]
        assert kept == list(range(kept[0], 202))  # the newest, without a gap
        counters = outbox.counters()
        assert counters["dropped_lookups"] + 10 * len(kept) == 2000
        assert counters["dropped_batches"] + len(kept) == 200
        assert path.stat().st_size <= 1024 * 1024
        outbox.close()

    def test_refused_batches_kept_for_people_go_before_events(self, path, event, batches_in):
        outbox = Outbox(path, Limits(max_bytes=256 * 1024))
        outbox.commit([event()], {}, now=NOW)
        sql(path, "INSERT INTO rejected VALUES (99, 0, '', zeroblob(300000))")
        outbox.commit([event()], {}, now=NOW)
        assert len(batches_in(path)) == 2
        assert sql(path, "SELECT count(*) FROM rejected") == [(0,)]
        outbox.close()

    def test_events_over_the_age_go_counted(self, path, event, batches_in):
        outbox = Outbox(path, Limits(max_age=100))
        outbox.commit([event("old.kz")], USAGE, now=NOW)
        outbox.commit([event("young.kz")], {}, now=NOW + 60)
        outbox.commit([], {}, now=NOW + 101)
        names = [one["name"] for _, batch in batches_in(path) for one in batch["events"]]
        assert names == ["young.kz"]
        assert any(batch["usage"] for _, batch in batches_in(path))
        assert outbox.counters() == {"dropped_batches": 1, "dropped_lookups": 1}
        outbox.close()

    def test_the_journal_stays_small(self, outbox, path, event):
        for n in range(400):
            outbox.commit([event(f"{n}-{m}.{'x' * 900}.kz") for m in range(20)], {}, now=NOW)
        assert Path(f"{path}-wal").stat().st_size < 8 * 1024 * 1024


class TestTrouble:
    def test_locked_by_another_connection_is_busy_and_then_works(self, path, event, stored_names):
        outbox = Outbox(path, wait=0.01)
        outbox.commit([event("first.kz")], {}, now=NOW)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutboxBusy):
            outbox.commit([event("second.kz")], {}, now=NOW)
        other.execute("COMMIT")
        other.close()
        outbox.commit([event("second.kz")], {}, now=NOW)
        assert stored_names(path) == {"first.kz": 1, "second.kz": 1}
        outbox.close()

    def test_a_full_disk_loses_nothing_committed_and_works_again(self, small_disk, event, stored_names):
        path = small_disk.folder / "dns.outbox"
        outbox = Outbox(path)
        outbox.commit([event("before.kz")], USAGE, now=NOW)
        small_disk.fill()
        committed = 0
        trouble: OutboxFull | None = None
        while trouble is None:  # the room that the journal has already takes some
            try:
                outbox.commit([event(f"{committed}.{'x' * 900}.kz")], {}, now=NOW)
                committed += 1
            except OutboxFull as error:
                trouble = error
        assert trouble.remedy
        small_disk.free()
        outbox.commit([event("after.kz")], {}, now=NOW)
        stored = stored_names(path)
        assert {"before.kz", "after.kz"} <= stored.keys()
        assert len(stored) == committed + 2
        assert outbox.corrupt_files == 0
        outbox.close()

    def test_a_folder_that_is_not_there_is_an_error_with_a_remedy(self, tmp_path, event):
        outbox = Outbox(tmp_path / "nowhere" / "dns.outbox")
        with pytest.raises(OutboxError) as caught:
            outbox.commit([event()], {}, now=NOW)
        assert caught.value.remedy
        (tmp_path / "nowhere").mkdir()
        outbox.commit([event()], {}, now=NOW)
        outbox.close()

    def test_a_file_removed_by_hand_is_begun_anew(self, outbox, path, event, stored_names):
        outbox.commit([event("lost.kz")], {}, now=NOW)
        for file in list(path.parent.iterdir()):
            file.unlink()
        outbox.commit([event("kept.kz")], {}, now=NOW)
        assert stored_names(path) == {"kept.kz": 1}


def _garbage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def _cut_in_the_middle(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _garbage_in_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 20))


def _not_a_database(path: Path) -> None:
    path.write_text("this is somebody's letter\n" * 1000)


def _of_another_format(path: Path) -> None:
    sql(path, f"PRAGMA user_version = {outboxfile.FORMAT + 1}")


class TestCorrupt:
    @pytest.mark.parametrize(
        "damage",
        [_garbage_header, _cut_in_the_middle, _garbage_in_the_middle, _not_a_database, _of_another_format],
    )
    def test_is_put_aside_and_a_new_one_begun(self, path, event, damage, stored_names):
        outbox = Outbox(path)
        for n in range(100):
            outbox.commit([event(f"{n}-{m}.old.kz") for m in range(20)], {}, now=NOW)
        outbox.close()
        before = path.read_bytes()
        (stream,) = sql(path, "SELECT stream FROM meta")
        damage(path)
        outbox.commit([event("new.kz")], {}, now=NOW)
        assert stored_names(path) == {"new.kz": 1}
        assert outbox.corrupt_files == 1
        assert sql(path, "SELECT stream FROM meta") != [stream]
        (aside,) = path.parent.glob("dns.outbox.bad-*")
        assert aside.stat().st_size > 0
        assert before[:16] == path.read_bytes()[:16]
        outbox.close()

    def test_noticed_while_open(self, path, event, stored_names):
        outbox = Outbox(path)
        outbox.commit([event(f"{n}.old.kz") for n in range(2000)], {}, now=NOW)
        outbox.close()
        outbox.commit([event("one.kz")], {}, now=NOW)
        outbox._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _not_a_database(path)
        sql_trouble = sqlite3.connect(path)
        sql_trouble.close()
        outbox.commit([event("two.kz")], {}, now=NOW)
        outbox.close()
        outbox.commit([event("three.kz")], {}, now=NOW)
        assert "three.kz" in stored_names(path)
        assert outbox.corrupt_files == 1
        outbox.close()

    def test_only_the_latest_few_are_kept_aside(self, path, event):
        for _ in range(6):
            path.write_text("garbage " * 100)
            outbox = Outbox(path)
            outbox.commit([event()], {}, now=NOW)
            outbox.close()
        assert len(list(path.parent.glob("dns.outbox.bad-*"))) == 3

    def test_a_journal_left_without_its_file_is_not_taken_over(self, path, event, stored_names):
        outbox = Outbox(path)
        outbox.commit([event("old.kz")], {}, now=NOW)
        journal = Path(f"{path}-wal").read_bytes()
        outbox.close()
        path.unlink()
        Path(f"{path}-wal").write_bytes(journal)
        outbox.commit([event("new.kz")], {}, now=NOW)
        assert stored_names(path) == {"new.kz": 1}
        outbox.close()

    def test_a_new_file_that_was_cut_at_birth_is_used(self, path, event, stored_names):
        path.touch()
        outbox = Outbox(path)
        outbox.commit([event("new.kz")], {}, now=NOW)
        assert (stored_names(path), outbox.corrupt_files) == ({"new.kz": 1}, 0)
        outbox.close()

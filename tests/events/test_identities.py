from __future__ import annotations

import json
import sqlite3
import stat
import time
from pathlib import Path

import pytest
import structlog

from filterd.errors import IdentityError, StartError
from filterd.events import identities
from filterd.events.identities import DAY, Identities, Noting, Sighting, look_up, new_key, read_keys
from filterd.events.outbox import Outbox
from filterd.events.outboxreader import OutboxReader
from filterd.events.pseudonym import Pseudonyms
from filterd.events.recorder import Recorder
from filterd.events.writer import Writer, WriterSettings

SECRET = b"s" * 32
NOON = 1_760_000_100
TODAY = NOON - NOON % DAY
ADDRESS, MAC = b"\x0a\xd7\xc8\x9b", b"\xf2\xd1\xe9\x9c\xb7\xaa"
TRACES = [ADDRESS, MAC, ADDRESS.hex().encode(), MAC.hex().encode(), MAC.hex(":").encode(), b"10.215.200.155"]


@pytest.fixture
def keys(tmp_path) -> tuple[list[bytes], list[bytes]]:
    """Public and private keys of two people."""
    files = [tmp_path / "psychologist.key", tmp_path / "deputy.key"]
    public = [new_key(file) for file in files]
    return public, [read_keys(file)[0] for file in files]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "identities.sqlite"


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM identities").fetchone()[0]
    finally:
        connection.close()


def test_a_device_is_found_by_its_pseudonym_with_all_keys(path, keys):
    store = Identities(path, keys[0], SECRET)
    for day in (3, 0, 9):
        store.note("abcdefgh", ADDRESS, MAC, NOON + day * DAY)
        store.write(NOON)
    store.note("abcdefgh", ADDRESS, None, NOON)
    store.note("other234", b"\xfd" * 16, None, NOON)
    store.write(NOON)
    assert look_up(path, "abcdefgh", keys[1]) == [
        Sighting("10.215.200.155", "f2:d1:e9:9c:b7:aa", TODAY, TODAY + 9 * DAY),
        Sighting("10.215.200.155", "", TODAY, TODAY),
    ]
    assert look_up(path, "unknown2", keys[1]) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_neither_person_opens_it_alone_nor_in_another_order(path, keys):
    store = Identities(path, keys[0], SECRET)
    store.note("abcdefgh", ADDRESS, MAC, NOON)
    store.write(NOON)
    first, second = keys[1]
    for wrong in ([first], [second], [second, first], [first, first], [b"\x01" * 32, second]):
        with pytest.raises(IdentityError, match="do not open"):
            look_up(path, "abcdefgh", wrong)


def test_a_row_moved_to_another_pseudonym_does_not_open(path, keys):
    store = Identities(path, keys[0], SECRET)
    store.note("abcdefgh", ADDRESS, MAC, NOON)
    store.write(NOON)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE identities SET pseudonym = 'innocent'")
    connection.close()
    with pytest.raises(IdentityError):
        look_up(path, "innocent", keys[1])


def test_the_same_device_after_a_restart_is_the_same_row(path, keys):
    for life in range(3):
        store = Identities(path, keys[0], SECRET)
        store.note("abcdefgh", ADDRESS, MAC, NOON + life)
        store.write(NOON)
    assert rows(path) == 1


def test_it_is_bounded_in_rows_age_and_memory(path, keys):
    store = Identities(path, keys[0][:1], SECRET, max_rows=3, max_days=10, max_waiting=5)
    for number in range(8):
        store.note(f"p{number}", ADDRESS, None, NOON + number * DAY)
    assert store.dropped == 3
    store.write(NOON)
    assert rows(path) == 3
    assert look_up(path, "p4", keys[1][:1])
    assert look_up(path, "p0", keys[1][:1]) == []
    store.note("late", ADDRESS, None, NOON + 100 * DAY)
    store.write(NOON + 100 * DAY)
    assert rows(path) == 1


def test_a_store_that_cannot_be_written_keeps_the_notes(path, keys):
    path.mkdir()
    store = Identities(path, keys[0], SECRET)
    store.note("abcdefgh", ADDRESS, MAC, NOON)
    store.write(NOON)
    assert store.failures == 1
    path.rmdir()
    store.write(NOON)
    assert rows(path) == 1


def test_nothing_of_the_device_is_readable_in_the_store_the_outbox_or_the_log(path, keys, tmp_path, lookup):
    folder = tmp_path / "outbox"
    folder.mkdir()
    store = Identities(path, keys[0], SECRET)
    recorder = Recorder()
    with structlog.testing.capture_logs() as logged:
        writer = Writer(
            recorder,
            Outbox(folder / "dns.outbox"),
            Noting(Pseudonyms(SECRET), store),
            after=store.write,
            settings=WriterSettings(interval=0.005, slow_interval=0.02),
        )
        writer.start()
        recorder.blocked(*lookup(client=ADDRESS, mac=MAC))
        assert writer.stop()
    reader = OutboxReader(folder / "dns.outbox")
    ((_, payload),) = reader.load(max_batches=5, max_bytes=10**6).batches
    reader.close()
    store.write(int(time.time()))
    pseudonym = json.loads(payload)["events"][0]["pseudonym"]
    (device,) = look_up(path, pseudonym, keys[1])
    written = (
        b"".join(file.read_bytes() for file in (path, *folder.iterdir())) + payload + str(logged).encode()
    )
    assert b"www.example.kz" in written
    for trace in TRACES:
        assert trace not in written
    assert device.mac == MAC.hex(":")


def test_keys_are_files_for_their_owner_and_never_overwritten(tmp_path):
    file = tmp_path / "a.key"
    public = new_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(public) == identities.KEY_BYTES
    with pytest.raises(StartError, match="cannot make"):
        new_key(file)


@pytest.mark.parametrize("text", ["zz", "ab", "00" * 31, ("11" * 32 + "\n") * 5, "ключ"])
def test_a_file_that_holds_no_keys(tmp_path, text):
    file = tmp_path / "release.keys"
    file.write_text(text)
    with pytest.raises(StartError, match="holds no keys"):
        read_keys(file)


def test_no_file_of_keys_is_no_key_and_no_store_an_error(tmp_path):
    assert read_keys(tmp_path / "none") == []
    with pytest.raises(IdentityError, match="there is no"):
        look_up(tmp_path / "none", "abcdefgh", [])

from __future__ import annotations

import re
import stat
import threading
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import StartError
from filterd.events.pseudonym import Pseudonyms, load_secret, rotate_secret, school_term

AT = 1_760_000_123  # October 2025
CLIENT = b"\x0a\x00\x00\x07"
MAC = b"\x02\x00\x00\x00\x00\x01"


@pytest.mark.parametrize(
    ("day", "term"),
    [
        (date(2025, 9, 1), "2025/1"),
        (date(2025, 10, 31), "2025/1"),
        (date(2025, 11, 1), "2025/2"),
        (date(2025, 12, 31), "2025/2"),
        (date(2026, 1, 1), "2025/3"),
        (date(2026, 3, 21), "2025/3"),
        (date(2026, 3, 22), "2025/4"),
        (date(2026, 8, 31), "2025/4"),
        (date(2026, 9, 1), "2026/1"),
    ],
)
def test_terms(day, term):
    assert school_term(day) == term


def test_the_form_is_the_schemas():
    assert re.fullmatch(r"[a-z2-7]{16}", Pseudonyms(b"s" * 32)(CLIENT, None, AT))


def test_the_mac_counts_and_the_address_does_not_when_both_are_known():
    name = Pseudonyms(b"s" * 32)
    assert name(CLIENT, MAC, AT) == name(b"\x0a\x00\x00\x08", MAC, AT)
    assert name(CLIENT, MAC, AT) != name(CLIENT, None, AT)


def test_a_mapped_address_is_the_ipv4_address():
    name = Pseudonyms(b"s" * 32)
    assert name(b"\x00" * 10 + b"\xff\xff" + CLIENT, None, AT) == name(CLIENT, None, AT)


def test_another_secret_or_term_is_another_pseudonym():
    name, other = Pseudonyms(b"s" * 32), Pseudonyms(b"t" * 32)
    assert name(CLIENT, None, AT) != other(CLIENT, None, AT)
    november = int(datetime(2025, 11, 10, tzinfo=UTC).timestamp())
    assert name(CLIENT, None, AT) != name(CLIENT, None, november)
    assert name(CLIENT, None, AT) == Pseudonyms(b"s" * 32)(CLIENT, None, AT)


def test_a_term_begins_at_midnight_of_the_school():
    name = Pseudonyms(b"s" * 32)
    midnight = int(datetime(2025, 10, 31, 19, 0, tzinfo=UTC).timestamp())  # 1 November 00:00, UTC+5
    assert name(CLIENT, None, midnight - 1) == name(CLIENT, None, AT)
    assert name(CLIENT, None, midnight) != name(CLIENT, None, AT)
    assert name(CLIENT, None, midnight - 1) == name(CLIENT, None, AT)  # a clock set back


def test_a_calendar_of_the_school():
    name = Pseudonyms(b"s" * 32, calendar=str)
    assert name(CLIENT, None, AT) != name(CLIENT, None, AT + 86400)


def test_what_is_remembered_is_bounded():
    name = Pseudonyms(b"s" * 32, max_cached=10)
    first = [name(bytes((10, 0, 0, n)), None, AT) for n in range(100)]
    assert len(name._cached) <= 10
    assert first == [name(bytes((10, 0, 0, n)), None, AT) for n in range(100)]
    assert len(set(first)) == 100


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_memory_changes_nothing(client):
    one, two = Pseudonyms(b"s" * 32), Pseudonyms(b"s" * 32, max_cached=1)
    two(b"\x01\x02\x03\x04", None, AT)
    assert one(client, None, AT) == two(client, None, AT) == one(client, None, AT)


def test_the_secret_is_made_once_and_for_the_owner_only(tmp_path):
    path = tmp_path / "state" / "box.secret"
    secret = load_secret(path)
    assert len(secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secret(path) == secret
    assert [entry.name for entry in path.parent.iterdir()] == ["box.secret"]


def test_workers_that_start_together_get_the_same_secret(tmp_path):
    found: set[bytes] = set()
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.add(load_secret(tmp_path / "box.secret"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_a_secret_that_others_can_read_is_closed_to_them(tmp_path):
    path = tmp_path / "box.secret"
    path.write_bytes(b"s" * 32)
    path.chmod(0o644)
    assert load_secret(path) == b"s" * 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"l" * 33])
def test_a_file_that_is_no_secret_is_an_error_with_a_remedy(tmp_path, content):
    path = tmp_path / "box.secret"
    path.write_bytes(content)
    with pytest.raises(StartError, match="32 bytes") as caught:
        load_secret(path)
    assert caught.value.remedy


def test_a_place_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartError) as caught:
        load_secret(tmp_path / "file" / "box.secret")
    assert caught.value.remedy


def test_another_secret_gives_other_pseudonyms_from_the_next_call_on():
    pseudonyms = Pseudonyms(b"s" * 32)
    at, address = 1_760_000_000, b"\x0a\x00\x00\x07"
    before = pseudonyms(address, None, at)
    pseudonyms.renew(b"t" * 32)
    assert pseudonyms(address, None, at) == Pseudonyms(b"t" * 32)(address, None, at) != before


def test_a_rotated_secret_is_another_whole_one_and_no_copy_is_left(tmp_path):
    path = tmp_path / "box.secret"
    before = load_secret(path)
    rotate_secret(path)
    assert load_secret(path) != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["box.secret"]


def test_a_secret_that_cannot_be_rotated_says_what_to_do(tmp_path):
    (tmp_path / "a file").write_text("")
    with pytest.raises(StartError, match="run as the user"):
        rotate_secret(tmp_path / "a file" / "box.secret")

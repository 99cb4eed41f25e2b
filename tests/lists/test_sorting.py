"""Records come back sorted and once, however few fit in memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.lists.sorting import Sorter
from filterd.rules.index import key
from filterd.wire import names


@settings(max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=8), max_size=60),
    st.integers(1, 70),
)
def test_any_records_with_any_room(records: list[bytes], run: int):
    dropped: list[bytes] = []
    with TemporaryDirectory() as folder:
        sorter = Sorter(Path(folder), dropped.append, run=run)
        sorter.extend(records)
        assert list(sorter.merged()) == sorted(set(records))
    assert Counter(dropped) == Counter(records) - Counter(set(records))


def test_several_lists_go_into_one_sorter(tmp_path: Path):
    sorter = Sorter(tmp_path, lambda _record: None, run=3)
    sorter.extend([b"d", b"b"])
    sorter.extend([b"c", b"a", b"e"])
    assert (sorter.count, sorter.size) == (5, 5)
    assert list(sorter.merged()) == [b"a", b"b", b"c", b"d", b"e"]


def test_a_long_run_is_written_in_blocks(tmp_path: Path):
    records = [number.to_bytes(4, "big") for number in range(20_000)]
    sorter = Sorter(tmp_path, lambda _record: None, run=15_000)
    sorter.extend(reversed(records))
    assert list(sorter.merged()) == records
    assert len(list(tmp_path.iterdir())) == 2


def test_small_lists_need_no_disk(tmp_path: Path):
    sorter = Sorter(tmp_path / "does-not-exist", lambda _record: None)
    sorter.extend([b"b", b"a"])
    assert list(sorter.merged()) == [b"a", b"b"]


def test_a_disk_that_fails_is_an_os_error(tmp_path: Path):
    sorter = Sorter(tmp_path / "does-not-exist", lambda _record: None, run=1)
    with pytest.raises(OSError, match="No such file"):
        sorter.extend([b"a"])


@given(
    st.lists(
        st.from_regex(r"[a-c0-9-]{1,3}(\.[a-c-]{1,3}){0,3}", fullmatch=True).map(names.from_text),
        min_size=2,
        unique=True,
    )
)
def test_records_sort_as_their_keys_do(listed: list[bytes]):
    records = sorted(key(name) + b"\x00tail" for name in listed)
    assert [record[:-5] for record in records] == sorted(key(name) for name in listed)

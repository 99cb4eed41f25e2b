"""The index file: complete, synced and read-only, or not there."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from filterd.errors import DomainIndexError
from filterd.lists.building import IndexWriter, sync
from filterd.rules.index import SUBTREE, Entry, Index, encode, key
from filterd.rules.listinfo import META_KEY, write_meta
from filterd.wire import names


def items(count: int) -> list[tuple[bytes, bytes]]:
    listed = [names.from_text(f"host-{number}.example.com") for number in range(count)]
    return sorted((key(name), encode([Entry(0, 3, SUBTREE)])) for name in listed)


def build(path: Path, listed: list[tuple[bytes, bytes]]) -> int:
    size = sum(len(name) + len(value) for name, value in listed)
    with IndexWriter(path, names=len(listed), size=size) as writer:
        steps = list(writer.write(listed))
        assert steps == sorted(steps)
        return writer.finish(META_KEY, write_meta("v", 1, len(listed), ()))


def test_what_is_written_is_found(tmp_path: Path):
    path = tmp_path / "index.mdb"
    size = build(path, items(250_001))
    assert size == path.stat().st_size
    index = Index.open(path)
    assert index.names == 250_001
    assert index.lookup(names.from_text("x.host-17.example.com"))
    assert not index.lookup(names.from_text("example.com"))
    index.close()


def test_the_file_is_read_only_and_alone(tmp_path: Path):
    path = tmp_path / "index.mdb"
    build(path, items(10))
    assert path.stat().st_mode & 0o222 == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.mdb"]


def test_an_empty_index_is_an_index(tmp_path: Path):
    build(tmp_path / "index.mdb", [])
    index = Index.open(tmp_path / "index.mdb")
    assert index.lookup(names.from_text("example.com")) == ()
    index.close()


def test_the_map_fits_long_names_and_long_values(tmp_path: Path):
    entries = [Entry(number, 3, SUBTREE) for number in range(900)]
    long = [
        (key(names.from_text(".".join([f"{number:060d}"] * 4))), encode(entries[: number % 900 + 1]))
        for number in range(2000)
    ]
    build(tmp_path / "index.mdb", sorted(long))


def test_an_interrupted_build_leaves_nothing(tmp_path: Path):
    def write_and_fail() -> None:
        with IndexWriter(tmp_path / "index.mdb", names=10, size=1000) as writer:
            list(writer.write(items(10)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_names_out_of_order_are_an_error(tmp_path: Path):
    with (
        pytest.raises(DomainIndexError),
        IndexWriter(tmp_path / "index.mdb", names=2, size=100) as writer,
    ):
        list(writer.write(items(3)[::-1]))


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(DomainIndexError, match="check free space"):
        IndexWriter(tmp_path / "none" / "index.mdb", names=1, size=1)


def test_a_file_too_small_for_what_comes_is_an_error(tmp_path: Path):
    with (
        pytest.raises(DomainIndexError, match="cannot be written"),
        IndexWriter(tmp_path / "index.mdb", names=1, size=1) as writer,
    ):
        list(writer.write(items(300_000)))


def test_sync_reports_what_it_cannot_do(tmp_path: Path):
    sync(tmp_path)
    with pytest.raises(OSError, match="none"):
        sync(tmp_path / "none")


def test_the_file_opens_for_anybody_who_reads_lmdb(tmp_path: Path):
    path = tmp_path / "index.mdb"
    build(path, items(3))
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment:
        assert environment.stat()["entries"] == 4

"""Versions beside each other, one in use, switched at once, and never a damaged one."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from filterd.errors import DomainIndexError, ListError
from filterd.lists import activate
from filterd.lists.building import IndexWriter
from filterd.rules.index import SUBTREE, Entry, Index, encode, key
from filterd.rules.listinfo import META_KEY, write_meta
from filterd.wire import names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lists"


def make(folder: Path, listed: str = "a.example") -> str:
    """Install one more version that lists one name."""
    version = f"{activate.next_sequence(folder):06d}-0123abcd"
    with activate.building(folder) as place:
        with IndexWriter(place / activate.INDEX, names=1, size=100) as writer:
            list(writer.write([(key(names.from_text(listed)), encode([Entry(0, 3, SUBTREE)]))]))
            writer.finish(META_KEY, write_meta(version, 1, 1, ()))
        activate.install(folder, place, version)
    return version


def test_before_the_first_version(folder: Path):
    assert activate.versions(folder) == ()
    assert activate.current(folder) is None
    assert activate.current_version(folder) is None
    assert activate.next_sequence(folder) == 1


def test_a_version_is_in_use_once_it_is_activated(folder: Path):
    version = make(folder)
    assert activate.versions(folder) == ("000001-0123abcd",)
    assert activate.current(folder) is None
    assert activate.activate(folder, version) == folder / version / "index.mdb"
    assert activate.current(folder) == folder / version / "index.mdb"
    assert (folder / "current").is_symlink()
    assert (folder / "current" / "index.mdb").is_file()


def test_what_is_mapped_stays_valid_through_a_switch_and_a_removal(folder: Path):
    first = make(folder, "first.example")
    index = Index.open(activate.activate(folder, first))
    for _ in range(4):
        activate.activate(folder, make(folder, "later.example"))
    assert activate.prune(folder, 1) == tuple(f"{number:06d}-0123abcd" for number in (1, 2, 3, 4))
    assert index.lookup(names.from_text("first.example"))
    index.close()


def test_going_back(folder: Path):
    first, second = make(folder), make(folder)
    activate.activate(folder, second)
    assert activate.roll_back(folder) == first
    assert activate.current_version(folder) == first
    with pytest.raises(ListError, match="no older version"):
        activate.roll_back(folder)


def test_going_back_before_the_first(folder: Path):
    with pytest.raises(ListError, match="no older version"):
        activate.roll_back(folder)


def test_a_damaged_version_is_never_switched_to(folder: Path):
    good, bad = make(folder), make(folder)
    activate.activate(folder, good)
    path = folder / bad / "index.mdb"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DomainIndexError):
        activate.activate(folder, bad)
    assert activate.current_version(folder) == good


def test_an_unknown_version(folder: Path):
    make(folder)
    with pytest.raises(ListError, match="there are: 000001-0123abcd"):
        activate.activate(folder, "000002-0123abcd")


def test_old_versions_go_but_never_the_one_in_use(folder: Path):
    versions = [make(folder) for _ in range(5)]
    activate.activate(folder, versions[0])
    assert activate.prune(folder) == (versions[1],)
    assert activate.versions(folder) == (versions[0], *versions[2:])
    assert activate.next_sequence(folder) == 6


def test_numbers_sort_as_numbers(folder: Path):
    for name in ("1000000-0123abcd", "999999-0123abcd", "000009-0123abcd", "nonsense", ".building-x"):
        (folder / name).mkdir(parents=True)
    assert activate.versions(folder) == ("000009-0123abcd", "999999-0123abcd", "1000000-0123abcd")


def test_only_one_build_at_a_time(folder: Path):
    with (
        activate.building(folder),
        pytest.raises(ListError, match="another compilation is running"),
        activate.building(folder),
    ):
        pass


def test_an_interrupted_build_is_cleared(folder: Path):
    left = folder / ".building-dead"
    left.mkdir(parents=True)
    (left / "index.mdb").write_bytes(b"half")
    (folder / ".current-123").symlink_to("nowhere")
    with activate.building(folder) as place:
        assert place.is_dir()
        assert not left.exists()
    assert [entry.name for entry in folder.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ListError, match="cannot be used"), activate.building(tmp_path / "file" / "lists"):
        pass


def test_a_link_to_nothing_is_no_version(folder: Path):
    folder.mkdir()
    (folder / "current").symlink_to("gone")
    assert activate.current(folder) is None


def read_for_a_while(folder: Path, stop, results) -> None:
    seen = set()
    while not stop.is_set():
        path = activate.current(folder)
        if path is None:
            seen.add("nothing")
            continue
        index = Index.open(path)
        seen.add(index.version)
        index.close()
    results.put(seen)


def test_a_reader_never_sees_nothing_while_versions_change(folder: Path):
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    activate.activate(folder, make(folder))
    reader = context.Process(target=read_for_a_while, args=(folder, stop, results))
    reader.start()
    for _ in range(30):
        activate.activate(folder, make(folder))
    stop.set()
    seen = results.get(timeout=30)
    reader.join(timeout=30)
    assert "nothing" not in seen
    assert seen <= set(activate.versions(folder))

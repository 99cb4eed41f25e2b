from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import DomainIndexError
from filterd.rules.index import BELOW, EXACT, SUBTREE, Entry, Index, Match, decode, encode, key
from filterd.rules.listinfo import META_KEY, ListInfo
from filterd.wire.names import from_labels, from_text, labels

BuildIndex = Callable[..., Path]

entry = st.builds(
    Entry,
    list_no=st.integers(0, 0xFFFF),
    category=st.integers(0, 63),
    scope=st.sampled_from([EXACT, SUBTREE, BELOW]),
    allow=st.booleans(),
    important=st.booleans(),
)
# Few labels and few lists, so that names are often each other's parents and entries often of one list.
label = st.sampled_from([b"a", b"b", b"aa", b"ab", b"\x02a", b"\xff", b"\xff\xff", b"a" * 63])
name = st.lists(label, min_size=1, max_size=3).map(from_labels)
near_entry = st.builds(
    Entry,
    list_no=st.integers(0, 2),
    category=st.integers(0, 1),
    scope=st.sampled_from([EXACT, SUBTREE, BELOW]),
    allow=st.booleans(),
    important=st.booleans(),
)
listed = st.dictionaries(name, st.lists(near_entry, min_size=1, max_size=4), max_size=12)


def reference(listed: dict[bytes, list[Entry]], asked: bytes) -> set[Match]:
    """The meaning of an index in the plainest words: look at everything."""
    found = set()
    asked_labels = labels(asked)
    for listed_name, entries in listed.items():
        own = labels(listed_name)
        if asked_labels[-len(own) :] != own:
            continue
        same = len(own) == len(asked_labels)
        for one in entries:
            covers = {EXACT: same, SUBTREE: True, BELOW: not same}[one.scope]
            if covers:
                found.add(Match(listed_name, one))
    standing = set()
    for match in found:
        if match.entry.allow:
            continue
        exceptions = [
            other.entry for other in found if other.entry.allow and other.entry.list_no == match.entry.list_no
        ]
        if match.entry.important:
            exceptions = [other for other in exceptions if other.important]
        if not exceptions:
            standing.add(match)
    return standing


@given(st.lists(entry, max_size=30))
def test_codec_gives_back_what_went_in(entries: list[Entry]) -> None:
    value = encode(entries)
    assert len(value) == 4 * len(set(entries))
    assert set(decode(value)) == set(entries)
    assert encode(reversed(entries)) == value  # the same entries are the same bytes


@given(st.binary(max_size=40))
def test_decode_never_fails_otherwise_than_with_its_own_error(value: bytes) -> None:
    try:
        entries = decode(value)
    except DomainIndexError:
        return
    assert set(decode(encode(entries))) == set(entries)


@given(name, name)
def test_key_of_a_parent_is_a_prefix_and_only_of_a_parent(one: bytes, other: bytes) -> None:
    is_parent = labels(other)[-len(labels(one)) :] == labels(one)
    assert key(other).startswith(key(one)) == is_parent


def test_key_reads_from_the_right() -> None:
    assert key(from_text("www.example.kz")) == b"\x02kz\x07example\x03www"


@given(listed, st.lists(name, max_size=8))
def test_lookup_agrees_with_looking_at_everything(
    listed: dict[bytes, list[Entry]], asked: list[bytes]
) -> None:
    index = Index.of(listed)
    for one in [*asked, *listed]:
        found = index.lookup(one)
        assert set(found) == reference(listed, one)
        assert len(set(found)) == len(found)
        assert [len(match.name) for match in found] == sorted(
            (len(match.name) for match in found), reverse=True
        )


def test_file_agrees_with_memory(tmp_path: Path, build_index: BuildIndex) -> None:
    chance = random.Random(8)
    parts = [b"a", b"b", b"kz", b"xn--80a", b"\xff", b"\x01", b"www", b"m" * 63]

    def some_name() -> bytes:
        return from_labels([chance.choice(parts) for _ in range(chance.randint(1, 4))])

    listed = {
        some_name(): [
            Entry(chance.randrange(4), chance.randrange(3), chance.randrange(3), chance.random() < 0.2)
            for _ in range(chance.randint(1, 3))
        ]
        for _ in range(800)
    }
    memory = Index.of(listed)
    file = Index.open(build_index(tmp_path / "index.mdb", listed))
    for asked in [*listed, *(some_name() for _ in range(2000))]:
        assert file.lookup(asked) == memory.lookup(asked)
        assert file.candidates(asked) == memory.candidates(asked)
    file.close()


def test_labels_are_compared_whole() -> None:
    # www.foo + com prints like www + foo + com: a way round filters that compare text.
    index = Index.of({from_text("foo.com"): [Entry(1, 0, SUBTREE)]})
    assert index.lookup(from_text("www.foo.com"))
    assert not index.lookup(from_labels([b"www.foo", b"com"]))
    assert not index.lookup(from_text("barfoo.com"))
    assert not index.lookup(from_text("com"))
    assert not index.lookup(b"\0")


@pytest.mark.parametrize(
    ("scope", "itself", "below"), [(EXACT, True, False), (SUBTREE, True, True), (BELOW, False, True)]
)
def test_scopes(scope: int, itself: bool, below: bool) -> None:
    index = Index.of({from_text("example.kz"): [Entry(1, 4, scope)]})
    assert bool(index.lookup(from_text("example.kz"))) is itself
    assert bool(index.lookup(from_text("a.b.example.kz"))) is below
    assert not index.lookup(from_text("kz"))


def test_an_exception_cancels_its_own_list_only() -> None:
    index = Index.of(
        {
            from_text("bad.kz"): [Entry(1, 4, SUBTREE), Entry(2, 5, SUBTREE)],
            from_text("good.bad.kz"): [Entry(1, 4, SUBTREE, allow=True)],
        }
    )
    assert {match.entry.list_no for match in index.lookup(from_text("bad.kz"))} == {1, 2}
    assert {match.entry.list_no for match in index.lookup(from_text("x.good.bad.kz"))} == {2}
    assert len(index.candidates(from_text("x.good.bad.kz"))) == 3


def test_important_entries_stand_against_plain_exceptions() -> None:
    plain, strong = from_text("a.kz"), from_text("b.kz")
    index = Index.of(
        {
            plain: [Entry(1, 4, SUBTREE, important=True), Entry(1, 5, EXACT), Entry(1, 4, EXACT, allow=True)],
            strong: [
                Entry(1, 4, SUBTREE, important=True),
                Entry(1, 4, EXACT, allow=True, important=True),
            ],
        }
    )
    assert [match.entry.category for match in index.lookup(plain)] == [4]
    assert index.lookup(strong) == ()
    assert len(index.lookup(from_text("x.b.kz"))) == 1


def test_a_listed_top_label_is_found() -> None:
    index = Index.of({from_text("zip"): [Entry(1, 24, SUBTREE)], from_text("a.kz"): [Entry(1, 24, SUBTREE)]})
    assert index.lookup(from_text("anything.zip"))
    assert not index.lookup(from_text("b.kz"))


def test_what_an_index_says_of_itself(tmp_path: Path, build_index: BuildIndex) -> None:
    info = ListInfo(
        3,
        "ut1-vpn",
        "bypass",
        "public",
        licence="CC-BY-SA-4.0",
        entries=7,
        rejected=2,
        sha256="ab",
        fetched_at=5,
        title="VPN",
    )
    own = ListInfo(4, "local-doh", "doh", "local")
    path = build_index(
        tmp_path / "index.mdb", {from_text("a.kz"): [Entry(3, 21, SUBTREE)]}, [info, own], "20260101-abc"
    )
    index = Index.open(path)
    assert (index.version, index.names, index.built_at) == ("20260101-abc", 1, 1_700_000_000)
    assert index.lists == {3: info, 4: own}
    assert index.public == {3}
    index.close()


def test_empty_index_answers_nothing() -> None:
    index = Index.empty()
    assert index.lookup(from_text("www.example.kz")) == ()
    assert index.names == 0
    assert not index.lists


def test_opened_twice_in_a_process_and_closed_once(tmp_path: Path, build_index: BuildIndex) -> None:
    path = build_index(tmp_path / "index.mdb", {from_text("a.kz"): [Entry(1, 4, SUBTREE)]})
    (tmp_path / "current").symlink_to(path)
    first, second = Index.open(path), Index.open(tmp_path / "current")
    first.close()
    assert second.lookup(from_text("a.kz"))
    for asked in ("a.kz", "never.example"):
        with pytest.raises(DomainIndexError, match="closed"):
            first.lookup(from_text(asked))
    second.close()
    third = Index.open(path)
    assert third.lookup(from_text("a.kz"))
    third.close()


def _lookup_there(path: Path, asked: bytes) -> int:
    return len(Index.open(path).lookup(asked))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_several_processes_read_one_file(tmp_path: Path, build_index: BuildIndex, method: str) -> None:
    asked = from_text("www.a.kz")
    path = build_index(tmp_path / "index.mdb", {from_text("a.kz"): [Entry(1, 4, SUBTREE)]})
    here = Index.open(path)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(_lookup_there, [(path, asked)] * 4) == [1] * 4
    assert len(here.lookup(asked)) == 1
    here.close()


def test_replacing_the_file_leaves_the_open_index_as_it_was(tmp_path: Path, build_index: BuildIndex) -> None:
    current = tmp_path / "current"
    old = build_index(tmp_path / "1.mdb", {from_text("old.kz"): [Entry(1, 4, SUBTREE)]})
    new = build_index(tmp_path / "2.mdb", {from_text("new.kz"): [Entry(1, 4, SUBTREE)]})
    current.symlink_to(old)
    first = Index.open(current)
    (tmp_path / "next").symlink_to(new)
    (tmp_path / "next").rename(current)
    old.unlink()
    second = Index.open(current)
    assert first.lookup(from_text("old.kz"))
    assert not second.lookup(from_text("old.kz"))
    assert second.lookup(from_text("new.kz"))
    first.close()
    second.close()


def test_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DomainIndexError, match="lists compile"):
        Index.open(tmp_path / "none.mdb")


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 100, b"not an index\n" * 5000])
def test_a_file_that_is_no_index(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index.mdb"
    path.write_bytes(content)
    with pytest.raises(DomainIndexError):
        Index.open(path)


def test_a_file_cut_short_is_refused_before_it_is_read(tmp_path: Path, build_index: BuildIndex) -> None:
    listed = {from_text(f"host{number}.example.kz"): [Entry(1, 4, SUBTREE)] for number in range(3000)}
    whole = build_index(tmp_path / "whole.mdb", listed).read_bytes()
    for part in range(1, 20):
        path = tmp_path / f"cut{part}.mdb"
        path.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(DomainIndexError):
            Index.open(path)


@pytest.mark.parametrize(
    "meta",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"format": 2, "version": "v", "built_at": 0, "names": 0, "lists": []}',
        b'{"format": 1, "version": "v", "built_at": 0, "names": 0, "lists": [{"no": "x"}]}',
        b'{"format": 1, "version": "v", "built_at": null, "names": 0, "lists": []}',
    ],
)
def test_another_lmdb_file_or_format(tmp_path: Path, meta: bytes | None) -> None:
    path = tmp_path / "index.mdb"
    with (
        lmdb.open(str(path), subdir=False, map_size=1 << 20, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"\x01a", b"value")
        if meta is not None:
            transaction.put(META_KEY, meta)
    with pytest.raises(DomainIndexError):
        Index.open(path)


@pytest.mark.realdata
def test_a_real_list_is_found_again_and_nothing_else(
    realdata: Path, tmp_path: Path, build_index: BuildIndex
) -> None:
    listed = {}
    for line in (realdata / "lists/ut1/gambling/domains").read_text("utf-8", "ignore").split():
        if all(0 < len(part) < 64 for part in line.encode().split(b".")):
            listed[from_labels(line.encode().split(b"."))] = [Entry(1, 4, SUBTREE)]
    index = Index.open(build_index(tmp_path / "index.mdb", listed, [ListInfo(1, "x", "gambling", "public")]))
    assert index.names > 30_000
    assert all(any(match.name == one for match in index.lookup(one)) for one in listed)
    for line in (realdata / "queries/kz-sites.tsv").read_text().splitlines():
        asked = from_text(line.split("\t")[0].strip())
        assert set(index.lookup(asked)) == {
            Match(one, listed[one][0]) for one in _suffixes(asked) if one in listed
        }
    index.close()


def _suffixes(asked: bytes) -> list[bytes]:
    parts = labels(asked)
    return [from_labels(parts[start:]) for start in range(len(parts))]

"""What the report says lists are worth: alone, shared, covered from above; and where they err."""

from __future__ import annotations

from pathlib import Path

import pytest

from filterd.lists.compile import compile_lists
from filterd.lists.gate import Guarded
from filterd.lists.hygiene import Surprise, surprises, worths
from filterd.lists.popular import Popular
from filterd.rules.index import Index
from filterd.wire import names


@pytest.fixture
def built(tmp_path: Path, categories):
    """Return a function that compiles lists and returns the index's file and its lists."""

    def built(*lists):
        target = tmp_path / "index.mdb"
        compile_lists(lists, categories, target, now=0)
        index = Index.open(target)
        infos = tuple(index.lists.values())
        index.close()
        del index
        return target, infos

    return built


def test_what_others_cover_is_told_from_what_a_list_has_alone(material, built):
    path, infos = built(
        material("big", text="a.example\nb.example\nwide.example\n"),
        material("small", text="a.example\nhost.wide.example\nown.example\n"),
        material("other", text="a.example\nwide.example\n", category="malware"),
    )
    big, small, other = worths(path, infos)
    assert (big.names, big.alone, big.shared) == (3, 2, (("small", 1),))
    assert (small.names, small.alone, small.shared) == (3, 1, (("big", 2),))
    assert (other.names, other.alone, other.shared) == (2, 2, ()), "another category is no overlap"
    assert big.blocks is None
    assert not small.adds_little


def test_exact_entries_cover_nothing_below_them_and_exceptions_are_no_entries(material, built):
    path, infos = built(
        material("exact", text="=wide.example\n"),
        material("ads", "adblock", "||x.example^\n@@||good.x.example^\n"),
        material("below", text="host.wide.example\ngood.x.example\n"),
    )
    exact, ads, below = worths(path, infos)
    assert (exact.alone, ads.names, below.alone, below.shared) == (1, 1, 1, (("ads", 1),))


def test_a_list_that_others_cover_adds_next_to_nothing(material, built):
    path, infos = built(
        material("big", text="".join(f"{n}.example\n" for n in range(200))),
        material("copy", text="".join(f"{n}.example\n" for n in range(199))),
    )
    assert [one.adds_little for one in worths(path, infos)] == [True, True]


def test_the_share_of_real_blocks(material, built):
    path, infos = built(material("one", text="a.example\n"), material("two", text="b.example\n"))
    found = worths(path, infos, {"one": 30, "left": 70})
    assert [(one.id, one.blocks, one.share) for one in found] == [("one", 30, 0.3), ("two", 0, 0.0)]


def test_names_that_hardly_belong_there(material, categories, built):
    far = {"origin": "public", "homepage": "https://x.example"}
    path, _ = built(
        material("edu", text="school.example\n", category="allow_edu"),
        material("far", text="school.example\nsearch.example\nvideo.example\nodd.example\n", **far),
        material("near", text="search.example\n"),
    )
    popular = {
        names.from_text("www.search.example"): frozenset(),
        names.from_text("video.example"): frozenset({"gambling"}),
    }
    guarded = Guarded(open={names.from_text("school.example"): "edu"}, popular=Popular(popular))
    index = Index.open(path)
    assert surprises(index, guarded, categories) == (
        Surprise("www.search.example", "far", "gambling", "search.example", "popular", lifted=False),
        Surprise("school.example", "far", "gambling", "school.example", "edu", lifted=True),
    )
    index.close()

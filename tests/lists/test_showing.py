"""What show and find tell of the catalogue and the index in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from filterd.errors import BadName
from filterd.lists import activate
from filterd.lists.catalogue import Catalogue, ListSource
from filterd.lists.compile import compile_lists
from filterd.lists.showing import Hit, canary, find, show
from filterd.wire import names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lists"


@pytest.fixture
def build(folder: Path, categories):
    def build(*materials) -> None:
        with activate.building(folder) as place:
            report = compile_lists(
                materials, categories, place / activate.INDEX, now=5, sequence=activate.next_sequence(folder)
            )
            activate.install(folder, place, report.version)
        activate.activate(folder, report.version)

    return build


def test_before_the_first_compilation_everything_has_no_source(material, categories, folder: Path):
    shown = show(Catalogue(sources=[material().source]), categories, folder)
    assert (shown.version, shown.names, shown.others) == ("", 0, ())
    assert [(one.id, one.enabled, one.compiled) for one in shown.lists] == [("one", True, False)]
    assert shown.uncovered == ("csam", "gambling", "malware", "allow_edu")


def test_lists_of_the_catalogue_and_lists_that_left_it(material, categories, folder: Path, build):
    betting = material("betting", text="bet.example\n1.2.3.4\n")
    left = material("left", text="bad.example\n", category="malware")
    build(betting, left)
    build(betting, left)
    off = ListSource(
        id="off",
        title="Off",
        url="https://x.example",
        format="auto",
        category="csam",
        origin="public",
        licence="MIT",
        enabled=False,
    )
    shown = show(Catalogue(sources=[betting.source, off]), categories, folder)
    assert [(one.id, one.enabled, one.compiled, one.entries, one.rejected) for one in shown.lists] == [
        ("betting", True, True, 1, 1),
        ("off", False, False, 0, 0),
        ("left", False, True, 1, 0),
    ]
    assert shown.version[:6] == "000002"
    assert [one[:6] for one in shown.others] == ["000001"]
    assert shown.uncovered == ("csam", "allow_edu")


def test_a_canary_alone_is_no_source(material, categories, folder: Path, build):
    build(
        material("one", text="gambling.canary.filterd.test\n"),
        material("two", text="malware.canary.filterd.test\nbad.example\n", category="malware"),
    )
    shown = show(Catalogue(sources=[]), categories, folder)
    assert shown.uncovered == ("csam", "gambling", "allow_edu")


def test_canaries_are_host_names():
    assert canary("allow_edu") == names.from_text("allow-edu.canary.filterd.test")


def test_find_tells_every_entry_and_whether_it_stands(material, categories, folder: Path, build):
    build(
        material("ads", "adblock", "||a.example^\n@@||good.a.example^\n"),
        material("bad", "domains", "=good.a.example\n", category="malware"),
    )
    assert find("GOOD.a.example.", categories, folder) == (
        Hit("ads", "Ads", "gambling", "local", "good.a.example", "subtree", True, False, False),
        Hit("bad", "Bad", "malware", "local", "good.a.example", "exact", False, False, True),
        Hit("ads", "Ads", "gambling", "local", "a.example", "subtree", False, False, False),
    )
    assert find("elsewhere.example", categories, folder) == ()


def test_find_never_displays_names_of_illegal_content(material, categories, folder: Path, build):
    build(material("secret", text="hidden.example\n", category="csam"))
    (hit,) = find("www.hidden.example", categories, folder)
    assert (hit.category, hit.listed, hit.applies) == ("csam", None, True)


def test_find_before_the_first_compilation(categories, folder: Path):
    assert find("example.com", categories, folder) == ()


def test_find_of_what_is_no_name(categories, folder: Path):
    with pytest.raises(BadName):
        find("a..b", categories, folder)

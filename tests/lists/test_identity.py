"""What makes one index another."""

from __future__ import annotations

from pathlib import Path

import pytest

from filterd.errors import ListError
from filterd.lists import activate
from filterd.lists.catalogue import ListSource, Material
from filterd.lists.compile import compile_lists
from filterd.lists.identity import content_of, expected


def is_current(lists, categories, folder: Path) -> bool:
    version = activate.current_version(folder)
    return version is not None and content_of(version) == expected(lists, categories)


@pytest.fixture
def build(tmp_path: Path, categories):
    def build(materials) -> Path:
        folder = tmp_path / "lists"
        with activate.building(folder) as place:
            report = compile_lists(materials, categories, place / activate.INDEX, now=1, sequence=1)
            activate.install(folder, place, report.version)
        activate.activate(folder, report.version)
        return folder

    return build


def test_nothing_is_current_before_the_first_build(material, categories, tmp_path: Path):
    assert not is_current([material()], categories, tmp_path / "lists")


def test_lists_of_every_kind_are_recognised(material, categories, build, tmp_path: Path):
    folder = tmp_path / "ut1"
    folder.mkdir()
    (folder / "domains").write_text("b.example\n")
    (folder / "expressions").write_text("x\n")
    far = ListSource(
        id="far",
        title="F",
        url="https://x.example",
        format="auto",
        category="malware",
        origin="public",
        licence="MIT",
    )
    lists = [
        material("one", text="a.example\n"),
        Material(material("two", "ut1").source, folder),
        Material(far, None),
    ]
    state = build(lists)
    assert is_current(lists, categories, state)
    (folder / "urls").write_text("c.example/x\n")
    assert not is_current(lists, categories, state)


def test_a_change_of_the_entry_is_a_change(material, categories, build):
    state = build([material("one", text="a.example\n")])
    assert is_current([material("one", text="a.example\n")], categories, state)
    assert not is_current([material("one", text="a.example\n", category="malware")], categories, state)
    assert not is_current([material("one", text="a.example\n", scope="exact")], categories, state)


def test_what_an_entry_says_of_fetching_is_no_change(material, categories, build):
    one = material("one", text="a.example\n")
    state = build([one])
    moved = one.source.model_copy(update={"enabled": False, "homepage": "https://x.example"})
    assert is_current([Material(moved, one.path)], categories, state)


def test_a_text_without_a_file_counts_by_what_it_says(material, categories, build):
    source = material("one").source
    state = build([Material(source, None, text=b"a.example\n")])
    assert is_current([material("one", text="a.example\n")], categories, state)
    assert not is_current([Material(source, None, text=b"b.example\n")], categories, state)


def test_a_list_that_cannot_be_read(material, categories, build):
    one = material("one", text="a.example\n")
    state = build([one])
    one.path.unlink()
    with pytest.raises(ListError, match="'one' cannot be read"):
        is_current([one], categories, state)

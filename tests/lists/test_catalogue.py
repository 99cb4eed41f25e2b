"""The catalogue: checked when it is read, with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from filterd.errors import ListError
from filterd.lists.catalogue import load_catalogue
from filterd.lists.papers import Choice
from filterd.wire import names

GOOD = """\
sources:
  - id: local-gambling
    title: Betting
    path: local/gambling.txt
    format: domains
    category: gambling
    origin: local
    licence: CC0-1.0
    allow_public_suffix: [pages.dev]
  - id: ut1-gambling
    title: UT1 gambling
    url: https://lists.example/gambling.tar.gz
    format: ut1
    folder: gambling
    category: gambling
    origin: public
    licence: CC-BY-SA-4.0
  - id: off
    title: Off
    url: https://lists.example/off.txt
    format: auto
    category: malware
    origin: public
    licence: MIT
    enabled: false
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "sources.yaml"
        path.write_text(text)
        return path

    return write


def test_a_catalogue_is_read_in_order(write, categories):
    catalogue = load_catalogue(write(GOOD), categories)
    assert [source.id for source in catalogue.sources] == ["local-gambling", "ut1-gambling", "off"]
    assert catalogue.sources[0].allowed_suffixes == {names.from_text("pages.dev")}
    assert catalogue.get("off") is catalogue.sources[2]
    assert catalogue.get("nowhere") is None


SETS = """\
sets:
  plain: {title: Plain, default: true, lists: [ut1-gambling]}
  more: {title: More, includes: [plain], lists: [off]}
"""


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (Choice(), ["local-gambling", "ut1-gambling"]),
        (Choice(()), ["local-gambling"]),
        (Choice(("more",)), ["local-gambling", "ut1-gambling", "off"]),
        (Choice((), add=("off",)), ["local-gambling", "off"]),
        (Choice(("more",), remove=("local-gambling", "off")), ["ut1-gambling"]),
        (Choice((), add=("off",), remove=("off",)), ["local-gambling"]),
    ],
)
def test_an_admin_picks_sets_and_single_lists(write, categories, choice: Choice, ids: list[str]):
    text = GOOD.replace("licence: CC-BY-SA-4.0\n", "licence: CC-BY-SA-4.0\n    enabled: false\n")
    catalogue = load_catalogue(write(text + SETS), categories)
    assert [source.id for source in catalogue.chosen(choice)] == ids


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(("plane",)), "no set of lists 'plane' in the catalogue (did you mean 'plain'?)"),
        (Choice((), add=("of",)), "no list 'of' in the catalogue (did you mean 'off'?)"),
        (Choice((), remove=("gone",)), "no list 'gone' in the catalogue"),
    ],
)
def test_a_choice_of_what_is_not_there(write, categories, choice: Choice, message: str):
    catalogue = load_catalogue(write(GOOD + SETS), categories)
    with pytest.raises(ListError) as caught:
        catalogue.chosen(choice)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "format: domains",
            "format: domain",
            "sources.yaml:5:13: 'domain' is not known here (did you mean 'domains'?)",
        ),
        ("category: gambling", "category: gamblin", "unknown category 'gamblin' (did you mean 'gambling'?)"),
        ("    licence: CC0-1.0\n", "", "'licence' is missing here"),
        ("title: Betting", "titel: Betting", "unknown key 'titel' (did you mean 'title'?)"),
        ("id: ut1-gambling", "id: local-gambling", "two lists have the id 'local-gambling'"),
        ("id: off", "id: Not An Id", "sources.yaml:18:9"),
        ("path: local/gambling.txt", "path: a\n    url: https://x.example", "exactly one of path and url"),
        (
            "path: local/gambling.txt\n    format: domains",
            "path: a\n    format: rpz\n    folder: x",
            "folder belongs to",
        ),
        ("url: https://lists.example/off.txt", "url: ftp://lists.example/off.txt", "sources.yaml:20:10"),
        ("url: https://lists.example/off.txt", "path: off.txt", "needs its url"),
        ("[pages.dev]", "['b..d']", "'b..d' is not a domain name"),
        ("enabled: false", "enabled: off", "sources.yaml:25:14"),
        ("enabled: false", "mirrors: [http://x.example]", "sources.yaml:25:15"),
        (
            "path: local/gambling.txt",
            "path: a\n    mirrors: [https://x.example]",
            "belong to a list with a url",
        ),
        ("enabled: false", "limits: {min_entry: 1}", "'min_entry' (did you mean 'min_entries'?)"),
        ("enabled: false", "limits: {max_shrink: 2}", "less than or equal to 1"),
        (
            "enabled: false",
            f"enabled: false\n{SETS}".replace("[off]", "[of]"),
            "no list 'of' (did you mean 'off'?)",
        ),
        (
            "enabled: false",
            f"enabled: false\n{SETS}".replace("[plain]", "[more]"),
            "no set above this one 'more'",
        ),
    ],
)
def test_mistakes_name_their_place(write, categories, old: str, new: str, message: str):
    assert old in GOOD
    with pytest.raises(ListError) as caught:
        load_catalogue(write(GOOD.replace(old, new, 1)), categories)
    assert message in str(caught.value)


def test_a_missing_catalogue(categories, tmp_path: Path):
    with pytest.raises(ListError, match="cannot be read"):
        load_catalogue(tmp_path / "none.yaml", categories)

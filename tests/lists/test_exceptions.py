"""Reviewed exceptions: what people may write, when it stands, what becomes of it in an index."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from filterd.errors import ListError
from filterd.lists.catalogue import Material
from filterd.lists.compile import compile_lists
from filterd.lists.exceptions import ALLOWED, Exceptions, load_exceptions
from filterd.rules.categories import load_categories
from filterd.rules.decide import permit
from filterd.rules.index import Index
from filterd.rules.verdict import Action, Reason
from filterd.rules.view import View
from filterd.wire import names

SHIPPED = Path(__file__).parents[2] / "blocklists"
TODAY = date(2026, 11, 23)
GOOD = """\
format: 1
exceptions:
  - name: chem.example.org
    action: allow
    reason: Chemistry faculty, listed as drugs
    author: A. Serikova
    since: 2026-01-01
    review: 2026-07-01
  - name: casino.example
    action: block
    category: gambling
    scope: exact
    reason: Seen in grade 9
    author: IT admin
    since: 2026-11-20
    review: 2027-05-01
    until: 2026-12-01
"""


@pytest.fixture(scope="module")
def shipped():
    return load_categories(SHIPPED / "categories.yaml")


@pytest.fixture
def load(tmp_path: Path, shipped):
    def load(text: str = GOOD) -> Exceptions:
        path = tmp_path / "exceptions.yaml"
        path.write_text(text)
        return load_exceptions(path, shipped)

    return load


def test_the_file_that_ships_is_empty_and_right(shipped):
    assert load_exceptions(SHIPPED / "exceptions.yaml", shipped).all == ()


def test_what_stands_becomes_a_list_of_its_category(load):
    found = load().materials(TODAY)
    assert [(one.source.id, one.source.category, one.source.origin, one.text) for one in found] == [
        ("reviewed-allow-reviewed", ALLOWED, "local", b"chem.example.org\n"),
        ("reviewed-gambling", "gambling", "local", b"=casino.example\n"),
    ]


@pytest.mark.parametrize(
    ("today", "standing"),
    [
        ("2025-12-31", []),
        ("2026-01-01", ["chem.example.org"]),
        ("2026-11-20", ["chem.example.org", "casino.example"]),
        ("2026-12-01", ["chem.example.org", "casino.example"]),
        ("2026-12-02", ["chem.example.org"]),
        ("2031-01-01", ["chem.example.org"]),
    ],
)
def test_an_exception_stands_from_its_first_day_to_its_last(load, today, standing):
    day = date.fromisoformat(today)
    assert [one.name for one in load().all if one.stands(day)] == standing


def test_what_is_overdue_is_told_and_still_stands(load):
    found = load()
    assert [one.name for one in found.overdue(TODAY)] == ["chem.example.org"]
    assert found.overdue(date(2026, 7, 1)) == ()
    assert [one.name for one in found.ended(date(2026, 12, 2))] == ["casino.example"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: chem.example.org", "name: a..b", ":3:11: 'a..b' is not a domain name"),
        ("name: chem.example.org", "name: edu.kz", ":3:11: 'edu.kz' belongs to many owners"),
        ("name: chem.example.org", "name: kz", "'kz' belongs to many owners"),
        ("name: chem.example.org", "name: CASINO.example.", "is already at"),
        (
            "category: gambling",
            "category: gamblin",
            ":11:15: 'gamblin' is not a category that is blocked",
        ),
        ("category: gambling", "category: allow_edu", "'allow_edu' is not a category that is blocked"),
        ("    category: gambling\n", "", "a block names its category"),
        (
            "action: allow",
            "action: allow\n    category: allow_edu",
            "an allow has none",
        ),
        ("    author: A. Serikova\n", "", "'author' is missing here"),
        ("    reason: Chemistry faculty, listed as drugs\n", "    reason: ''\n", "'reason'"),
        ("    review: 2026-07-01\n", "", "'review' is missing here"),
        ("review: 2026-07-01", "review: 2025-07-01", "the review lies before the beginning"),
        ("review: 2026-07-01", "review: soon", "'soon' is not a date; write YYYY-MM-DD"),
        ("until: 2026-12-01", "until: 2026-11-01", "the end lies before the beginning"),
        ("action: allow", "action: alow", "'alow' is not known here (did you mean 'allow'?)"),
        ("scope: exact", "scop: exact", "unknown key 'scop' (did you mean 'scope'?)"),
    ],
)
def test_mistakes_name_their_place(load, old, new, told):
    assert old in GOOD
    with pytest.raises(ListError) as caught:
        load(GOOD.replace(old, new, 1))
    assert told in str(caught.value)


def test_an_allow_respects_locks_and_a_block_of_people_keeps_them(load, material, shipped, tmp_path: Path):
    """As in rules/decide.py: the reviewed allow outranks public lists, and opens nothing that is locked."""
    bits = {one: 1 << shipped.by_id[one].bit for one in ("drugs", "malware", "gambling")}
    view = View(shipped, locked=bits["malware"], blocked=sum(bits.values()), allowed=shipped.allowing)

    def fate(category: str, origin: str = "public") -> tuple[Action, Reason]:
        listed = material(
            "listed",
            text="chem.example.org\n",
            category=category,
            origin=origin,
            homepage="https://x.example",
        )
        target = tmp_path / f"{category}-{origin}.mdb"
        compile_lists([listed, *load().materials(TODAY)], shipped, target, now=0)
        index = Index.open(target)
        try:
            verdict = permit(names.from_text("www.chem.example.org"), view, index)
            return verdict.action, verdict.reason
        finally:
            index.close()

    assert fate("drugs") == (Action.ALLOW, Reason.ALLOW_LIST)
    assert fate("malware") == (Action.BLOCK, Reason.LOCKED)
    assert fate("malware", "local") == (Action.BLOCK, Reason.LOCKED)
    index_file = tmp_path / "blocked.mdb"
    compile_lists(load().materials(TODAY), shipped, index_file, now=0)
    index = Index.open(index_file)
    assert permit(names.from_text("casino.example"), view, index).action is Action.BLOCK
    assert permit(names.from_text("www.casino.example"), view, index).action is Action.ALLOW
    index.close()


def test_a_list_without_a_file_is_read_like_any_other(load):
    (first, _) = load().materials(TODAY)
    assert isinstance(first, Material)
    assert first.path is None

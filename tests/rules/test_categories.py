from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from filterd.errors import PolicyError
from filterd.rules.categories import LANGUAGES, TIERS, Categories, Severity, load_categories

CATEGORIES = Path(__file__).resolve().parents[2] / "blocklists" / "categories.yaml"

# What is promised to schools: id -> severity, states of primary, middle, senior, staff.
PROMISED = """
csam illegal X X X X
extremism illegal X X X X
adult harmful X X X B
mixed_adult age B B B A
gambling welfare B B B B
drugs welfare B B B B
alcohol_vape age B B B A
selfharm welfare B B B A
eating welfare B B B A
violence welfare B B B B
hate welfare B B B B
weapons welfare B B B B
cults welfare B B B A
stranger_chat welfare B B B A
dating age B B B A
social age B B T A
games distraction B T T A
video distraction T T A A
ai age B T A A
cheating distraction B B B A
piracy harmful B B B B
bypass circumvention B B B T
doh circumvention B B B B
unsafe_search circumvention B B B A
malware security X X X X
phishing security X X X X
cryptojacking security B B B B
hacking security B B B A
remote security B B B A
misinfo contested A A A A
ads noise B B B B
allow_help allow A A A A
allow_edu allow A A A A
allow_health allow A A A A
allow_system allow A A A A
allow_reviewed allow A A A A
"""

# Bits are in compiled indexes, events and reports: a line here never changes, new categories add lines.
BITS = """
csam extremism adult mixed_adult gambling drugs alcohol_vape selfharm eating violence hate weapons cults
stranger_chat dating social games video ai cheating piracy bypass doh unsafe_search malware phishing
cryptojacking hacking remote misinfo ads
"""
ALLOW_BITS = {
    "allow_help": 48,
    "allow_edu": 49,
    "allow_health": 50,
    "allow_system": 51,
    "allow_reviewed": 52,
}


def test_every_promised_category_is_there_as_promised(categories: Categories) -> None:
    found = []
    for category in categories.all:
        states = [category.tiers[tier] for tier in ("primary", "middle", "senior", "staff")]
        found.append(" ".join([category.id, category.severity, *states]))
    assert found == PROMISED.split("\n")[1:-1]


def test_bits_never_change(categories: Categories) -> None:
    bits = {category.id: category.bit for category in categories.all}
    assert bits == {**{one: bit for bit, one in enumerate(BITS.split())}, **ALLOW_BITS}


def test_guests_are_treated_like_middle_school(categories: Categories) -> None:
    assert all(category.tiers["guest"] == category.tiers["middle"] for category in categories.all)


def test_names_and_explanations_in_three_languages(categories: Categories) -> None:
    for category in categories.all:
        assert set(category.names) == set(category.about) == set(LANGUAGES)
        assert set(category.tiers) == set(TIERS)
        assert len({category.about[language] for language in LANGUAGES}) == 3
    for language in LANGUAGES:  # nobody can tell two categories of one name apart
        assert len({category.names[language] for category in categories.all}) == len(categories.all)


def test_kazakh_is_written_in_kazakh(categories: Categories) -> None:
    # A sentence without one letter that Russian lacks is most likely Russian put into the wrong field.
    own = set("әғқңөұүһіӘҒҚҢӨҰҮҺІ")
    for category in categories.all:
        assert own & set(category.about["kk"]), category.id
        assert not own & set(category.about["ru"]), category.id


def test_r2_a_category_without_a_source_says_so(categories: Categories) -> None:
    gaps = [category.id for category in categories.all if not category.sources and category.kind == "block"]
    assert gaps == ["csam", "extremism", "alcohol_vape", "selfharm", "eating"]
    assert all(categories.by_id[gap].note for gap in gaps)


def test_sources_are_the_public_lists_of_the_catalogue_of_lists(categories: Categories) -> None:
    filled: dict[str, list[str]] = {}
    catalogue = yaml.safe_load((CATEGORIES.parent / "sources.yaml").read_text("utf-8"))
    for source in catalogue["sources"]:
        if source["origin"] == "public":
            filled.setdefault(source["category"], []).append(source["id"])
    for category in categories.all:
        assert sorted(category.sources) == sorted(filled.get(category.id, [])), category.id


def test_masks(categories: Categories) -> None:
    mask = categories.mask(["ads", "csam", "allow_help"])
    assert mask == 1 | 1 << 30 | 1 << 48
    assert categories.ids(mask) == ("csam", "ads", "allow_help")
    assert categories.ids(1 << 63) == ()
    assert categories.ids(categories.illegal) == ("csam", "extremism")
    assert categories.ids(categories.allowing) == tuple(ALLOW_BITS)
    with pytest.raises(KeyError):
        categories.mask(["nothing"])


def test_the_gravest_category_is_reported(categories: Categories) -> None:
    def gravest(*ids: str) -> str | None:
        found = categories.gravest(categories.mask(ids))
        return found.id if found else None

    assert gravest() is None
    assert gravest("ads", "csam", "adult") == "csam"
    assert gravest("ads", "adult", "gambling") == "gambling"  # welfare before harmful: a person looks at it
    assert gravest("phishing", "malware") == "malware"  # equal severity: the lowest bit
    order = [categories.by_bit[bit].severity for bit in categories.order]
    assert order == sorted(order, key=list(Severity).index)


GOOD = """\
format: 1
categories:
  one:
    bit: 1
    severity: welfare
    tiers: {primary: B, middle: B, senior: B, staff: B, guest: B}
    names: {kk: а, ru: б, en: c}
    sources: []
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("bit: 1", "bit: 64", 4, "less than or equal to 63"),
        ("welfare", "welfaer", 5, "did you mean 'welfare'"),
        ("severity: welfare", "severity: illegal", 6, "must be X"),
        ("severity: welfare", "kind: allow\n    severity: allow", 7, "must be A"),
        ("severity: welfare", "severity: allow", 5, "both be `allow`"),
        ("guest: B", "guest: Z", 6, "not known here"),
        (", guest: B", "", 6, "'guest' is missing"),
        ("names:", "naems:", 7, "did you mean 'names'"),
        (", en: c", "", 7, "'en' is missing"),
        ("sources: []", "", 4, "'sources' is missing"),
        ("format: 1", "format: 2", 1, "write 1"),
        ("  one:", "  Bad-Id:", 3, "pattern"),
    ],
)
def test_a_wrong_catalogue_says_where(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = tmp_path / "categories.yaml"
    path.write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(PolicyError, match=words) as caught:
        load_categories(path)
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert caught.value.column


def test_a_bit_given_twice_names_both(tmp_path: Path) -> None:
    path = tmp_path / "categories.yaml"
    path.write_text(GOOD + GOOD.split("categories:\n")[1].replace("one", "two"), "utf-8")
    with pytest.raises(PolicyError, match="already belongs to 'one'") as caught:
        load_categories(path)
    assert caught.value.line == 10

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.events import collapse
from filterd.events.hints import BURST, Hints
from filterd.events.pseudonym import Pseudonyms
from filterd.events.registrable import spoken

AT = 1_760_000_100
DEVICE, OTHER = b"\x0a\x00\x00\x07", b"\x0a\x00\x00\x08"


def hint(
    hints: Hints, at: int = AT, *, domain: str = "casino.kz", category: str = "gambling", who="a"
) -> str:
    return hints(DEVICE, who, domain, category, at)


def test_a_name_on_its_own_has_no_hint():
    assert hint(Hints()) == ""


def test_a_name_after_an_advertising_name_of_the_same_device_is_doubtful():
    hints = Hints()
    assert hint(hints, domain="tracker.kz", category="ads") == ""
    assert hint(hints, AT + 10) == "ad_parent"
    assert hint(hints, AT + 3, domain="other.kz", who="b") == ""
    assert hint(hints, AT + 11, domain="later.kz") == ""


def test_an_advertising_name_is_no_parent_of_another_one():
    hints = Hints()
    hint(hints, domain="tracker.kz", category="ads")
    assert hint(hints, domain="tracker2.kz", category="ads") == ""


@pytest.mark.parametrize(("asked", "expected"), [(BURST - 1, ""), (BURST, "page_burst")])
def test_a_name_among_many_is_part_of_a_page(asked, expected):
    hints = Hints(recent={DEVICE: asked}.__getitem__)
    assert hint(hints) == expected


@pytest.mark.parametrize("interval", [30, 60, 300, 3600])
def test_even_intervals_are_a_program(interval):
    hints = Hints()
    asked = [hint(hints, AT + number * interval + number % 2) for number in range(8)]
    assert asked == ["", "", "", "", "", "automatic", "automatic", "automatic"]
    assert hint(hints, AT + 7 * interval + 3) == "automatic"  # AAAA and HTTPS of the same ask


def test_a_persons_intervals_are_not_even():
    hints, dice = Hints(), random.Random(7)
    at, found = AT, set()
    for _ in range(200):
        at += dice.randint(5, 600)
        found.add(hint(hints, at))
    assert found == {""}


def test_retries_within_seconds_are_one_ask_and_not_even():
    hints = Hints()
    assert {hint(hints, AT + second) for second in range(5)} == {""}


def test_a_clock_that_is_set_back_or_forward_hints_at_nothing():
    hints = Hints()
    hint(hints, domain="tracker.kz", category="ads")
    for at in (AT - 5, AT - 100_000, AT + 2**33, 0, AT):
        assert hint(hints, at).replace("ad_parent", "") == ""
    assert hint(Hints(), 0) == ""


def test_nobody_is_there():
    hints = Hints(nobody_there=lambda at: at >= AT + 60)
    assert hint(hints) == ""
    assert hint(hints, AT + 120, domain="x.kz") == "out_of_hours"


def test_hints_are_sorted_and_joined():
    hints = Hints(recent=lambda _: 100, nobody_there=lambda _: True)
    hint(hints, domain="tracker.kz", category="ads")
    assert hint(hints) == "ad_parent,out_of_hours,page_burst"


domains = st.sampled_from(["a.kz", "b.kz", "c.kz"])
asks = st.lists(
    st.tuples(
        st.sampled_from([DEVICE, OTHER]), domains, st.sampled_from(["ads", "games", ""]), st.integers(0, 40)
    ),
    max_size=60,
)


@given(asks)
def test_memory_is_bounded_and_forgetting_does_no_harm(asked):
    hints = Hints(maximum=2)
    at = AT
    for client, domain, category, gap in asked:
        at += gap
        assert set(hints(client, client.hex(), domain, category, at).split(",")) <= {
            "",
            "ad_parent",
            "automatic",
        }
        assert len(hints) <= 4


@pytest.fixture(scope="module")
def many(lookup, verdict):
    ads = dataclasses.replace(verdict, category="ads")
    return [
        lookup("www.a.kz"),
        lookup("t.kz", verdict=ads),
        lookup("b.kz"),
        lookup("www.a.kz", qtype=28),
        lookup("b.kz", client=OTHER),
        lookup("t.kz", verdict=ads, client=OTHER),
        lookup("c.kz"),
    ]


def collapsed(lookups, hints):
    return collapse.collapse(lookups, at=AT, pseudonym=Pseudonyms(b"s" * 32), spoken=spoken, hints=hints)


@given(st.data())
def test_hints_never_change_counts_and_order_changes_only_hints(many, data):
    order = data.draw(st.permutations(many))
    plain = collapse.collapse(many, at=AT, pseudonym=Pseudonyms(b"s" * 32), spoken=spoken)
    hinted = Counter()
    for key, times in collapsed(order, Hints()).items():
        hinted[key._replace(hints="")] += times
    assert hinted == Counter(plain)


def test_what_stands_before_an_advertising_name_in_the_same_call_is_not_its_child(many):
    found = {(key.name, key.hints) for key in collapsed(many, Hints())}
    assert found == {
        ("www.a.kz", ""),
        ("t.kz", ""),
        ("b.kz", "ad_parent"),
        ("b.kz", ""),
        ("c.kz", "ad_parent"),
    }

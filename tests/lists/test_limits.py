"""How much a list may change: by the histories of real lists, wider for attacks, wider after weeks."""

from __future__ import annotations

import pytest

from filterd.lists.limits import DAY, WEEK, Bounds, Limits, bounds_of, grown_too_far, shrunk_too_far

PLAIN = Bounds()
ATTACKS = Bounds(max_shrink=0.4, max_growth=1.0)


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        (1000, 750, False), (1000, 749, True), (1000, 1000, False), (1000, 5000, False), (61_808, 0, True),
        (30, 11, True), (30, 15, False), (30, 14, True), (10, 0, True), (1, 0, True), (69, 49, False),
    ],
)  # fmt: skip
def test_an_ordinary_list_may_lose_a_quarter(before, now, refused):
    assert shrunk_too_far(before, now, PLAIN, DAY) is refused


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        (1000, 1500, False), (1000, 1501, True), (1289, 8532, True), (1000, 10, False), (10, 20, False),
        (10, 21, True), (30, 50, False), (0, 100_000, True), (0, 0, False),
    ],
)  # fmt: skip
def test_an_ordinary_list_may_grow_by_half(before, now, refused):
    assert grown_too_far(before, now, PLAIN, DAY) is refused


def test_lists_of_attacks_change_more():
    assert not shrunk_too_far(1000, 600, ATTACKS, DAY)
    assert shrunk_too_far(1000, 599, ATTACKS, DAY)
    assert not grown_too_far(1000, 2000, ATTACKS, DAY)
    assert grown_too_far(1000, 2001, ATTACKS, DAY)


def test_weeks_without_a_line_give_more_room_but_never_for_a_collapse():
    assert shrunk_too_far(1000, 600, PLAIN, 6 * DAY)
    assert not shrunk_too_far(1000, 600, PLAIN, WEEK)
    assert shrunk_too_far(1000, 299, PLAIN, 400 * WEEK)
    assert not grown_too_far(1000, 2200, PLAIN, WEEK)
    assert grown_too_far(1000, 5001, PLAIN, 400 * WEEK)
    assert shrunk_too_far(1000, 700, PLAIN, -WEEK), "a clock that was set back gives no room"


def test_the_catalogue_overrides_the_defaults_of_the_category(categories):
    gambling, malware = categories.by_id["gambling"], categories.by_id["malware"]
    assert bounds_of(None, gambling) == PLAIN
    assert bounds_of(None, malware) == ATTACKS
    found = bounds_of(Limits(max_shrink=0.9, max_mib=3, max_unpacked_mib=7, min_entries=5), malware)
    assert (found.max_shrink, found.max_growth, found.max_bytes, found.max_unpacked, found.min_entries) == (
        0.9, 1.0, 3 << 20, 7 << 20, 5,
    )  # fmt: skip


@pytest.mark.parametrize("change", [0.0043, 0.177])
def test_the_usual_days_of_real_lists_pass(change):
    """Malware lists: median 0.43 %, 95th percentile 17.7 % a day."""
    assert not shrunk_too_far(60_000, int(60_000 * (1 - change)), ATTACKS, DAY)
    assert not grown_too_far(60_000, int(60_000 * (1 + change)), ATTACKS, DAY)

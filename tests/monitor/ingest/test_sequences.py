from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from filterd.monitor.ingest.sequences import Admission, Ledger

NEW, DUPLICATE, FORGOTTEN = Admission.NEW, Admission.DUPLICATE, Admission.FORGOTTEN


def test_in_order_needs_no_gap() -> None:
    ledger = Ledger()
    assert [ledger.admit(n) for n in range(1, 100)] == [NEW] * 99
    assert (ledger.high, ledger.gaps, ledger.missing) == (99, [], 0)


def test_again_is_a_duplicate() -> None:
    ledger = Ledger()
    assert [ledger.admit(n) for n in (1, 2, 1, 2, 3)] == [NEW, NEW, DUPLICATE, DUPLICATE, NEW]


def test_a_gap_is_noticed_and_filled_later_from_any_side() -> None:
    ledger = Ledger()
    ledger.admit(10)
    assert ledger.gaps == [(1, 9)]
    assert [ledger.admit(n) for n in (5, 1, 9)] == [NEW] * 3
    assert ledger.gaps == [(2, 4), (6, 8)]
    assert ledger.missing == 6
    assert [ledger.admit(n) for n in (2, 3, 4, 6, 7, 8)] == [NEW] * 6
    assert ledger.gaps == []
    assert ledger.admit(5) is DUPLICATE


def test_oldest_gaps_are_given_up_and_never_taken_for_stored() -> None:
    ledger = Ledger()
    for n in range(2, 22, 2):
        ledger.admit(n)
    assert ledger.give_up(3) == 7
    assert ledger.gaps == [(15, 15), (17, 17), (19, 19)]
    assert ledger.admit(1) is FORGOTTEN
    assert ledger.admit(13) is FORGOTTEN
    assert ledger.admit(14) is DUPLICATE
    assert ledger.admit(15) is NEW


@given(st.lists(st.integers(1, 60), max_size=200))
def test_like_a_set(numbers: list[int]) -> None:
    ledger, stored = Ledger(), set[int]()
    for number in numbers:
        ledger = Ledger(ledger.high, ledger.floor, ledger.gaps)  # as read back from the store
        assert ledger.admit(number) is (DUPLICATE if number in stored else NEW)
        stored.add(number)
    missing = set(range(1, ledger.high + 1)) - stored
    assert {n for first, last in ledger.gaps for n in range(first, last + 1)} == missing
    assert ledger.missing == len(missing)
    assert all(a[1] + 1 < b[0] for a, b in zip(ledger.gaps, ledger.gaps[1:], strict=False))


@given(st.lists(st.integers(1, 60), max_size=200), st.integers(0, 4))
def test_what_is_given_up_is_never_stored_twice_nor_called_stored(numbers: list[int], keep: int) -> None:
    ledger, stored = Ledger(), set[int]()
    for number in numbers:
        admission = ledger.admit(number)
        if admission is NEW:
            assert number not in stored
            stored.add(number)
        elif admission is DUPLICATE:
            assert number in stored
        ledger.give_up(keep)
        assert len(ledger.gaps) <= keep

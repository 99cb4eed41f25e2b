from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.monitor.reports.suppress import Figure, Key, hidden, hidden_in_sum

K = 5
STEP = 2  # a reader tries values so far from the true ones


def with_totals(cells: dict[tuple[str, str], Figure]) -> dict[Key, Figure]:
    found: dict[Key, Figure] = {}
    for (row, column), figure in cells.items():
        for key in ((row, column), (row, None), (None, column), (None, None)):
            had = found.get(key, Figure(0, 0))
            found[key] = Figure(had.count + figure.count, had.devices + figure.devices)
    return {key: figure for key, figure in found.items() if figure.count}


def tables(rows: int, columns: int, most: int = 9) -> st.SearchStrategy[dict[Key, Figure]]:
    figure = st.integers(0, most).flatmap(
        lambda count: st.builds(Figure, st.just(count), st.integers(min(1, count), max(1, count)))
    )
    keys = list(product("abcdefg"[:rows], "xyzw"[:columns]))
    return st.lists(figure, min_size=len(keys), max_size=len(keys)).map(
        lambda figures: with_totals(dict(zip(keys, figures, strict=True)))
    )


class Reader:
    """Somebody who has the printed table and tries every table that fits it, without knowing our algorithm.

    Knows that a hidden figure is at least 1. Independent of `suppress.py`: plain search over the cells.
    """

    def __init__(self, figures: dict[Key, Figure], secret: frozenset[Key]) -> None:
        self.secret = secret
        self.shown = {key: figure.count for key, figure in figures.items() if key not in secret}
        self.cells = sorted(key for key in secret if None not in key)
        self.true = {key: figure.count for key, figure in figures.items()}
        self.rows = {key[0] for key in figures if key[0]}
        self.columns = {key[1] for key in figures if key[1]}

    def lines(self) -> Iterator[tuple[Key, list[Key]]]:
        """Every total with the cells under it."""
        for row in self.rows:
            yield (row, None), [(row, column) for column in self.columns]
        for column in self.columns:
            yield (None, column), [(row, column) for row in self.rows]
        yield (None, None), list(product(self.rows, self.columns))

    def fits(self, guess: dict[Key, int]) -> bool:
        for total, keys in self.lines():
            known = [guess.get(key, None if key in self.secret else self.shown.get(key, 0)) for key in keys]
            least = sum(1 if value is None else value for value in known)
            if total in self.secret:
                continue
            exact = self.shown.get(total, 0)
            if least > exact or (None not in known and least != exact):
                return False
        return True

    def tables(self, guess: dict[Key, int], changes: int) -> Iterator[dict[Key, int]]:
        """Every table that fits and differs from the true one in at most so many cells."""
        if not self.fits(guess):
            return
        if len(guess) == len(self.cells):
            yield guess
            return
        key = self.cells[len(guess)]
        true = self.true[key]
        yield from self.tables({**guess, key: true}, changes)
        if changes:
            for value in range(max(1, true - STEP), true + STEP + 1):
                if value != true:
                    yield from self.tables({**guess, key: value}, changes - 1)

    def value(self, key: Key, table: dict[Key, int]) -> int:
        if None not in key:
            return table[key]
        keys = next(keys for total, keys in self.lines() if total == key)
        return sum(table.get(one, self.shown.get(one, 0)) for one in keys)

    def knows(self) -> set[Key]:
        """The hidden figures that have but one value in all tables that fit."""
        known = set(self.secret)
        for changes in range(1, len(self.cells) + 1):
            for table in self.tables({}, changes):
                known -= {key for key in known if self.value(key, table) != self.true[key]}
                if not known:
                    return known
        return known


@pytest.mark.parametrize(
    ("rows", "columns", "examples"), [(1, 1, 20), (1, 3, 60), (2, 2, 80), (3, 2, 100), (3, 3, 30)]
)
def test_no_hidden_figure_can_be_computed_back(rows, columns, examples):
    # The same tables each time: the search takes long on unlucky ones.
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(tables(rows, columns, most=9 if rows < 3 else 6))
    def check(figures):
        assert Reader(figures, hidden(figures, K)).knows() == set()

    check()


def test_the_reader_of_this_test_is_no_fool():
    figures = with_totals({("a", "x"): Figure(7, 2), ("a", "y"): Figure(20, 9), ("b", "x"): Figure(30, 9)})
    assert Reader(figures, frozenset({("a", "x")})).knows() == {("a", "x")}
    two = with_totals({("a", "x"): Figure(1, 1), ("a", "y"): Figure(1, 1), ("b", "x"): Figure(9, 9)})
    assert Reader(two, frozenset({("a", "x"), ("a", "y"), (None, "x"), (None, "y")})).knows() >= {("a", "x")}


@settings(max_examples=60, deadline=None)
@given(tables(7, 4, most=60), st.integers(2, 12))
def test_small_ones_are_hidden_and_zeros_are_not(figures, k):
    secret = hidden(figures, k)
    assert secret >= {key for key, figure in figures.items() if figure.devices < k}
    assert secret <= figures.keys()


@given(tables(5, 4, most=60))
def test_the_same_table_hides_the_same(figures):
    again = dict(reversed(figures.items()))
    assert hidden(figures, K) == hidden(again, K)


def test_nothing_small_nothing_hidden():
    figures = with_totals({key: Figure(100, 50) for key in product("abc", "xy")})
    assert hidden(figures, K) == frozenset()


def test_a_total_is_hidden_last():
    figures = with_totals(
        {key: Figure(100, 50) for key in product("abc", "xyz")} | {("a", "x"): Figure(3, 1)}
    )
    secret = hidden(figures, K)
    assert len(secret) == 4
    assert all(None not in key for key in secret)


def test_others_can_be_named_to_be_hidden():
    figures = with_totals({key: Figure(100, 50) for key in product("abc", "xyz")})
    secret = hidden(figures, K, {("b", "y"), ("no", "such")})
    assert ("b", "y") in secret
    assert len(secret) == 4


def test_a_lonely_device_hides_all():
    figures = with_totals({("a", "x"): Figure(3, 1)})
    assert hidden(figures, K) == figures.keys()


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.builds(Figure, st.integers(0, 5), st.integers(0, 20))))
def test_a_list_with_its_sum(figures):
    secret, sum_too = hidden_in_sum(figures, 10)
    small = {key for key, figure in figures.items() if figure.count and figure.devices < 10}
    assert secret >= small
    assert bool(secret) == bool(small)
    if secret and not sum_too:
        total = sum(figures[key].count for key in secret)
        assert len(secret) > 1
        assert total > len(secret), "each would be 1"

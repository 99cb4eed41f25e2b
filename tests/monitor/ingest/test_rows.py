from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.events.batch import Batch
from filterd.monitor.ingest.rows import EVENT_COLUMNS, Rows, merged, rows_of
from filterd.monitor.problems import Problem
from filterd.monitor.store.sql import MOST

FIELDS = ("group", "tier", "pseudonym", "name", "category", "list", "rule", "layer", "verdict", "reason")
OTHER = {"pseudonym": "zzzzzzzz", "verdict": "rewrite"}


def rows(make: Any, *events: Any, usage: Any = ()) -> Rows:
    batch = Batch.model_validate({"sequence": 1, "events": list(events), "usage": list(usage)})
    return rows_of("school-1", "box1", batch, received=make.now, future_from=make.now + 86_400)


def test_equal_events_become_one_with_their_counts_added(make: Any) -> None:
    found = rows(make, make.event(count=2), make.event(count=3), make.event(bucket=0))
    assert sorted(row[-1] for row in found.event_rows()) == [1, 5]
    assert found.event_totals == {("school-1", "gambling", "block"): (3, 6)}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_tells_events_apart(make: Any, field: str) -> None:
    assert len(rows(make, make.event(), make.event(**{field: OTHER.get(field, "other")})).events) == 2


def test_values_that_run_together_are_still_different(make: Any) -> None:
    assert len(rows(make, make.event(list="ab", rule="c"), make.event(list="a", rule="bc")).events) == 2


@pytest.mark.parametrize("field", ["name", "domain", "list", "rule", "layer"])
@pytest.mark.parametrize("char", ["\0", "\n", "\x1f", "\x7f"])
def test_control_characters_are_refused(make: Any, field: str, char: str) -> None:
    with pytest.raises(Problem) as caught:
        rows(make, make.event(**{field: f"a{char}b"}))
    assert (caught.value.status, caught.value.extra) == (422, {"sequence": 1})


def test_unicode_is_kept(make: Any) -> None:
    (row,) = rows(make, make.event(rule="құмар-ойын.қаз")).event_rows()
    assert dict(zip(EVENT_COLUMNS, row, strict=True))["rule"] == "құмар-ойын.қаз"


def test_a_clock_a_day_ahead_is_counted(make: Any) -> None:
    day = make.now - make.now % 300 + 86_400
    assert rows(make, make.event(bucket=day)).future == 0
    assert rows(make, make.event(bucket=day + 600), make.event(bucket=2**40 - 2**40 % 300)).future == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2**40)), max_size=30), st.integers(1, 5))
def test_the_sum_does_not_depend_on_how_it_is_cut_into_batches(
    hits: list[tuple[int, int]], parts: int
) -> None:
    def part(chosen: list[tuple[int, int]]) -> Rows:
        usage = [
            {
                "hour": 0,
                "group": f"g{group}",
                "tier": "t",
                "category": "",
                "outcome": "allowed",
                "queries": count,
            }
            for group, count in chosen
        ]
        batch = Batch.model_validate({"sequence": 1, "events": [], "usage": usage})
        return rows_of("s", "b", batch, received=0, future_from=0)

    whole = merged([part(hits)])
    cut = merged(part(hits[start::parts]) for start in range(parts))
    assert whole.usage == cut.usage
    assert all(queries <= MOST for queries in whole.usage.values())


def test_taking_batches_together_leaves_each_as_it_was(make: Any) -> None:
    parts = [rows(make, make.event(count=2), usage=[make.usage()]) for _ in range(3)]
    before = repr(parts)
    assert merged(parts).event_rows()[0][-1] == 6
    assert repr(parts) == before

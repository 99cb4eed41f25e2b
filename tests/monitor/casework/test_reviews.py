from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.casework import facts, reviews
from filterd.monitor.casework.reviews import MOST_OPEN, MOST_TEXT, Request
from filterd.monitor.store.paperwork import REVIEW_REQUESTS
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines
NOW = 1_795_000_000
HOUR = 3600


async def ask(store: Store, domain: str = "nasa.example", now: int = NOW, **changes: str) -> int:
    request = Request(**({"kind": "unblock", "asked_as": "pupil", "domain": domain} | changes))
    return await store.write(lambda c: reviews.add(c, "school-1", request, now=now))


async def decide(store: Store, number: int, **changes: Any) -> None:
    values = {"grant": True, "by": "Aliya", "reason": "a learning site", "now": NOW + HOUR} | changes
    await store.write(lambda c: reviews.decide(c, "school-1", number, **values))


async def test_r14_a_request_gets_an_answer_and_the_clock_is_told(store: Store) -> None:
    waits = (1, 5, 30)
    for number, hours in enumerate(waits):
        asked = await ask(store, f"site{number}.example")
        await decide(store, asked, now=NOW + hours * HOUR, grant=number != 1, overblock=number == 2)
    await ask(store, "open.example")
    rows = await store.read(reviews.listed)
    assert [row.state for row in rows] == ["granted", "refused", "granted", "open"]
    assert [row.overblock for row in rows] == [False, False, True, False]
    assert await store.read(lambda c: reviews.median_hours(c, "school-1", NOW, NOW + 99 * HOUR)) == 5
    assert await store.read(lambda c: reviews.median_hours(c, None, NOW, NOW + 6 * HOUR)) == 3
    assert await store.read(lambda c: reviews.median_hours(c, "school-2", NOW, NOW + 99 * HOUR)) is None


async def test_the_log_tells_that_and_by_whom_never_what_was_written(store: Store) -> None:
    number = await ask(store, text="мне нужно для урока")
    await decide(store, number)
    told = await store.read(lambda c: audit.show(c, "school-1", 10))
    assert [(row.what, row.who) for row in told] == [("review.decide", "Aliya"), ("review.add", "pupil")]
    assert not any("урока" in row.details or "nasa" in row.details for row in told)


async def test_asking_often_changes_nothing(store: Store) -> None:
    assert {await ask(store), await ask(store, "NASA.example."), await ask(store)} == {1}
    assert await ask(store, asked_as="parent") == 2
    await decide(store, 1)
    assert await ask(store) == 3  # answered, and asked anew


async def test_the_number_of_open_requests_is_bounded(store: Store) -> None:
    row = {"school": "school-1", "asked": NOW, "asked_as": "pupil", "category": "", "text": "", "decided": 0}
    row |= {"state": "open", "decided_by": "", "reason": "", "overblock": False, "kind": "unblock"}
    rows = [row | {"number": n, "domain": f"s{n}.example"} for n in range(1, MOST_OPEN + 1)]
    await store.write(lambda c: c.execute(insert(REVIEW_REQUESTS), rows))
    with pytest.raises(PaperworkError) as caught:
        await ask(store)
    assert "answer" in caught.value.remedy
    await decide(store, 1)
    await ask(store)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"}, {"asked_as": "director"}, {"domain": "not a domain"}, {"domain": ""},
        {"category": "Ä"}, {"text": "x" * (MOST_TEXT + 1)}, {"text": "I am 050101500123"},
        {"text": "answer to a@b.kz"}, {"domain": "x" * 300},
    ],
)  # fmt: skip
async def test_requests_that_are_refused(store: Store, changes: dict[str, str]) -> None:
    with pytest.raises(PaperworkError) as caught:
        await ask(store, **changes)
    assert caught.value.remedy
    assert await store.read(reviews.listed) == []


async def test_answers_that_are_refused(store: Store) -> None:
    number = await ask(store)
    for changes in (
        {"reason": ""},
        {"reason": "for 050101500123"},
        {"by": ""},
        {"grant": False, "overblock": True},
    ):
        with pytest.raises(PaperworkError):
            await decide(store, number, **changes)
    with pytest.raises(PaperworkError):
        await decide(store, 99)
    await decide(store, number)
    with pytest.raises(PaperworkError) as caught:
        await decide(store, number)
    assert "granted by Aliya" in caught.value.message


async def put(store: Store, name: str, value: str, *, school: str = "", by: str = "Aliya") -> None:
    month = facts.month_number("2026-10")
    await store.write(lambda c: facts.put(c, school, month, name, value, by=by, now=NOW))


async def test_facts_of_a_month(store: Store) -> None:
    await put(store, "specialists_total", "040")
    await put(store, "specialists_total", "41", by="Bolat")
    await put(store, "incidents", "Два часа без света", school="school-1")
    await put(store, "responsible", "Aliya Serikovna", school="school-1")
    await put(store, "responsible", "", school="school-1")
    rows = await store.read(lambda c: facts.listed(c, facts.month_number("2026-10")))
    assert [(row.school, row.name, row.value, row.by) for row in rows] == [
        ("", "specialists_total", "41", "Bolat"),
        ("school-1", "incidents", "Два часа без света", "Aliya"),
    ]
    (told, first) = await store.read(lambda c: audit.show(c, "", 10))
    assert '"old":"40"' in told.details
    assert '"old":null' in first.details
    assert await store.read(lambda c: facts.listed(c, facts.month_number("2026-11"))) == []


@pytest.mark.parametrize(
    ("name", "value", "school"),
    [
        ("specialists", "1", ""), ("specialists_total", "many", ""), ("specialists_total", "-1", ""),
        ("specialists_total", "9" * 30, ""), ("specialists_total", "²", ""),
        ("specialists_total", "5", "school-1"),
        ("incidents", "pupil 050101500123", "school-1"), ("incidents", "x" * 3000, ""),
        ("incidents", "x", "A B"),
    ],
)  # fmt: skip
async def test_facts_that_are_refused(store: Store, name: str, value: str, school: str) -> None:
    with pytest.raises(PaperworkError) as caught:
        await put(store, name, value, school=school)
    assert caught.value.remedy
    assert await store.read(audit.heads) == {}


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "26-10", "2026", "2026-1", "1999-10", "2026-10-01"])
def test_no_months(text: str) -> None:
    with pytest.raises(PaperworkError):
        facts.month_number(text)


def test_months() -> None:
    assert facts.month_number("2026-10") == 2026 * 12 + 9
    assert facts.month_text(facts.month_number("2026-01")) == "2026-01"

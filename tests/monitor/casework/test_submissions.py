from __future__ import annotations

import asyncio
import csv
import io
import itertools
from typing import Any

import openpyxl
import pytest

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.casework import reviews, submissions
from filterd.monitor.casework.reviews import Request
from filterd.monitor.casework.submissions import NEXT, STATES, Draft
from filterd.monitor.casework.submissionsfile import COLUMNS, as_csv, as_xlsx, guarded
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines
NOW = 1_795_000_000
NOTHING = Draft()
FULL = Draft("https://Casino.Example/lobby?x=1", "casino", "takes bets from anybody")


async def add(store: Store, draft: Draft = FULL, domain: str = "", by: str = "Aliya", **more: Any) -> int:
    school = more.pop("school", "school-1")
    return await store.write(lambda c: submissions.add(c, school, domain, draft, by=by, now=NOW, **more))


async def change(
    store: Store, number: int, state: str | None = None, draft: Draft = NOTHING, **more: Any
) -> None:
    values = {"by": "Aliya", "now": NOW + 10} | more
    await store.write(lambda c: submissions.change(c, "school-1", number, draft, state=state, **values))


async def only(store: Store) -> Any:
    (row,) = await store.read(submissions.listed)
    return row


async def test_from_candidate_to_confirmed_each_step_by_a_person(store: Store) -> None:
    number = await add(store)
    for step, state in enumerate(("prepared", "sent", "confirmed"), 1):
        await change(store, number, state, by=f"Person {step}", now=NOW + step)
    row = await only(store)
    assert (row.state, row.reviewer, row.domain) == ("confirmed", "Person 3", "casino.example")
    assert (row.created, row.prepared, row.sent, row.decided) == (NOW, NOW + 1, NOW + 2, NOW + 3)
    told = await store.read(lambda c: audit.show(c, "school-1", 10))
    assert [(one.what, one.who) for one in reversed(told)] == [
        ("kibernadzor.add", "Aliya"),
        ("kibernadzor.set", "Person 1"),
        ("kibernadzor.set", "Person 2"),
        ("kibernadzor.set", "Person 3"),
    ]
    assert not any("casino.example" in one.details.lower() for one in told)  # the log can be shown (R1)


async def test_no_step_but_the_next(store: Store) -> None:
    number = await add(store)
    way = {"candidate": (), "prepared": ("prepared",), "sent": ("prepared", "sent")}
    way |= {"confirmed": (*way["sent"], "confirmed"), "refused": (*way["sent"], "refused")}
    for state, wanted in itertools.product(STATES, STATES):
        if wanted in (*NEXT[state], state):
            continue
        number = await add(store)
        for step in way[state]:
            await change(store, number, step)
        with pytest.raises(PaperworkError) as caught:
            await change(store, number, wanted)
        assert NEXT[state][0] in caught.value.remedy


async def test_nothing_is_prepared_before_a_person_added_url_and_evidence(store: Store) -> None:
    number = await add(store, Draft(), "casino.example")
    for draft in (Draft(), Draft(evidence="seen"), Draft(url="https://casino.example/")):
        with pytest.raises(PaperworkError) as caught:
            await change(store, number, "prepared", draft)
        assert "missing" in caught.value.message
    await change(store, number, "prepared", Draft(url="https://casino.example/", evidence="seen"))
    await change(store, number, "sent")
    with pytest.raises(PaperworkError):
        await change(store, number, None, Draft(url="https://else.example/"))


@pytest.mark.parametrize("by", ["", " ", "\x00"])
async def test_never_by_nobody(store: Store, by: str) -> None:
    with pytest.raises(PaperworkError):
        await add(store, by=by)
    number = await add(store)
    with pytest.raises(PaperworkError):
        await change(store, number, "prepared", by=by)
    assert (await only(store)).state == "candidate"


@pytest.mark.parametrize(
    "draft",
    [
        Draft(url="casino.example"), Draft(url="ftp://casino.example/"), Draft(url="https://"),
        Draft(url="https://user:pass@casino.example/"), Draft(url="https://casino.example/?iin=050101500123"),
        Draft(url="https://casino.example/?mail=aliya@mail.kz"), Draft(url="https://casino.example/a b"),
        Draft(url="https://casino.example/" + "x" * 2000), Draft(url="https://[::1"), Draft(url="https://a:99999999/"),
        Draft(url="https://casino_\x00.example/"), Draft(url="javascript:alert(1)"), Draft(reason="because"),
        Draft(url="https://casino.example/", evidence="IIN 050101500123"),
        Draft(url="https://casino.example/", evidence="ask aliya@mail.kz"),
        Draft(url="https://casino.example/", evidence="from 10.0.0.7"),
        Draft(),
    ],
)  # fmt: skip
async def test_what_is_refused_and_nothing_is_noted(store: Store, draft: Draft) -> None:
    with pytest.raises(PaperworkError) as caught:
        await add(store, draft)
    assert caught.value.remedy
    assert await store.read(submissions.listed) == []
    assert await store.read(audit.heads) == {}


async def test_sites_at_addresses_and_in_kazakh(store: Store) -> None:
    await add(store, Draft(url="http://192.0.2.7:8080/casino"))
    await add(store, Draft(url="https://құмар.kz/ойын"))
    await add(store, Draft(url="http://[2001:db8::7]/"))
    rows = await store.read(submissions.listed)
    assert [row.domain for row in rows] == ["192.0.2.7", "xn--80axn57aud.kz", "2001:db8::7"]


async def test_a_staff_report_becomes_a_candidate_only_by_a_person(store: Store) -> None:
    async def ask(kind: str, asked_as: str, domain: str) -> int:
        request = Request(kind, asked_as, domain, "gambling", "pupils talk of it")
        return await store.write(lambda c: reviews.add(c, "school-1", request, now=NOW))

    by_staff = await ask("report", "staff", "casino.example")
    others = [await ask("report", "pupil", "x.example"), await ask("unblock", "staff", "y.example")]
    assert await store.read(submissions.listed) == []
    (found,) = await store.read(lambda c: submissions.candidates(c, None))
    assert found.number == by_staff

    async def take(number: int) -> int:
        return await store.write(
            lambda c: submissions.add_from_request(c, "school-1", number, Draft(), by="Aliya", now=NOW)
        )

    await take(by_staff)
    row = await only(store)
    assert (row.domain, row.evidence) == ("casino.example", "")  # what a person wrote elsewhere is not copied
    assert await store.read(lambda c: submissions.candidates(c, "school-1")) == []
    for number in (by_staff, *others, 99):
        with pytest.raises(PaperworkError):
            await take(number)


async def test_writers_at_once_get_numbers_of_their_own(settings: Any) -> None:
    stores = [await Store.open(settings) for _ in range(2)]
    try:
        numbers = await asyncio.gather(*(add(stores[n % 2]) for n in range(12)))
        assert sorted(numbers) == list(range(1, 13))
    finally:
        for one in stores:
            await one.close()


FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert guarded(f"a{text}") == f"a{text}"


async def test_files_hold_the_full_address_and_no_formula(store: Store) -> None:
    await add(store, Draft("https://terror.example/page", "extremism", "=1+1 Қазақша мәтін"))
    await add(store, Draft("https://casino.example/", "casino", '-2, "quoted"\nsecond line'))
    rows = await store.read(submissions.listed)
    content = as_csv(rows)
    assert content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert lines[0] == list(COLUMNS)
    assert lines[1][2] == "https://terror.example/page"
    assert (lines[1][5], lines[2][5]) == ("'=1+1 Қазақша мәтін", '\'-2, "quoted"\nsecond line')
    assert lines[1][8] == "2026-11-18 11:06"
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(rows))).active
    assert [cell.value for cell in sheet[1]] == list(COLUMNS)
    assert sheet["C2"].value == "https://terror.example/page"
    assert sheet["F2"].value == "'=1+1 Қазақша мәтін"
    assert (sheet["B2"].value, sheet["B2"].data_type) == (1, "n")
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    assert not any(cell.hyperlink for row in sheet.iter_rows() for cell in row)
    assert sheet.freeze_panes == "A2"


async def test_an_export_is_noted(store: Store) -> None:
    await add(store)
    rows = await store.write(lambda c: submissions.exported(c, None, None, by="Aliya", now=NOW))
    assert len(rows) == 1
    (told,) = await store.read(lambda c: audit.show(c, "", 1))
    assert (told.what, told.who) == ("kibernadzor.export", "Aliya")

"""Kept versions: the same data make none, late data make a corrected one, what is forgotten makes none."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from _reportseed import AFTER, BEGIN, CELLS, END, OCTOBER, Seed, people

from filterd.errors import ReportError
from filterd.monitor import audit
from filterd.monitor.reports import shelf
from filterd.monitor.reports.read import Area
from filterd.monitor.store.schema import DEVICE_DAYS, USAGE_MONTHS

AREA = Area("school", "s001")
NAME = "Әсел Ғабитқызы Өмірбекова"


@pytest.fixture
async def desk(desk_of):
    return await desk_of(Seed("s001", dict(CELLS)), *people("s001"))


def change(database, statement: str, *values) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


async def test_the_same_data_make_no_new_version(desk, report_of):
    first = await report_of(desk, "s001")
    again = await report_of(desk, "s001", now=AFTER + 40 * 86_400)
    assert (first.standing.version, first.new) == (1, True)
    assert (again.standing, again.text, again.new) == (first.standing, first.text, False)
    assert len(await shelf.versions(desk.store, AREA)) == 1


async def test_late_data_make_a_corrected_version_and_the_old_one_stays(desk, report_of, add, told):
    first = await report_of(desk, "s001")
    late = {"school": "s001", "month": OCTOBER.number, "tier": "staff", "category": "", "outcome": "allowed"}
    add(USAGE_MONTHS, [late | {"queries": 1000}])
    second = await report_of(desk, "s001", now=AFTER + 86_400)
    assert second.standing.version == 2
    assert second.document.traffic.queries == first.document.traffic.queries + 1000
    assert "Corrected version 2: late data changed the figures." in told(second).marks
    assert (await shelf.version_of(desk.store, AREA, OCTOBER, 1)).text == first.text
    assert (await shelf.version_of(desk.store, AREA, OCTOBER)).standing == second.standing


async def test_what_is_forgotten_makes_no_corrected_version(desk, report_of, database):
    """After a term the devices are deleted: the figures made by them must not be hidden afterwards."""
    first = await report_of(desk, "s001")
    change(database, "DELETE FROM device_days")
    assert (await report_of(desk, "s001", now=AFTER + 200 * 86_400)).standing == first.standing


async def test_newer_lists_make_no_corrected_version(desk, report_of, database):
    first = await report_of(desk, "s001")
    change(database, "UPDATE processes SET health = ?", f'{{"index_built": {END + 90 * 86_400}}}')
    assert (await report_of(desk, "s001")).standing == first.standing


async def test_a_submission_that_is_put_back_later_stays_counted(desk, report_of, database):
    first = await report_of(desk, "s001")
    change(database, "UPDATE submissions SET state = 'candidate', prepared = ? WHERE number = 2", 0)
    again = await report_of(desk, "s001")
    assert (again.standing, again.document.submissions.prepared) == (first.standing, 3)


async def test_more_devices_make_a_corrected_version(desk, report_of, add):
    first = await report_of(desk, "s001")
    more = [
        row
        for row in Seed("s001", {("malware", "staff"): (9, 3)}).devices()
        if "staff000" not in row["pseudonym"]
    ]
    add(DEVICE_DAYS, more)
    again = await report_of(desk, "s001")
    assert again.standing.version == 2
    assert again.document.traffic == first.document.traffic
    assert again.document.categories != first.document.categories  # malware is not small any more


async def test_signing(desk, report_of, told):
    kept = await report_of(desk, "s001")
    signed = await shelf.sign(desk.store, AREA, OCTOBER, f"  {NAME} ", now=AFTER)
    assert (signed.standing.signed_by, signed.standing.signed) == (NAME, int(AFTER))
    assert signed.text == kept.text

    async def log(connection):
        return await audit.show(connection, "s001", 9)

    (row,) = await desk.store.read(log)
    assert (row.who, row.what) == (NAME, "report.sign")
    assert json.loads(row.details) == {
        "month": "2026-10",
        "scope": "",
        "version": 1,
        "sha256": kept.standing.sha256,
    }
    page = told(signed, "ru")
    assert page.marks == ()
    assert ("Подписан", f"{NAME}, 02.11.2026 00:00") in page.facts
    with pytest.raises(ReportError, match="signed by Әсел Ғабитқызы Өмірбекова already"):
        await shelf.sign(desk.store, AREA, OCTOBER, "Somebody Else", now=AFTER)


async def test_a_corrected_version_is_signed_anew(desk, report_of, add):
    await report_of(desk, "s001")
    await shelf.sign(desk.store, AREA, OCTOBER, NAME, now=AFTER)
    late = {"school": "s001", "month": OCTOBER.number, "tier": "staff", "category": "", "outcome": "allowed"}
    add(USAGE_MONTHS, [late | {"queries": 1}])
    second = await report_of(desk, "s001")
    assert (second.standing.version, second.standing.signed_by) == (2, "")
    assert [one.standing.signed_by for one in await shelf.versions(desk.store, AREA)] == [NAME, ""]


@pytest.mark.parametrize("name", ["", " ", "x", "a\x07b", "N" * 201, "admin of casino.kz"])
async def test_what_is_no_name(name, desk, report_of):
    await report_of(desk, "s001")
    with pytest.raises(ReportError, match="not a person's name"):
        await shelf.sign(desk.store, AREA, OCTOBER, name, now=AFTER)


async def test_nothing_kept_nothing_signed(desk):
    with pytest.raises(ReportError, match="no report of s001 for 2026-10 is kept") as caught:
        await shelf.sign(desk.store, AREA, OCTOBER, NAME, now=AFTER)
    assert "report monthly" in caught.value.remedy


async def test_a_provisional_report_is_not_kept(desk, report_of):
    await report_of(desk, "s001", now=BEGIN + 86_400.0)
    assert await shelf.versions(desk.store) == []


async def test_a_changed_document_is_noticed(desk, report_of, database):
    await report_of(desk, "s001")
    change(database, "UPDATE reports SET document = replace(document, '\"opened\":2', '\"opened\":0')")
    kept = await shelf.version_of(desk.store, AREA, OCTOBER)
    with pytest.raises(ReportError, match="was changed after it was made"):
        _ = kept.document
    with pytest.raises(ReportError, match="was changed after it was made"):
        await shelf.sign(desk.store, AREA, OCTOBER, NAME, now=AFTER)


async def test_areas_do_not_mix(desk, report_of):
    await report_of(desk, "s001")
    await report_of(desk, "almaty", "region")
    await report_of(desk, "medeu", "district")
    found = {(one.area.kind, one.area.id) for one in await shelf.versions(desk.store)}
    assert found == {("school", "s001"), ("region", "almaty"), ("district", "medeu")}
    assert (
        await shelf.version_of(desk.store, Area("region", "almaty"), OCTOBER)
    ).document.scope.kind == "region"

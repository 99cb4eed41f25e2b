from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filterd.errors import ConfigError, PaperworkError
from filterd.monitor import audit
from filterd.monitor.access.registry import Registry
from filterd.monitor.casework import schoolfile, schools
from filterd.monitor.store.store import Store

NOW = 1_795_000_000
HEAD = "id,title_kk,title_ru,title_en,region,district,devices,operator_service,operator_since,responsible\n"
CSV = HEAD + (
    's-1,"№1 мектеп, Өскемен",Школа №1,School 1,abai,semey,120,yes,2026-09-01,Әлия Серікқызы\n'
    "s-2,,Школа №2,,abai,semey,,no,,\n\n"
)
YAML = """\
schools:
  - id: s-1
    title_kk: "№1 мектеп, Өскемен"
    title_ru: Школа №1
    title_en: School 1
    region: abai
    district: semey
    devices: 120
    operator_service: yes
    operator_since: "2026-09-01"
    responsible: Әлия Серікқызы
  - {id: s-2, title_ru: Школа №2, region: abai, district: semey, operator_service: no}
"""


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", CSV),
        ("s.csv", CSV.encode("utf-8-sig")),
        ("s.csv", CSV.replace("\n", "\r\n")),
        ("s.csv", CSV.replace(",", ";").replace("мектеп;", "мектеп,")),
        ("s.yaml", YAML),
    ],
)
def test_one_content_in_every_form(tmp_path: Path, name: str, text: str | bytes) -> None:
    first, second = schoolfile.read(written(tmp_path, name, text))
    assert (first.id, first.title_kk, first.devices) == ("s-1", "№1 мектеп, Өскемен", 120)
    assert (first.operator_service, first.operator_since) == ("yes", "2026-09-01")
    assert first.responsible == "Әлия Серікқызы"
    assert (second.operator_service, second.devices, second.title_kk) == ("no", 0, "")


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (HEAD + "s-1,,,,,,many,,,\n", 2, 7, "devices"),
        (HEAD + "s-1,,,,,,5,,,\nS 2,,,,,,5,,,\n", 3, 1, "id"),
        (HEAD + 's-1,"two\nlines",,,,,5,,,\ns-2,,,,,,,maybe,,\n', 4, 8, "operator_service"),
        (HEAD + "s-1,,,,,,,,tomorrow,\n", 2, 9, "operator_since"),
        (HEAD + "s-1,,,,,,,,,Pupil 050101500123\n", 2, 10, "12 digits"),
        (HEAD + "s-1,,,,,,,,,\ns-2,,,,,,,,,\ns-1,,,,,,,,,\n", 4, 1, "line 2"),
        (HEAD + "s-1,x\n", 2, 2, "cells"),
        (HEAD + 's-1,"open,,,,,,,,\n', 2, 0, "not CSV"),
        ("id,titel_ru\ns-1,x\n", 1, 2, "titel_ru"),
        ("id,id\n", 1, 2, "twice"),
        ("title_ru\nx\n", 1, 1, "'id' is missing"),
        ("", 1, 1, "'id' is missing"),
        (HEAD.encode() + b"s-1,\xff\n", 2, 0, "UTF-8"),
        (HEAD + "s-1,,,,,,99999999,,,\n", 2, 7, "devices"),
    ],
)
def test_errors_name_file_line_column_and_remedy(
    tmp_path: Path, text: str | bytes, line: int, column: int, words: str
) -> None:
    path = written(tmp_path, "s.csv", text)
    with pytest.raises(ConfigError) as caught:
        schoolfile.read(path)
    error = caught.value
    assert (error.file, error.line, error.column) == (path, line, column)
    assert words in error.message
    assert error.remedy


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("schools:\n  - id: s-1\n    devices: many\n", ":3:14:", "devices"),
        ("schools:\n  - id: s-1\n  - id: s-1\n", ":3:9:", "twice"),
        ("schools:\n  - id: s-1\n    titel: x\n", ":3:5:", "titel"),
        ("school: []\n", ":1:1:", "unknown key"),
    ],
)
def test_errors_of_yaml(tmp_path: Path, text: str, place: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        schoolfile.read(written(tmp_path, "s.yml", text))
    assert place in str(caught.value)
    assert words in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        schoolfile.read(tmp_path / "none.csv")
    assert "none.csv" in str(caught.value)
    with pytest.raises(ConfigError):
        schoolfile.read(written(tmp_path, "big.csv", HEAD + "\n" * (17 << 20)))


@pytest.mark.both_engines
async def test_an_import_is_whole_audited_and_seen(store: Store, settings: Any, tmp_path: Path) -> None:
    rows = schoolfile.read(written(tmp_path, "s.csv", CSV))

    async def put(what: list[Any], by: str = "Aliya") -> tuple[int, int]:
        return await store.write(lambda c: schools.put(c, what, by=by, now=NOW))

    with pytest.raises(PaperworkError):
        await put(rows, by="")
    assert await store.read(schools.listed) == []
    assert await put(rows) == (2, 0)
    assert await put(rows) == (0, 0)
    changed = [rows[0].model_copy(update={"devices": 130}), rows[1]]
    assert await put(changed) == (0, 1)
    (told, first) = await store.read(lambda c: audit.show(c, "s-1", 10))
    assert told.details == '{"new":{"devices":130},"old":{"devices":120}}'
    assert '"old":null' in first.details
    directory = await Registry(store, settings).directory()
    assert [school.id for school in directory.noted_schools()] == ["s-1", "s-2"]
    assert directory.school("s-1").district == "semey"


@pytest.mark.both_engines
async def test_many_schools_at_once(store: Store) -> None:
    rows = [schools.SchoolRow(id=f"s-{n}", devices=n) for n in range(500)]
    assert await store.write(lambda c: schools.put(c, rows, by="Aliya", now=NOW)) == (500, 0)

    async def faults(connection: Any) -> list[str]:
        return [fault async for fault in audit.faults(connection)]

    assert await store.read(faults) == []


@pytest.mark.both_engines
async def test_one_school_is_changed(store: Store) -> None:
    async def change(**changes: Any) -> None:
        await store.write(lambda c: schools.change(c, "s-1", changes, by="Aliya", now=NOW))

    await change(title_ru="Школа", devices=5)
    await change(operator_service="yes")
    (row,) = await store.read(schools.listed)
    assert (row.title_ru, row.devices, row.operator_service) == ("Школа", 5, "yes")
    for wrong in ({"devices": -1}, {"operator_since": "soon"}, {"responsible": "a@b.kz"}, {"region": "A B"}):
        with pytest.raises(PaperworkError) as caught:
            await change(**wrong)
        assert next(iter(wrong)) in caught.value.message
    with pytest.raises(PaperworkError):
        await store.write(lambda c: schools.change(c, "A B", {}, by="Aliya", now=NOW))

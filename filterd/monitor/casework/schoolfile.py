"""A file of schools, CSV or YAML, as checked rows; errors name file, line, column and what to write.

CSV is what a department's spreadsheet saves: comma or semicolon, UTF-8 with or without a byte order mark,
headings in the first line in any order. Reads only; nothing is noted here.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Final, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from filterd.errors import ConfigError
from filterd.monitor.casework.schools import FIELDS, SchoolRow
from filterd.rules.yamlsource import MAX_BYTES, load, meant, validate

COLUMNS: Final = ("id", *FIELDS)
MOST: Final = 20_000  # twice the country's schools
_CSV_BYTES = 16 * MAX_BYTES


class _SchoolFile(BaseModel):
    """The YAML form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schools: Annotated[list[SchoolRow], Field(max_length=MOST)]


def read(path: Path) -> list[SchoolRow]:
    """Return the schools of a file; ``.yaml`` and ``.yml`` are YAML, everything else CSV.

    Raises:
        ConfigError: with file, line, column and remedy.
    """
    if path.suffix.lower() in {".yaml", ".yml"}:
        source = load(path, error=ConfigError)
        schools = validate(_SchoolFile, source).schools
        seen: set[str] = set()
        for place, school in enumerate(schools):
            if school.id in seen:
                raise source.wrong(
                    f"school {school.id!r} is here twice", ("schools", place, "id"), remedy="keep one of them"
                )
            seen.add(school.id)
        return schools
    return _Csv(path).schools()


class _Csv:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 1

    def schools(self) -> list[SchoolRow]:
        text = self._text()
        heading = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=heading.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        found: list[SchoolRow] = []
        lines: dict[str, int] = {}
        try:
            names = self._names(next(reader, []))
            while True:
                self._line = reader.line_num + 1
                cells = next(reader, None)
                if cells is None:
                    return found
                if not any(cell.strip() for cell in cells):
                    continue
                school = self._school(names, cells)
                if school.id in lines:
                    column = names.index("id") + 1
                    self._wrong(
                        f"school {school.id!r} is in line {lines[school.id]} too", column, "keep one of them"
                    )
                lines[school.id] = self._line
                found.append(school)
                if len(found) > MOST:
                    self._wrong(f"more than {MOST} schools", 0, "split the file")
        except csv.Error as error:
            self._wrong(f"not CSV: {error}", 0, "check the quotes of this line")

    def _text(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(_CSV_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"cannot be read: {error.strerror}",
                file=self._path,
                remedy="check the path and its permissions",
            ) from error
        if len(content) > _CSV_BYTES:
            raise ConfigError(f"larger than {_CSV_BYTES} bytes", file=self._path, remedy="split it")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._line = content.count(b"\n", 0, error.start) + 1
            self._wrong("not UTF-8", 0, "save it as CSV UTF-8")

    def _names(self, cells: list[str]) -> list[str]:
        names = [cell.strip().lower() for cell in cells]
        for column, name in enumerate(names, 1):
            if name not in COLUMNS:
                self._wrong(f"there is no column {name[:70]!r}", column, meant(name, COLUMNS))
            if names.index(name) != column - 1:
                self._wrong(f"the column {name!r} is here twice", column, "keep one of them")
        if "id" not in names:
            self._wrong(
                "the column 'id' is missing", 1, f"the first line names columns of {', '.join(COLUMNS)}"
            )
        return names

    def _school(self, names: list[str], cells: list[str]) -> SchoolRow:
        if len(cells) != len(names):
            self._wrong(
                f"{len(cells)} cells under {len(names)} headings", len(cells), "quote cells that hold a comma"
            )
        values = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        if not values.get("devices", "0"):
            del values["devices"]
        try:
            return SchoolRow.model_validate(values)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            name = str(fault["loc"][0])
            message = fault["msg"].removeprefix("Value error, ")
            self._wrong(f"{name}: {message[:1].lower()}{message[1:]}", names.index(name) + 1, _REMEDIES[name])

    def _wrong(self, message: str, column: int, remedy: str) -> NoReturn:
        raise ConfigError(message, file=self._path, line=self._line, column=column, remedy=remedy)


_TITLE = "write it in up to 200 characters, without numbers or addresses of persons"
_ID = "write 1-64 of a-z 0-9 _ . : - beginning with a letter or digit"
_REMEDIES: Final = {
    "id": _ID,
    "region": f"{_ID}, or nothing",
    "district": f"{_ID}, or nothing",
    "title_kk": _TITLE,
    "title_ru": _TITLE,
    "title_en": _TITLE,
    "responsible": _TITLE,
    "devices": "write a whole number, or nothing",
    "operator_service": "write yes, no, or nothing",
    "operator_since": "write a date as 2026-09-01, or nothing",
}

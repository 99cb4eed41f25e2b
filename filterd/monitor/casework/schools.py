"""Schools as the region knows them: imported all or none, changed one by one, always audited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.events.batch import Identifier
from filterd.monitor import audit
from filterd.monitor.access.registry import touch
from filterd.monitor.audit import Entry
from filterd.monitor.casework.privacy import checked
from filterd.monitor.store.paperwork import SCHOOLS
from filterd.monitor.store.sql import upsert

_MOST_DEVICES: Final = 100_000
FIELDS: Final = (
    *("title_kk", "title_ru", "title_en", "region", "district", "devices"),
    *("operator_service", "operator_since", "responsible"),
)


class SchoolRow(BaseModel):
    """A school as it is written in a file or given to a command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier
    title_kk: str = ""
    title_ru: str = ""
    title_en: str = ""
    region: Identifier | Literal[""] = ""
    district: Identifier | Literal[""] = ""
    devices: int = Field(default=0, ge=0, le=_MOST_DEVICES)
    operator_service: Literal["yes", "no", ""] = ""
    operator_since: str = ""
    responsible: str = ""

    @field_validator("operator_service", mode="before")
    @classmethod
    def _yes_or_no(cls, value: object) -> object:
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

    @field_validator("title_kk", "title_ru", "title_en", "responsible")
    @classmethod
    def _text(cls, value: str) -> str:
        try:
            return " ".join(checked(value, "this", most=200).split())
        except PaperworkError as error:
            raise ValueError(error.message) from error

    @field_validator("operator_since")
    @classmethod
    def _date(cls, value: str) -> str:
        try:
            return date.fromisoformat(value).isoformat() if value else ""
        except ValueError:
            raise ValueError("write a date as 2026-09-01") from None


async def put(
    connection: AsyncConnection, schools: Iterable[SchoolRow], *, by: str, now: int
) -> tuple[int, int]:
    """Note schools, all in the caller's transaction; return how many are new and how many were changed.

    Raises:
        PaperworkError: nobody is named.
    """
    await touch(connection)
    known = {row.school: _values(row) for row in await connection.execute(select(SCHOOLS))}
    rows: list[dict[str, Any]] = []
    entries: list[Entry] = []
    for school in schools:
        new = school.model_dump(exclude={"id"})
        old = known.get(school.id)
        if old == new:
            continue
        rows.append({"school": school.id, "changed": now, **new})
        changed = {name: value for name, value in new.items() if old is None or old[name] != value}
        was = {name: old[name] for name in changed} if old is not None else None
        entries.append(Entry(school.id, by, "school.set", {"old": was, "new": changed}))
    if rows:
        await connection.execute(upsert(connection, SCHOOLS, replace=(*FIELDS, "changed")), rows)
        await audit.append(connection, now, *entries)
    return sum(entry.details["old"] is None for entry in entries), sum(
        entry.details["old"] is not None for entry in entries
    )


async def change(
    connection: AsyncConnection, school: str, changes: Mapping[str, Any], *, by: str, now: int
) -> None:
    """Change some of what is noted of a school; one that is not there yet is noted.

    Raises:
        PaperworkError: a value is wrong.
    """
    row = (await connection.execute(select(SCHOOLS).where(SCHOOLS.c.school == school))).first()
    values = (_values(row) if row is not None else {}) | dict(changes) | {"id": school}
    try:
        wanted = SchoolRow.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = ".".join(str(step) for step in fault["loc"][:1])
        message = fault["msg"].removeprefix("Value error, ")
        raise PaperworkError(
            f"{name}: {message}", remedy="filterd school set --help tells what it takes"
        ) from None
    await put(connection, [wanted], by=by, now=now)


async def listed(connection: AsyncConnection) -> list[Row[Any]]:
    """Return all noted schools, by id."""
    return list((await connection.execute(select(SCHOOLS).order_by(SCHOOLS.c.school))).all())


def _values(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in FIELDS}

"""Every version of every report that was made, in the store: kept whole, with its digest, and who signed it.

The same data make no new version; late data make a corrected one, and the old one stays. What time takes away
makes none: when devices are forgotten (retention), or lists move on, the kept report says what was true.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import ReportError
from filterd.monitor import audit
from filterd.monitor.audit import Entry
from filterd.monitor.reports.document import Document, Submissions
from filterd.monitor.reports.domains import names_domain
from filterd.monitor.reports.month import Month
from filterd.monitor.reports.read import Area
from filterd.monitor.reports.sections import Standing
from filterd.monitor.store.paperwork import REPORTS
from filterd.monitor.store.store import Store

_NAME: Final = 200  # characters of a signature


@dataclass(frozen=True, slots=True)
class Kept:
    """One version.

    Attributes:
        text: the document's JSON; its SHA-256 is the digest.
        new: whether it was made just now.
    """

    area: Area
    month: Month
    standing: Standing
    text: str
    new: bool = False

    @property
    def document(self) -> Document:
        """The document.

        Raises:
            ReportError: it is not what was kept, or was made by a newer version of the program.
        """
        where = f"the report of {self.area.id or 'all schools'} for {self.month}"
        if digest(self.text) != self.standing.sha256:
            raise ReportError(
                f"{where} was changed after it was made", remedy="restore the store from a copy"
            )
        try:
            return Document.model_validate_json(self.text)
        except ValidationError as error:
            raise ReportError(
                f"{where} cannot be read by this version",
                remedy="install the version that made it, or a newer one",
            ) from error


def canonical(document: Document) -> str:
    """Return a document as the one text that is hashed and kept."""
    values = document.model_dump(mode="json")
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """Return the digest of a document's text."""
    return hashlib.sha256(text.encode()).hexdigest()


async def keep(store: Store, area: Area, document: Document, now: float) -> Kept:
    """Keep a document; return the version that holds now, which is an old one when nothing new is said.

    A report of a month that is not over is provisional: it is returned as version 0 and not kept.
    """
    month = Month(document.scope.month)
    if not document.scope.complete:
        text = canonical(document)
        return Kept(area, month, Standing(0, int(now), digest(text)), text, new=True)

    async def work(connection: AsyncConnection) -> Kept:
        last = await _last(connection, area, month)
        settled = _settled(document, last.document) if last else document
        text = canonical(settled)
        if last and last.standing.sha256 == digest(text):
            return last
        standing = Standing(last.standing.version + 1 if last else 1, int(now), digest(text))
        row = {
            **_key(area, month),
            "version": standing.version,
            "made": standing.made,
            "sha256": standing.sha256,
        }
        await connection.execute(insert(REPORTS), {**row, "document": text, "signed_by": "", "signed": 0})
        return Kept(area, month, standing, text, new=True)

    return await store.write(work)


def _settled(new: Document, last: Document) -> Document:
    """Return a document made again, with what time took away as the last version said it."""
    had, has = last.coverage.devices_blocked, new.coverage.devices_blocked
    if had is not None and (has is None or has < had):
        return last  # devices are forgotten after a term: their figures would be hidden now
    states = Submissions(
        **{
            name: max(getattr(new.submissions, name), getattr(last.submissions, name))
            for name in Submissions.model_fields
        }
    )
    policy = new.policy.model_copy(update={"lists": last.policy.lists})
    return new.model_copy(update={"policy": policy, "submissions": states})


async def versions(store: Store, area: Area | None = None, month: Month | None = None) -> list[Kept]:
    """Return what is kept, without the documents' texts when no month is asked for; the newest last."""
    columns: Sequence[Any] = [
        column for column in REPORTS.c if month is not None or column.name != "document"
    ]
    statement = select(*columns).order_by(
        REPORTS.c.month, REPORTS.c.school, REPORTS.c.scope, REPORTS.c.version
    )
    if area is not None:
        school, scope = _place(area)
        statement = statement.where(REPORTS.c.school == school, REPORTS.c.scope == scope)
    if month is not None:
        statement = statement.where(REPORTS.c.month == month.number)

    async def work(connection: AsyncConnection) -> list[Kept]:
        return [_kept(row) for row in await connection.execute(statement)]

    return await store.read(work)


async def version_of(store: Store, area: Area, month: Month, number: int | None = None) -> Kept:
    """Return a version, the newest when no number is given.

    Raises:
        ReportError: there is none.
    """
    found = [one for one in await versions(store, area, month) if number in {None, one.standing.version}]
    if not found:
        which = f"version {number} of the report" if number else "report"
        raise ReportError(
            f"no {which} of {area.id or 'all schools'} for {month} is kept",
            remedy="`filterd report list` shows what is; `filterd report monthly` makes one",
        )
    return found[-1]


async def sign(
    store: Store, area: Area, month: Month, name: str, *, now: float, number: int | None = None
) -> Kept:
    """Sign a version, the newest when no number is given, by the name of the person responsible.

    Raises:
        ReportError: there is none, it is signed, it was changed, or the name is none.
    """
    name = " ".join(name.split())
    if not 2 <= len(name) <= _NAME or not name.isprintable() or names_domain(name):
        raise ReportError("that is not a person's name", remedy='write it in full, as --by "А. Б. Серикова"')
    kept = await version_of(store, area, month, number)
    _ = kept.document  # as it was made, or it cannot be signed
    changed = (
        update(REPORTS)
        .where(*(REPORTS.c[column] == value for column, value in _key(area, month).items()))
        .where(REPORTS.c.version == kept.standing.version, REPORTS.c.signed_by == "")
        .values(signed_by=name, signed=int(now))
    )

    details = {"month": str(month), "version": kept.standing.version, "sha256": kept.standing.sha256}
    school, scope = _place(area)
    entry = Entry(school, name, "report.sign", {"scope": scope, **details})

    async def work(connection: AsyncConnection) -> bool:
        result: Any = await connection.execute(changed)
        if result.rowcount:
            await audit.append(connection, int(now), entry)
        return bool(result.rowcount)

    if not await store.write(work):
        raise ReportError(
            f"version {kept.standing.version} was signed by {kept.standing.signed_by or 'somebody'} already",
            remedy="a signature is not changed; a corrected version is signed anew",
        )
    return await version_of(store, area, month, kept.standing.version)


async def _last(connection: AsyncConnection, area: Area, month: Month) -> Kept | None:
    statement = (
        select(REPORTS)
        .where(*(REPORTS.c[column] == value for column, value in _key(area, month).items()))
        .order_by(REPORTS.c.version.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return _kept(row) if row is not None else None


def _place(area: Area) -> tuple[str, str]:
    return (area.id, "") if area.kind == "school" else ("", f"{area.kind}:{area.id}"[:64])


def _key(area: Area, month: Month) -> dict[str, Any]:
    school, scope = _place(area)
    return {"school": school, "scope": scope, "month": month.number}


def _kept(row: Any) -> Kept:
    kind, _, name = row.scope.partition(":")
    area = Area("school", row.school) if row.school else Area(kind, name)
    standing = Standing(row.version, row.made, row.sha256, row.signed_by, row.signed)
    return Kept(area, Month(row.month), standing, getattr(row, "document", ""))

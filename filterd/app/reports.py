"""``filterd report``: the store of the configuration, opened; reports made, kept, signed and written."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.app.endpoint import settings
from filterd.app.listsreport import exceptions_now
from filterd.app.policyfiles import policy_to_ask
from filterd.app.policylog import PolicyLog
from filterd.app.prepare import write_atomically
from filterd.config.load import Config
from filterd.errors import FilterdError, PolicyError, ReportError
from filterd.i18n import LANGUAGES, language
from filterd.monitor.reports import shelf
from filterd.monitor.reports.desk import Desk, Progress
from filterd.monitor.reports.document import Retention, Texts
from filterd.monitor.reports.domains import without_domains
from filterd.monitor.reports.month import Month
from filterd.monitor.reports.read import Area, Period
from filterd.monitor.reports.render import rendered
from filterd.monitor.reports.sections import Standing, outline
from filterd.monitor.reports.shelf import Kept
from filterd.monitor.reports.yearly import MAX_CHANGES, MonthOf, Overdue, PolicyChange, YearPack, year_outline
from filterd.monitor.store.schema import DEMONSTRATION, MARKS
from filterd.monitor.store.store import Store
from filterd.rules.categories import load_categories
from filterd.rules.layers import Region
from filterd.rules.policy import Policy
from filterd.rules.yamlsource import load, validate


@asynccontextmanager
async def open_desk(config: Config) -> AsyncIterator[Desk]:
    """Give the desk over the configuration's store, closed afterwards.

    Raises:
        FilterdError: configuration, policy or store cannot be used.
    """
    config.state.make()
    told = settings(config)
    policy = policy_to_ask(config, at=time.time())
    store = await Store.open(told)
    try:
        yield Desk(
            store,
            load_categories(config.categories),
            Retention(events_days=told.retention_days_events, usage_days=told.retention_days_usage),
            _titles(config, policy),
            zone=told.days_in,
            demonstration=await store.read(_is_demonstration),
        )
    finally:
        await store.close()


async def _is_demonstration(connection: AsyncConnection) -> bool:
    """Tell whether the store was filled by `filterd demo`: every report then says so."""
    mark = select(MARKS.c.at).where(MARKS.c.school == "", MARKS.c.name == DEMONSTRATION)
    return await connection.scalar(mark) is not None


def _titles(config: Config, policy: Policy) -> dict[tuple[str, str], Texts]:
    """Return what this box's school and region are called, by their policy files."""
    found = {("school", policy.school): _texts(policy.title)}
    if config.region is not None and policy.region:
        told = validate(Region, load(config.region, error=PolicyError))
        found["region", policy.region] = _texts(told.title.model_dump())
    return found


def _texts(title: Mapping[str, str]) -> Texts:
    return Texts(**{code: without_domains(title[code]) for code in LANGUAGES})


async def monthly(desk: Desk, area: Area, month: Month, progress: Progress) -> Kept:
    """Make the report of a month, as seen now."""
    return await desk.monthly(area, Period(month, time.time(), desk.zone), progress)


def as_file(desk: Desk, kept: Kept, code: str, form: str) -> bytes:
    """Return a kept report as a file.

    Raises:
        ReportError: it was changed after it was made, or the system lacks what PDF needs.
    """
    page = outline(kept.document, language(code), kept.standing, desk.zone)
    return rendered(page, kept.text, form)


async def year_pack(desk: Desk, config: Config, area: Area, year: int) -> YearPack:
    """Return the review pack of a year from what is kept.

    Raises:
        ReportError: no month of the year is kept.
    """
    months = []
    for number in range(12):
        try:
            kept = await shelf.version_of(desk.store, area, Month.of(year, number + 1))
        except ReportError:
            continue
        standing = kept.standing
        months.append(
            MonthOf(
                month=kept.month.number,
                version=standing.version,
                sha256=standing.sha256,
                signed_by=standing.signed_by,
                document=kept.document,
            )
        )
    if not months:
        raise ReportError(
            f"no report of {area.id or 'all schools'} for {year} is kept",
            remedy="make them: `filterd report monthly`",
        )
    pack = YearPack(year=year, months=tuple(months))
    if area.kind != "school" or (area.kind, area.id) not in desk.titles:
        return pack
    changes = _changes(config, year, desk.zone)
    return pack.model_copy(
        update={
            "changes": changes[-MAX_CHANGES:],
            "changes_in_all": len(changes),
            "overdue": _overdue(config),
        }
    )


def year_file(desk: Desk, pack: YearPack, code: str, form: str) -> bytes:
    """Return a review pack as a file."""
    text = pack.model_dump_json()
    standing = Standing(0, int(time.time()), shelf.digest(text))
    return rendered(year_outline(pack, language(code), standing, desk.zone), text, form)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        ReportError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}", remedy="name another file") from error


def _changes(config: Config, year: int, zone: tzinfo) -> tuple[PolicyChange, ...]:
    """Return the changes of a year, the oldest first."""
    found = []
    for one in PolicyLog(config.state.policy_log).newest():
        at = datetime.fromisoformat(one.at)
        if at.astimezone(zone).year == year:
            found.append(
                PolicyChange(
                    at=at.astimezone(UTC),
                    what=one.what,
                    who=without_domains(one.who),
                    old=one.old,
                    new=one.new,
                )
            )
    return tuple(reversed(found))


def _overdue(config: Config) -> tuple[Overdue, ...] | None:
    """Return the overdue exceptions; None when this user may not read them."""
    try:
        found = exceptions_now(config)
    except FilterdError:
        return None
    return tuple(
        Overdue(review=date.fromisoformat(one.review), action=one.action, author=without_domains(one.author))
        for one in found
        if one.state == "overdue"
    )

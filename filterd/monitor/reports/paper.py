"""What people did in a month: review requests, submissions, cards, releases; counts, and facts they told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.reports.month import Month
from filterd.monitor.reports.tally import Tally
from filterd.monitor.store.paperwork import CARDS, FACTS, RELEASES, REVIEW_REQUESTS, SUBMISSIONS

# Facts of a month that reports show (casework/facts.py); of a region they stand under the school "".
CONNECTED: Final = "specialists_connected"
TOTAL: Final = "specialists_total"
INCIDENTS: Final = "incidents"
RESPONSIBLE: Final = "responsible"


async def add_paper(connection: AsyncConnection, found: Mapping[str, Tally], begin: int, end: int) -> None:
    """Add what was done from ``begin`` to before ``end``."""
    await _add_reviews(connection, found, begin, end)
    await _add_submissions(connection, found, begin, end)
    await _add_cases(connection, found, begin, end)


async def _add_reviews(connection: AsyncConnection, found: Mapping[str, Tally], begin: int, end: int) -> None:
    review = REVIEW_REQUESTS.c
    statement = select(review.school, review.asked, review.state, review.decided, review.overblock).where(
        review.school.in_(found), review.asked < end, or_(review.decided == 0, review.decided >= begin)
    )
    for school, asked, state, decided, overblock in await connection.execute(statement):
        tally = found[school]
        tally.received += asked >= begin
        if not decided or decided >= end:
            tally.open += 1
            continue
        tally.granted += state == "granted"
        tally.refused += state == "refused"
        tally.overblocks += bool(overblock)
        tally.waits.append(max(0, decided - asked))


async def _add_submissions(
    connection: AsyncConnection, found: Mapping[str, Tally], begin: int, end: int
) -> None:
    """Count each state in the month in which it was first reached."""
    one = SUBMISSIONS.c
    in_month = or_(*(one[stamp].between(begin, end - 1) for stamp in ("prepared", "sent", "decided")))
    statement = select(one.school, one.state, one.prepared, one.sent, one.decided).where(
        one.school.in_(found), in_month
    )
    for school, state, prepared, sent, decided in await connection.execute(statement):
        counts = found[school].submissions
        counts["prepared"] += begin <= prepared < end
        counts["sent"] += begin <= sent < end
        if state in {"confirmed", "refused"}:
            counts[state] += begin <= decided < end


async def _add_cases(connection: AsyncConnection, found: Mapping[str, Tally], begin: int, end: int) -> None:
    card = CARDS.c
    in_month = or_(card.opened.between(begin, end - 1), card.closed.between(begin, end - 1))
    cards = select(card.school, card.opened, card.closed).where(card.school.in_(found), in_month)
    for school, opened, closed in await connection.execute(cards):
        found[school].opened += begin <= opened < end
        found[school].closed += begin <= closed < end
    release = RELEASES.c
    releases = select(release.school, release.asked, release.decided, release.state).where(
        release.school.in_(found),
        or_(release.asked.between(begin, end - 1), release.decided.between(begin, end - 1)),
    )
    for school, asked, decided, state in await connection.execute(releases):
        found[school].releases_asked += begin <= asked < end
        approved = state in {"approved", "expired"}  # an expired one had been approved
        found[school].releases_approved += approved and begin <= decided < end


async def facts_of(connection: AsyncConnection, school: str, month: Month) -> dict[str, str]:
    """Return the facts of a school (``""``: the region) in a month."""
    statement = select(FACTS.c.name, FACTS.c.value).where(
        and_(FACTS.c.school == school, FACTS.c.month == month.number)
    )
    return {row.name: row.value for row in await connection.execute(statement)}

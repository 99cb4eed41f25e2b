"""Review requests (R14): "please look at this block again", "this site should be blocked", with a clock.

Anybody at a school may ask, so what they write is bounded and checked, and nothing about who asked is kept
but whether it was a pupil, a parent or staff. A person decides and says why. The audit log tells that one
came and what was decided, never its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.access.boxes import identifier
from filterd.monitor.audit import Entry, named
from filterd.monitor.casework.numbers import next_number, row_of
from filterd.monitor.casework.privacy import checked
from filterd.monitor.casework.submissions import checked_domain
from filterd.monitor.store.paperwork import REVIEW_REQUESTS

KINDS: Final = ("unblock", "report")
ASKERS: Final = ("pupil", "parent", "staff")
STATES: Final = ("open", "granted", "refused")
MOST_OPEN: Final = 500  # of one school: more would hide the ones that matter
MOST_TEXT: Final = 500
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for.

    Args:
        kind: ``unblock`` or ``report``.
        asked_as: ``pupil``, ``parent`` or ``staff``.
        domain: the site.
        category: by which it was blocked, ``""``: not known.
        text: why; bounded, without pupil data.
    """

    kind: str
    asked_as: str
    domain: str
    category: str = ""
    text: str = ""


async def add(connection: AsyncConnection, school: str, request: Request, *, now: int) -> int:
    """Note a request and return its number.

    An open request for the same site and of the same kind takes this one in: asking often changes nothing.

    Raises:
        PaperworkError: a value is wrong or names a person, or too many are open.
    """
    identifier(school, "school")
    if request.kind not in KINDS or request.asked_as not in ASKERS:
        raise PaperworkError(
            "a request is to unblock or report, by pupil, parent or staff", remedy="choose from them"
        )
    if request.category:
        identifier(request.category, "category")
    domain = checked_domain(request.domain)
    text = checked(request.text, "the text", most=MOST_TEXT)
    await audit.alone(connection)
    mine = (REVIEW_REQUESTS.c.school == school, REVIEW_REQUESTS.c.state == "open")
    same = select(REVIEW_REQUESTS.c.number).where(
        *mine,
        REVIEW_REQUESTS.c.domain == domain,
        REVIEW_REQUESTS.c.kind == request.kind,
        REVIEW_REQUESTS.c.asked_as == request.asked_as,
    )
    if (number := await connection.scalar(same.limit(1))) is not None:
        return int(number)
    if int(await connection.scalar(select(func.count()).where(*mine)) or 0) >= MOST_OPEN:
        raise PaperworkError("too many requests of this school wait", remedy="answer some of them first")
    number = await next_number(connection, REVIEW_REQUESTS, school)
    values = {"school": school, "number": number, "kind": request.kind, "asked": now}
    values |= {"asked_as": request.asked_as, "domain": domain, "category": request.category, "text": text}
    values |= {"state": "open", "decided": 0, "decided_by": "", "reason": "", "overblock": False}
    await connection.execute(insert(REVIEW_REQUESTS), values)
    told = {"number": number, "kind": request.kind, "as": request.asked_as}
    await audit.append(connection, now, Entry(school, request.asked_as, "review.add", told))
    return number


async def decide(
    connection: AsyncConnection,
    school: str,
    number: int,
    *,
    grant: bool,
    by: str,
    reason: str,
    now: int,
    overblock: bool = False,
) -> None:
    """Grant or refuse an open request.

    Args:
        connection: of a write transaction.
        school: id.
        number: of the request.
        grant: or refuse.
        by: the person.
        reason: in words; needed, it is the answer.
        now: UTC seconds.
        overblock: the block was a mistake, now corrected (report, part 8); only when granted.

    Raises:
        PaperworkError: no such open request, no reason, or the reason holds what could name a pupil.
    """
    reason = checked(reason, "the reason", needed=True)
    if overblock and not grant:
        raise PaperworkError(
            "a refused request is no mistake of the filter", remedy="grant it, or leave it away"
        )
    await audit.alone(connection)
    row = await row_of(connection, REVIEW_REQUESTS, school, number, "review request")
    if row.state != "open":
        raise PaperworkError(f"request {number} was {row.state} by {row.decided_by}", remedy="ask anew")
    state = "granted" if grant else "refused"
    values = {
        "state": state,
        "decided": now,
        "decided_by": named(by),
        "reason": reason,
        "overblock": overblock,
    }
    where = (REVIEW_REQUESTS.c.school == school, REVIEW_REQUESTS.c.number == number)
    await connection.execute(update(REVIEW_REQUESTS).where(*where).values(values))
    told = {"number": number, "state": state, "reason": reason, "overblock": overblock}
    await audit.append(connection, now, Entry(school, by, "review.decide", told))


async def listed(
    connection: AsyncConnection, school: str | None = None, state: str | None = None, limit: int = 500
) -> list[Row[Any]]:
    """Return requests, the longest waiting first."""
    query = select(REVIEW_REQUESTS).order_by(
        REVIEW_REQUESTS.c.asked, REVIEW_REQUESTS.c.school, REVIEW_REQUESTS.c.number
    )
    if school is not None:
        query = query.where(REVIEW_REQUESTS.c.school == school)
    if state is not None:
        query = query.where(REVIEW_REQUESTS.c.state == state)
    return list((await connection.execute(query.limit(limit))).all())


async def median_hours(connection: AsyncConnection, school: str | None, begin: int, end: int) -> float | None:
    """Return the median time from question to answer of those answered from ``begin`` to before ``end``.

    Returns:
        Hours; None when none was answered.
    """
    query = select(REVIEW_REQUESTS.c.asked, REVIEW_REQUESTS.c.decided).where(
        REVIEW_REQUESTS.c.decided >= max(1, begin), REVIEW_REQUESTS.c.decided < end
    )
    if school is not None:
        query = query.where(REVIEW_REQUESTS.c.school == school)
    waits = [max(0, decided - asked) for asked, decided in await connection.execute(query)]
    return median(waits) / _HOUR if waits else None

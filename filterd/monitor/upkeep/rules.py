"""How long each table's rows live (school.md, retention). Pure; a table without a rule here fails a test.

Events: 30 calendar days (UTC), the running one among them, so none is ever older than 30 days.
Pseudonymous summaries: 4 calendar months, the running one among them: a term and the time its reports need.
Aggregates, paperwork and audit: 3 years, then until the end of the month.
Whole days and months, so that PostgreSQL can drop partitions instead of deleting rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, or_

from filterd.monitor.days import DAY_SECONDS, first_day, month_of
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.paperwork import (
    AUDIT,
    CARDS,
    FACTS,
    RELEASES,
    REPORTS,
    REVIEW_REQUESTS,
    SCHOOLS,
    SUBMISSIONS,
    TOKENS,
)
from filterd.monitor.store.schema import (
    BOX_HOURS,
    BOXES,
    DEVICE_DAYS,
    DIRTY_DAYS,
    EVENT_TOTALS,
    EVENTS,
    GAPS,
    MARKS,
    PROCESSES,
    SELFTESTS,
    STREAMS,
    USAGE,
    USAGE_DAYS,
    USAGE_MONTHS,
    USAGE_TOTALS,
)

_YEAR = 365 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Borders:
    """What is older than these goes.

    Args:
        now: UTC seconds.
        events: UTC seconds.
        summaries: a day.
        aggregates: UTC seconds, the beginning of a month.
    """

    now: int
    events: int
    summaries: int
    aggregates: int

    @property
    def aggregates_day(self) -> int:
        """The same as a day."""
        return self.aggregates // DAY_SECONDS

    @property
    def aggregates_month(self) -> int:
        """The same as a month."""
        return month_of(self.aggregates_day)

    @property
    def summaries_at(self) -> int:
        """The beginning of the day."""
        return self.summaries * DAY_SECONDS


def borders(settings: MonitorSettings, now: float) -> Borders:
    """Return the borders at an instant."""
    today = int(now) // DAY_SECONDS
    oldest = max(0, today - settings.retention_days_usage)
    return Borders(
        now=int(now),
        events=events_from(settings, now),
        summaries=first_day(max(month_of(0), month_of(today) - settings.retention_months_summaries + 1)),
        aggregates=first_day(month_of(oldest)) * DAY_SECONDS,
    )


def events_from(settings: MonitorSettings, now: float) -> int:
    """Return the UTC seconds from which events are kept."""
    return (int(now) // DAY_SECONDS - settings.retention_days_events + 1) * DAY_SECONDS


Condition = Callable[[Borders], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A table's rule.

    Args:
        table: whose rows.
        old: the rows that go; ``None``: all are kept.
        kept: why, when they are.
    """

    table: Table
    old: Condition | None
    kept: str = ""


def _events(b: Borders) -> ColumnElement[bool]:
    # A clock that ran ahead must not keep a record for years: then the time of arrival counts.
    ahead = and_(EVENTS.c.bucket > b.now + DAY_SECONDS, EVENTS.c.received < b.events)
    return or_(EVENTS.c.bucket < b.events, ahead)


def _tokens(b: Borders) -> ColumnElement[bool]:
    revoked = and_(TOKENS.c.revoked > 0, TOKENS.c.revoked < b.aggregates)
    return or_(revoked, and_(TOKENS.c.expires > 0, TOKENS.c.expires < b.aggregates))


def _cards(b: Borders) -> ColumnElement[bool]:
    # A card holds a pseudonym: it goes a term after it was closed, a forgotten one after a school year.
    closed = and_(CARDS.c.closed > 0, CARDS.c.closed < b.summaries_at)
    return or_(closed, CARDS.c.opened < b.now - _YEAR)


_COUNTERS = "sums behind the counters of /metrics, which must never fall; they name nobody and are bounded"

RULES: tuple[Rule, ...] = (
    Rule(EVENTS, _events),
    Rule(DEVICE_DAYS, lambda b: DEVICE_DAYS.c.day < b.summaries),
    Rule(DIRTY_DAYS, lambda b: DIRTY_DAYS.c.day < b.events // DAY_SECONDS - 1),  # nothing to make them from
    Rule(USAGE, lambda b: USAGE.c.hour < b.aggregates),
    Rule(USAGE_DAYS, lambda b: USAGE_DAYS.c.day < b.aggregates_day),
    Rule(USAGE_MONTHS, lambda b: USAGE_MONTHS.c.month < b.aggregates_month),
    Rule(BOX_HOURS, lambda b: BOX_HOURS.c.hour < b.aggregates),
    Rule(SELFTESTS, lambda b: SELFTESTS.c.at < b.aggregates),
    Rule(STREAMS, lambda b: STREAMS.c.last_seen < b.aggregates),
    Rule(GAPS, lambda b: GAPS.c.noticed < b.aggregates),
    Rule(PROCESSES, lambda b: PROCESSES.c.received < b.aggregates),
    Rule(BOXES, lambda b: BOXES.c.last_seen < b.aggregates),
    Rule(TOKENS, _tokens),
    Rule(REVIEW_REQUESTS, lambda b: REVIEW_REQUESTS.c.asked < b.aggregates),
    Rule(SUBMISSIONS, lambda b: SUBMISSIONS.c.changed < b.aggregates),
    Rule(CARDS, _cards),
    Rule(RELEASES, lambda b: RELEASES.c.asked < b.aggregates),
    Rule(FACTS, lambda b: FACTS.c.month < b.aggregates_month),
    Rule(REPORTS, lambda b: REPORTS.c.month < b.aggregates_month),
    Rule(AUDIT, lambda b: AUDIT.c.at < b.aggregates),
    Rule(USAGE_TOTALS, None, _COUNTERS),
    Rule(EVENT_TOTALS, None, _COUNTERS),
    Rule(SCHOOLS, None, "the register of schools: kept by people, who remove a school that is closed"),
    Rule(MARKS, None, "one row for each task of the endpoint itself"),
)

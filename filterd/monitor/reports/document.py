"""What a monthly report says, as values: one school's, or that of a district or region (school.md, 14 parts).

Every format and language is written from this; it is what is kept, hashed and signed. ``None`` in the place
of a count means that it is hidden (`suppress.py`), of anything else that it is not known. No text in it may
name a domain or an address: that is checked here, whoever made the document.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from filterd.monitor.reports.domains import names_domain

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Hidden = Count | None
Answer = Literal["yes", "no", ""]


class Model(BaseModel):
    """Base: frozen, unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Texts(Model):
    """A name in three languages."""

    kk: str
    ru: str
    en: str

    def of(self, code: str) -> str:
        """Return it in a language."""
        return str(getattr(self, code))


class Scope(Model):
    """1: whom and which period the report is about."""

    kind: Literal["school", "district", "region"]
    id: str
    title: Texts
    region: str = ""
    region_title: Texts | None = None
    district: str = ""
    month: int
    first: date
    last: date
    complete: bool  # whether the month was over when it was made
    demonstration: bool = False


class Uptime(Model):
    """When the filter worked, by its own heartbeat: 5-minute steps."""

    steps: Count
    expected: Count
    lesson_steps: Count  # Monday-Saturday 08:00-19:00
    lesson_expected: Count
    days: tuple[tuple[date, Share], ...] = ()  # of the days with an expectation


class Coverage(Model):
    """2: what the filter covers, and how long it worked."""

    schools: Count
    reporting: Count
    devices: Count  # as schools count them; 0: not told
    devices_blocked: Hidden  # devices with a blocked lookup
    uptime: Uptime | None
    since: date | None = None  # of a school whose box was first heard of in this month
    operator_yes: Count
    operator_no: Count
    operator_unknown: Count
    operator_since: date | None = None


class SelfTests(Model):
    """3: the self-tests of the month (R19)."""

    made: Count = 0
    passed: Count = 0
    last: datetime | None = None
    failed: tuple[str, ...] = ()  # categories that failed at least once
    schools_without: Count = 0


class Lists(Model):
    """3: how old the lists were when the report was first made."""

    built: date | None = None  # the oldest index in use
    confirmed: date | None = None  # the list whose source was asked longest ago


class Policy(Model):
    """3: the filtering policy."""

    versions: tuple[str, ...] = ()  # in force in the month, in order; of a region: how many stand in `kinds`
    kinds: Count = 0
    lists: Lists = Lists()
    tests: SelfTests = SelfTests()
    without_source: tuple[str, ...] = ()


class Traffic(Model):
    """4: lookups by what became of them (R15). ``allowed`` and ``blocked`` are hidden together."""

    queries: Count
    allowed: Hidden
    blocked: Hidden
    rewritten: Count
    canaries: Count  # software that asked whether it may go round the filter, and was told no
    failed: Count
    refused: Count


class Row(Model):
    """5: blocked lookups of one category, by tier in the order of `Categories.tiers`, and in all."""

    category: str  # "": blocked by name, without a category
    cells: tuple[Hidden, ...]
    total: Hidden


class CategoryName(Model):
    """What a category is called."""

    id: str
    severity: str
    names: Texts


class Categories(Model):
    """5: category x tier."""

    k: Count
    tiers: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[Hidden, ...]
    total: Hidden
    names: tuple[CategoryName, ...]


class Reviews(Model):
    """7 and 8: review requests (R14) and blocks that were mistakes."""

    received: Count = 0
    granted: Count = 0
    refused: Count = 0
    open: Count = 0
    median_hours: float | None = None
    overblocks: Count = 0


class Submissions(Model):
    """9: resources for Kibernadzor; who was sent had been prepared, who was confirmed had been sent."""

    prepared: Count = 0
    sent: Count = 0
    confirmed: Count = 0
    refused: Count = 0


class Specialists(Model):
    """10: of the department's specialists, those connected to Kibernadzor; None: not told."""

    connected: Count | None = None
    total: Count | None = None


class Cases(Model):
    """11: work with the risk group; counts only."""

    opened: Count = 0
    closed: Count = 0
    releases_asked: Count = 0
    releases_approved: Count = 0


class Learning(Model):
    """12: names of the education allow-list that answered, of those asked for."""

    answered: Count = 0
    tested: Count = 0


class Outage(Model):
    """13: a time without the filter's heartbeat."""

    start: datetime
    end: datetime


class Incidents(Model):
    """13: outages of at least 15 minutes, the longest first, and what people wrote."""

    outages: Count = 0
    outage_steps: Count = 0
    longest: tuple[Outage, ...] = ()
    notes: str = ""


class SchoolRow(Model):
    """One school in the report of a district or region."""

    school: str
    title: Texts
    district: str
    state: Literal["reported", "silent", "no_box"]
    devices: Count
    queries: Count
    blocked: Hidden
    uptime: Share | None
    operator: Answer
    tests_made: Count
    tests_passed: Count


class Retention(Model):
    """R23: what the report is made of is kept so long."""

    events_days: Count
    usage_days: Count


class Document(Model):
    """A monthly report."""

    format: Literal[1] = 1
    scope: Scope
    coverage: Coverage
    policy: Policy
    traffic: Traffic
    categories: Categories
    circumvention: tuple[str, ...]  # 6: the categories of `categories.rows` that are attempts
    reviews: Reviews = Reviews()
    submissions: Submissions = Submissions()
    specialists: Specialists = Specialists()
    cases: Cases = Cases()
    learning: Learning = Learning()
    incidents: Incidents = Incidents()
    responsible: str = ""
    schools: tuple[SchoolRow, ...] = ()
    retention: Retention

    @model_validator(mode="after")
    def _names_no_domain(self) -> Self:
        for text in texts_of(self.model_dump()):
            if names_domain(text):
                raise ValueError("a report must not name a domain or an address")
        return self

    def row(self, category: str) -> Row | None:
        """Return the row of a category, None when nothing of it was blocked."""
        return next((row for row in self.categories.rows if row.category == category), None)


def texts_of(value: Any) -> list[str]:
    """Return every text within plain values."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts_of(one)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in texts_of(one)]
    return []

"""Tallies -> documents: what is too small is hidden here, and nowhere else. Pure.

A school's figures are hidden below 5 devices, those of a district or region below 10. Who reads the reports
of all schools and of their region must not find a school's hidden figure as the difference: where exactly one
school hides a figure, the region hides it, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from filterd.monitor.reports import document as doc
from filterd.monitor.reports.domains import without_domains
from filterd.monitor.reports.paper import CONNECTED, INCIDENTS, RESPONSIBLE, TOTAL
from filterd.monitor.reports.read import Area, Period
from filterd.monitor.reports.suppress import Figure, Key, hidden, hidden_in_sum
from filterd.monitor.reports.tally import Heartbeat, School, Tally
from filterd.rules.categories import Categories

K_SCHOOL: Final = 5
K_ABOVE: Final = 10
TIERS: Final = ("primary", "middle", "senior", "staff", "guest")
CIRCUMVENTION: Final = ("bypass", "doh", "unsafe_search")
ALL: Final[Key] = (None, None)
_VERSIONS: Final = 12  # shown of a month
_NOTES: Final = 2000  # characters of what people wrote


@dataclass(frozen=True, slots=True)
class Frame:
    """What all documents of a run share.

    Args:
        period: the month.
        categories: the catalogue: names, order, and which have no source.
        retention: how long the data are kept (R23).
        region_facts: what the region told of the month.
        demonstration: the figures are made up.
        regions: what regions are called, by id.
    """

    period: Period
    categories: Categories
    retention: doc.Retention
    region_facts: Mapping[str, str] = field(default_factory=dict)
    demonstration: bool = False
    regions: Mapping[str, doc.Texts] = field(default_factory=dict)


def school_document(frame: Frame, school: School, tally: Tally, facts: Mapping[str, str]) -> doc.Document:
    """Return the report of one school."""
    figures = tally.figures()
    return doc.Document(
        scope=_scope(frame, Area("school", school.id), school.title, school.region, school.district),
        coverage=doc.Coverage(
            schools=1,
            reporting=int(tally.reported),
            devices=school.devices,
            devices_blocked=_devices(tally, K_SCHOOL),
            uptime=_uptime(tally.heartbeat),
            since=tally.since,
            operator_yes=int(school.operator == "yes"),
            operator_no=int(school.operator == "no"),
            operator_unknown=int(not school.operator),
            operator_since=school.operator_since,
        ),
        **_common(frame, tally, hidden(figures, K_SCHOOL), K_SCHOOL),
        policy=_policy(frame, tally, tuple(tally.versions)[-_VERSIONS:], 0 if tally.tests_made else 1),
        incidents=_incidents(tally, facts),
        responsible=without_domains(facts.get(RESPONSIBLE, "") or school.responsible),
    )


class AreaReport:
    """Takes in schools one by one and makes the report of their district or region.

    Args:
        frame: what all documents share.
        area: the district or region.
        title: what people call it.
    """

    def __init__(self, frame: Frame, area: Area, title: doc.Texts) -> None:
        self._frame, self._area, self._title = frame, area, title
        self._sum = Tally()
        self._hiding: Counter[Key] = Counter()  # how many schools hide a figure
        self._blocked: dict[str, Figure] = {}
        self._rows: list[tuple[School, doc.SchoolRow]] = []
        self._without_tests = 0

    def add(self, school: School, tally: Tally) -> None:
        """Take in a school."""
        figures = tally.figures()
        self._sum.add(tally)
        self._hiding.update(hidden(figures, K_SCHOOL))
        self._blocked[school.id] = figures.get(ALL, Figure(0, 0))
        self._without_tests += not tally.tests_made
        self._rows.append((school, _school_row(school, tally)))

    def document(self) -> doc.Document:
        """Return the report."""
        figures = self._sum.figures()
        schools, sum_too = hidden_in_sum(self._blocked, K_ABOVE)
        lonely = {key for key, count in self._hiding.items() if count == 1}
        found = hidden(figures, K_ABOVE, lonely | ({ALL} if sum_too else set()))
        if ALL in found:  # the schools' figures would add up to it
            schools = frozenset(school for school, figure in self._blocked.items() if figure.count)
        districts = {school.district for school, _row in self._rows}
        facts = self._frame.region_facts
        region = self._area.id if self._area.kind == "region" else self._rows[0][0].region
        return doc.Document(
            scope=_scope(
                self._frame, self._area, self._title, region, districts.pop() if len(districts) == 1 else ""
            ),
            coverage=self._coverage(),
            **_common(self._frame, self._sum, found, K_ABOVE),
            policy=_policy(self._frame, self._sum, (), self._without_tests),
            incidents=_incidents(self._sum, facts),
            responsible=without_domains(facts.get(RESPONSIBLE, "")),
            schools=tuple(
                row.model_copy(update={"blocked": None}) if school.id in schools else row
                for school, row in sorted(self._rows, key=lambda pair: pair[0].id)
            ),
        )

    def _coverage(self) -> doc.Coverage:
        answers = Counter(school.operator for school, _row in self._rows)
        return doc.Coverage(
            schools=len(self._rows),
            reporting=sum(row.state == "reported" for _school, row in self._rows),
            devices=sum(row.devices for _school, row in self._rows),
            devices_blocked=_devices(self._sum, K_ABOVE),
            uptime=_uptime(self._sum.heartbeat),
            operator_yes=answers["yes"],
            operator_no=answers["no"],
            operator_unknown=answers[""],
        )


def _common(frame: Frame, tally: Tally, found: frozenset[Key], k: int) -> dict[str, object]:
    """Return the parts that are made alike for a school and for an area."""
    return {
        "traffic": _traffic(tally.outcomes, hide=ALL in found),
        "categories": _categories(frame, tally, found, k),
        "circumvention": CIRCUMVENTION,
        "reviews": doc.Reviews(
            received=tally.received,
            granted=tally.granted,
            refused=tally.refused,
            open=tally.open,
            median_hours=round(median(tally.waits) / 3600, 1) if tally.waits else None,
            overblocks=tally.overblocks,
        ),
        "submissions": doc.Submissions(**{name: tally.submissions[name] for name in _SUBMISSIONS}),
        "specialists": doc.Specialists(
            connected=_whole(frame.region_facts.get(CONNECTED)), total=_whole(frame.region_facts.get(TOTAL))
        ),
        "cases": doc.Cases(
            opened=tally.opened,
            closed=tally.closed,
            releases_asked=tally.releases_asked,
            releases_approved=tally.releases_approved,
        ),
        "learning": doc.Learning(answered=tally.learning_answered, tested=tally.learning_tested),
        "retention": frame.retention,
    }


_SUBMISSIONS: Final = ("prepared", "sent", "confirmed", "refused")


def _scope(frame: Frame, area: Area, title: doc.Texts, region: str, district: str) -> doc.Scope:
    month = frame.period.month
    return doc.Scope(
        kind=area.kind,
        id=without_domains(area.id),
        title=title,
        region=region,
        region_title=frame.regions.get(region),
        district=district,
        month=month.number,
        first=month.first,
        last=month.last,
        complete=frame.period.complete,
        demonstration=frame.demonstration,
    )


def _devices(tally: Tally, k: int) -> int | None:
    """Return how many devices had a blocked lookup; none at all may be said."""
    count = tally.devices[ALL]
    blocked = any(tally.blocked.values())
    return count if count >= k or not (count or blocked) else None


def _uptime(beat: Heartbeat) -> doc.Uptime | None:
    if not beat.expected:
        return None
    return doc.Uptime(
        steps=beat.steps,
        expected=beat.expected,
        lesson_steps=beat.lesson_steps,
        lesson_expected=beat.lesson_expected,
        days=tuple(
            (day, round(steps / expected, 4))
            for day, (steps, expected) in sorted(beat.days.items())
            if expected
        ),
    )


def _policy(frame: Frame, tally: Tally, versions: Sequence[str], schools_without: int) -> doc.Policy:
    order = [one.id for one in frame.categories.all]
    told = tally.without_source if tally.tests_made else None
    without = (
        [one.id for one in frame.categories.all if not one.sources and one.kind == "block"]
        if told is None
        else told
    )
    return doc.Policy(
        versions=tuple(versions),
        kinds=len(tally.versions),
        lists=doc.Lists(built=tally.built, confirmed=tally.confirmed),
        tests=doc.SelfTests(
            made=tally.tests_made,
            passed=tally.tests_passed,
            last=tally.tests_last,
            failed=_in_order(tally.tests_failed, order),
            schools_without=schools_without,
        ),
        without_source=_in_order(without, order),
    )


def _in_order(ids: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    known = {one: place for place, one in enumerate(order)}
    return tuple(sorted(ids, key=lambda one: (known.get(one, len(known)), one)))


def _traffic(outcomes: Mapping[str, int], *, hide: bool) -> doc.Traffic:
    """Return lookups by outcome; an answer that was stale was an allowed one all the same (RFC 8767)."""
    of = Counter(outcomes)
    return doc.Traffic(
        queries=of.total(),
        allowed=None if hide else of["allowed"] + of["stale"],
        blocked=None if hide else of["blocked"],
        rewritten=of["rewritten"],
        canaries=of["canary"],
        failed=of["failed"],
        refused=of["refused"],
    )


def _categories(frame: Frame, tally: Tally, found: frozenset[Key], k: int) -> doc.Categories:
    counts = {key: figure.count for key, figure in tally.figures().items()}

    def shown(key: Key) -> int | None:
        return None if key in found else counts.get(key, 0)

    ids = _in_order(
        {str(category) for category, _tier in tally.blocked}, [one.id for one in frame.categories.all]
    )
    tiers = (*TIERS, *sorted({str(tier) for _, tier in tally.blocked} - set(TIERS)))
    named = {*ids, *CIRCUMVENTION, *tally.tests_failed, *tally.without_source}
    named |= {one.id for one in frame.categories.all if not one.sources}
    return doc.Categories(
        k=k,
        tiers=tiers,
        rows=tuple(
            doc.Row(category=one, cells=tuple(shown((one, tier)) for tier in tiers), total=shown((one, None)))
            for one in ids
        ),
        totals=tuple(shown((None, tier)) for tier in tiers),
        total=shown(ALL),
        names=tuple(
            doc.CategoryName(
                id=one.id,
                severity=str(one.severity),
                names=doc.Texts(**{c: one.name(c) for c in ("kk", "ru", "en")}),
            )
            for one in frame.categories.all
            if one.id in named
        ),
    )


def _incidents(tally: Tally, facts: Mapping[str, str]) -> doc.Incidents:
    return doc.Incidents(
        outages=tally.outages,
        outage_steps=tally.outage_steps,
        longest=tuple(tally.longest),
        notes=without_domains(facts.get(INCIDENTS, ""))[:_NOTES].strip(),
    )


def _school_row(school: School, tally: Tally) -> doc.SchoolRow:
    beat = tally.heartbeat
    return doc.SchoolRow(
        school=without_domains(school.id),
        title=school.title,
        district=school.district,
        state="reported" if tally.reported else "silent" if school.has_box else "no_box",
        devices=school.devices,
        queries=tally.outcomes.total(),
        blocked=tally.outcomes["blocked"],
        uptime=round(beat.steps / beat.expected, 4) if beat.expected else None,
        operator=school.operator,
        tests_made=tally.tests_made,
        tests_passed=tally.tests_passed,
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None

"""A document in one language: the fourteen parts in their order, with title lines, marks and footnotes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from filterd.events.pseudonym import KAZAKHSTAN
from filterd.i18n import Language
from filterd.monitor.reports import outline as out
from filterd.monitor.reports.closing import closing
from filterd.monitor.reports.document import Document
from filterd.monitor.reports.figures import categories, circumvention, traffic
from filterd.monitor.reports.outline import Outline, Paragraph, Section, facts
from filterd.monitor.reports.people import cases, kibernadzor, overblocks, reviews, specialists


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the version of a document that is shown."""

    version: int
    made: int
    sha256: str
    signed_by: str = ""
    signed: int = 0


def outline(document: Document, language: Language, standing: Standing, zone: tzinfo = KAZAKHSTAN) -> Outline:
    """Return the report for people."""
    return Outline(
        language=language,
        title=language.gettext("Monthly report on content filtering"),
        lines=_lines(document, language),
        marks=_marks(document, language, standing),
        sections=(
            _whom(document, language),
            _coverage(document, language),
            _policy(document, language, zone),
            traffic(document, language),
            categories(document, language),
            circumvention(document, language),
            reviews(document, language),
            overblocks(document, language),
            kibernadzor(document, language),
            specialists(document, language),
            cases(document, language),
            *closing(document, language, zone, standing.signed_by, _when(standing.signed, zone)),
        ),
        facts=_facts(language, standing, zone),
    )


def scope_line(document: Document, language: Language) -> str:
    """Return whom the report is about."""
    scope, title = document.scope, document.scope.title.of(language.code)
    if scope.kind == "school":
        return title
    if scope.kind == "district":
        return language.gettext("District: %(name)s", name=title)
    return language.gettext("Region: %(name)s", name=title)


def _when(seconds: int, zone: tzinfo) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone) if seconds else None


def _lines(document: Document, language: Language) -> tuple[str, ...]:
    scope = document.scope
    period = language.gettext(
        "%(month)s (%(first)s – %(last)s)",
        month=language.month(scope.first),
        first=language.day(scope.first),
        last=language.day(scope.last),
    )
    return (scope_line(document, language), period)


def _marks(document: Document, language: Language, standing: Standing) -> tuple[str, ...]:
    _ = language.gettext
    marks = []
    if document.scope.demonstration:
        marks.append(_("DEMONSTRATION: all figures are made up."))
    if not document.scope.complete:
        marks.append(_("Provisional: the month was not over when this report was made."))
    if standing.version > 1:
        marks.append(
            _("Corrected version %(n)s: late data changed the figures.", n=language.number(standing.version))
        )
    if not standing.signed_by:
        marks.append(_("Not signed yet."))
    return tuple(marks)


def _facts(language: Language, standing: Standing, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    _ = language.gettext
    made = _when(standing.made, zone)
    pairs = [
        (_("Version"), language.number(standing.version)),
        (_("Made"), language.moment(made.replace(tzinfo=None)) if made else out.NONE_SIGN),
        (_("Digest (SHA-256)"), standing.sha256),
    ]
    signed = _when(standing.signed, zone)
    if standing.signed_by and signed:
        pairs.append((_("Signed"), f"{standing.signed_by}, {language.moment(signed.replace(tzinfo=None))}"))
    return tuple(pairs)


def _whom(document: Document, language: Language) -> Section:
    _, scope = language.gettext, document.scope
    region = scope.region_title.of(language.code) if scope.region_title else scope.region
    pairs = [(_("Region"), out.text(region)), (_("District"), out.text(scope.district))]
    if scope.kind == "school":
        pairs.append((_("School"), out.text(scope.title.of(language.code))))
    pairs.append((_("Period"), out.text(language.month(scope.first))))
    return Section(1, _("Region, district, school, period"), (facts("", pairs),))


def _coverage(document: Document, language: Language) -> Section:
    _, coverage = language.gettext, document.coverage
    area = document.scope.kind != "school"
    up = coverage.uptime
    pairs = []
    if area:
        pairs += [
            (_("Schools"), out.count(coverage.schools)),
            (_("Schools that reported"), out.count(coverage.reporting)),
            (_("Share of schools that reported"), out.share(coverage.reporting, coverage.schools)),
        ]
    pairs += [
        (
            _("Devices, as the school counts them"),
            out.count(coverage.devices) if coverage.devices else out.NONE,
        ),
        (_("Devices with a blocked lookup"), out.count(coverage.devices_blocked)),
        (_("Uptime of the filter"), out.share(up.steps, up.expected) if up else out.NONE),
        (
            _("Uptime Monday to Saturday, 08:00–19:00"),
            out.share(up.lesson_steps, up.lesson_expected) if up else out.NONE,
        ),
    ]
    if coverage.since:
        pairs.append((_("Counted from the day the filter was first heard of"), out.day(coverage.since)))
    blocks: list[out.Block] = [facts("", [*pairs, *_operator(document, language)])]
    if area:
        blocks += _absent(document, language)
    elif not coverage.reporting:
        blocks.append(
            Paragraph(
                _("The filter of this school was not heard of in this month: nothing was measured."),
                "warning",
            )
        )
    if up and up.days:
        blocks.append(_uptime_chart(document, language))
    blocks.append(
        Paragraph(
            _(
                "This filter is a second layer. It is not a substitute for the operator's"
                " child-protection service."
            ),
            "warning",
        )
    )
    return Section(2, _("Coverage"), tuple(blocks))


def _operator(document: Document, language: Language) -> list[tuple[str, out.Value]]:
    _, coverage = language.gettext, document.coverage
    if document.scope.kind == "school":
        answer = _("yes") if coverage.operator_yes else _("no") if coverage.operator_no else _("not told")
        pairs = [(_("Operator's child-protection service contracted"), out.text(answer))]
        if coverage.operator_yes:
            pairs.append((_("Contracted since"), out.day(coverage.operator_since)))
        return pairs
    return [
        (_("Operator's child-protection service contracted: yes"), out.count(coverage.operator_yes)),
        (_("Operator's child-protection service contracted: no"), out.count(coverage.operator_no)),
        (_("Operator's child-protection service contracted: not told"), out.count(coverage.operator_unknown)),
    ]


def _absent(document: Document, language: Language) -> list[out.Block]:
    """Return the schools that did not report, by name."""
    _ = language.gettext
    absent = [row for row in document.schools if row.state != "reported"]
    if not absent:
        return [Paragraph(_("Every school reported."))]
    states = {"silent": _("the box was silent"), "no_box": _("no filter installed")}
    rows = tuple(
        (out.text(row.title.of(language.code)), out.text(row.district), out.text(states[row.state]))
        for row in language.ordered(absent, key=lambda row: row.title.of(language.code))
    )
    return [out.Table(_("Schools that did not report"), (_("School"), _("District"), _("Why")), rows)]


def _uptime_chart(document: Document, language: Language) -> out.Chart:
    up = document.coverage.uptime
    bars = tuple(out.Bar(str(one.day), part, language.percent(part)) for one, part in (up.days if up else ()))
    return out.Chart(
        language.gettext("Uptime of the filter by day, %"), bars, shape="columns", top=1.0, shares=True
    )


def _policy(document: Document, language: Language, zone: tzinfo) -> Section:
    _, policy, tests = language.gettext, document.policy, document.policy.tests
    last = tests.last.astimezone(zone) if tests.last else None
    pairs = [(_("Policy versions in force in the month"), out.count(policy.kinds))]
    if policy.versions:
        pairs.append((_("Policy version"), out.text(", ".join(one[:12] for one in policy.versions))))
    pairs += [
        (_("Lists compiled (the oldest in use)"), out.day(policy.lists.built)),
        (_("Lists confirmed by their sources (the oldest)"), out.day(policy.lists.confirmed)),
        (_("Self-tests made"), out.count(tests.made)),
        (_("Self-tests passed"), out.count(tests.passed)),
        (_("Share of self-tests passed"), out.share(tests.passed, tests.made)),
        (_("Last self-test"), out.moment(last)),
        (_("Categories that failed a self-test"), out.text(named(document, language, tests.failed))),
    ]
    if document.scope.kind != "school":
        pairs.append((_("Schools without a self-test"), out.count(tests.schools_without)))
    blocks: list[out.Block] = [facts("", pairs)]
    if not tests.made:
        blocks.append(
            Paragraph(
                _("No self-test was made in this month: that the filter blocks was not proved."), "warning"
            )
        )
    if policy.without_source:
        names = named(document, language, policy.without_source)
        blocks.append(Paragraph(_("No source is known for: %(names)s.", names=names), "note"))
    return Section(3, _("Filtering policy, self-test"), tuple(blocks))


def named(document: Document, language: Language, ids: tuple[str, ...]) -> str:
    """Return the names of categories."""
    known = {one.id: one.names.of(language.code) for one in document.categories.names}
    return "; ".join(known.get(one, one) for one in ids)

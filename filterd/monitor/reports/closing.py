"""Parts 12 to 14 for people, then what the report cannot say, and why the data are kept (R23)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Final

from filterd.i18n import Language
from filterd.monitor.reports import outline as out
from filterd.monitor.reports.document import Document, Retention, SchoolRow
from filterd.monitor.reports.figures import hidden_note
from filterd.monitor.reports.outline import Paragraph, Section, facts

_STEPS_PER_HOUR: Final = 12


def closing(
    document: Document, language: Language, zone: tzinfo, signed_by: str, signed: datetime | None
) -> Iterator[Section]:
    """Yield parts 12 to 14, the limits, the statement of purpose, the schools of an area."""
    _ = language.gettext
    yield _learning(document, language)
    yield _incidents(document, language, zone)
    yield _signature(document, language, signed_by, signed)
    yield Section(0, _("What this report cannot say"), tuple(limits(language)))
    yield Section(0, _("Why these data are kept, and how long"), tuple(purpose(language, document.retention)))
    if document.schools:
        yield Section(0, _("Schools"), (_schools(document, language),))


def _learning(document: Document, language: Language) -> Section:
    _, told = language.gettext, document.learning
    title = _("Availability of learning resources")
    if not told.tested:
        return Section(12, title, (Paragraph(_("Not measured in this month.")),))
    pairs = [
        (_("Checks of learning resources"), out.count(told.tested)),
        (_("Answered"), out.count(told.answered)),
        (_("Availability"), out.share(told.answered, told.tested)),
    ]
    return Section(12, title, (facts("", pairs),))


def _incidents(document: Document, language: Language, zone: tzinfo) -> Section:
    _, told = language.gettext, document.incidents
    pairs = [
        (_("Outages of 15 minutes and more"), out.count(told.outages)),
        (_("Hours without the filter in these"), out.hours(told.outage_steps / _STEPS_PER_HOUR)),
    ]
    blocks: list[out.Block] = [facts("", pairs)]
    if told.longest:
        rows = tuple(
            (
                out.text(language.moment(one.start.astimezone(zone).replace(tzinfo=None))),
                out.text(language.moment(one.end.astimezone(zone).replace(tzinfo=None))),
                out.hours((one.end - one.start).total_seconds() / 3600),
            )
            for one in told.longest
        )
        blocks.append(out.Table(_("The longest outages"), (_("From"), _("To"), _("Hours")), rows))
        blocks.append(
            Paragraph(
                _("An outage is a time without the filter's heartbeat; a box switched off at night counts."),
                "note",
            )
        )
    blocks.append(Paragraph(told.notes or _("No incident was told.")))
    return Section(13, _("Incidents, outages, limits"), tuple(blocks))


def _signature(document: Document, language: Language, signed_by: str, signed: datetime | None) -> Section:
    _ = language.gettext
    pairs = [
        (_("Person responsible"), out.text(signed_by or document.responsible)),
        (_("Signed"), out.moment(signed)),
        (_("Signature"), out.text("_" * 24)),
    ]
    return Section(14, _("Person responsible, signature"), (facts("", pairs),))


def _schools(document: Document, language: Language) -> out.Table:
    _ = language.gettext
    answers = {"yes": _("yes"), "no": _("no"), "": _("not told")}
    states = {"reported": _("reported"), "silent": _("silent"), "no_box": _("no filter")}

    def row(school: SchoolRow) -> tuple[out.Value, ...]:
        reported = school.state == "reported"
        return (
            out.text(school.title.of(language.code)),
            out.text(states[school.state]),
            out.count(school.devices) if school.devices else out.NONE,
            out.NONE if school.uptime is None else out.Value(out.Kind.SHARE, school.uptime),
            out.count(school.queries) if reported else out.NONE,
            out.count(school.blocked) if reported else out.NONE,
            out.share(school.blocked, school.queries) if reported else out.NONE,
            out.text(answers[school.operator]),
            out.share(school.tests_passed, school.tests_made),
        )

    rows = tuple(
        row(one) for one in language.ordered(document.schools, key=lambda one: one.title.of(language.code))
    )
    columns = (
        *(_("School"), _("State"), _("Devices"), _("Uptime"), _("Queries"), _("Blocked"), _("Blocked, %")),
        *(_("Operator's service"), _("Self-tests passed")),
    )
    table = out.Table("", columns, rows)
    return (
        out.Table("", columns, rows, notes=(hidden_note(document, language),)) if table.has_hidden else table
    )


def limits(language: Language) -> Iterator[Paragraph]:
    """Yield what DNS cannot see, said plainly (R7, R10, R11)."""
    _ = language.gettext
    yield Paragraph(
        _(
            "A DNS filter sees which names a device asks for, and nothing else: no search terms, no"
            " messages, no"
            " addresses of pages, no single videos, no posts inside allowed platforms. Their contents are not"
            " inspected; safe search is the mitigation."
        )
    )
    yield Paragraph(
        _(
            "It knows devices, not persons: a shared computer is not a pupil. Mobile data and apps that"
            " use fixed"
            " addresses go past it. A category without a source blocks only what people listed themselves."
        )
    )
    yield Paragraph(
        _("DNS cannot show intent. No figure here is a diagnosis, a ranking or a ground for discipline.")
    )


def purpose(language: Language, retention: Retention) -> Iterator[Paragraph]:
    """Yield the statement of purpose and retention (R23)."""
    _ = language.gettext
    yield Paragraph(
        _(
            "Purpose: to show that the filter works and is used (monthly report from school to ministry), to"
            " correct mistaken blocks, and to support the psychologist's preventive work. The data serve"
            " nothing else."
        )
    )
    yield Paragraph(
        _(
            "Kept: blocked lookups by pseudonymous device for %(events)s days; pseudonymous summaries"
            " for one term;"
            " counts and the log of access for %(years)s years. After that they are deleted. This report"
            " holds no"
            " names of pupils, no devices, no addresses and no domains.",
            events=language.number(retention.events_days),
            years=language.number(round(retention.usage_days / 365)),
        )
    )

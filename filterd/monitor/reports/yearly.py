"""The yearly review pack (R26): the kept months of a school or area together, with what the year changed.

Made of the kept reports only, so that it shows nothing that they hide: no sum over hidden figures, no count
that is not in one of them. The policy's change log and overdue exceptions come from the box that makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from math import ceil
from typing import Final

from filterd.events.pseudonym import KAZAKHSTAN
from filterd.i18n import Language
from filterd.monitor.reports import outline as out
from filterd.monitor.reports.closing import limits, purpose
from filterd.monitor.reports.document import Document, Model
from filterd.monitor.reports.figures import category_name, hidden_note
from filterd.monitor.reports.outline import Outline, Paragraph, Section, facts
from filterd.monitor.reports.sections import Standing, named, scope_line

MAX_CHANGES: Final = 200


class PolicyChange(Model):
    """One change of the policy (R6), without what it was about: that may be a domain."""

    at: datetime
    what: str
    who: str
    old: str
    new: str


class Overdue(Model):
    """A reviewed exception that somebody should have looked at again, without its name."""

    review: date
    action: str
    author: str


class MonthOf(Model):
    """A month of the year as it was kept."""

    month: int
    version: int
    sha256: str
    signed_by: str
    document: Document


class YearPack(Model):
    """The pack, as values; its JSON is one of the formats."""

    format: int = 1
    year: int
    months: tuple[MonthOf, ...]  # those of which a report is kept, in order
    changes: tuple[PolicyChange, ...] | None = None  # None: not made on the box that keeps the log
    changes_in_all: int = 0
    overdue: tuple[Overdue, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a pack is written: language, and zone of the days."""

    language: Language
    zone: tzinfo = KAZAKHSTAN


def year_outline(
    pack: YearPack, language: Language, standing: Standing, zone: tzinfo = KAZAKHSTAN
) -> Outline:
    """Return the pack for people.

    Args:
        pack: with at least one month.
        language: of the texts.
        standing: when it was made, and its digest.
        zone: of its days.
    """
    _ = language.gettext
    reader, last = Reader(language, zone), pack.months[-1].document
    made = datetime.fromtimestamp(standing.made, zone).replace(tzinfo=None)
    return Outline(
        language=language,
        title=_("Yearly review of content filtering"),
        lines=(scope_line(last, language), _("Year %(year)s", year=pack.year)),
        marks=(_("DEMONSTRATION: all figures are made up."),) if last.scope.demonstration else (),
        sections=(
            _months(pack, reader),
            _trend(pack, reader),
            _categories(pack, reader),
            _tests(pack, reader),
            _changes(pack, reader),
            _overdue(pack, reader),
            _people(pack, reader),
            Section(0, _("What this report cannot say"), tuple(limits(language))),
            Section(0, _("Why these data are kept, and how long"), tuple(purpose(language, last.retention))),
        ),
        facts=((_("Made"), language.moment(made)), (_("Digest (SHA-256)"), standing.sha256)),
        landscape=True,
    )


def _name(month: MonthOf, language: Language) -> out.Value:
    return out.text(language.month(month.document.scope.first))


def _months(pack: YearPack, reader: Reader) -> Section:
    _, language = reader.language.gettext, reader.language
    rows = []
    for one in pack.months:
        told, up = one.document.traffic, one.document.coverage.uptime
        rows.append(
            (
                _name(one, language),
                out.count(told.queries),
                out.count(told.blocked),
                out.share(told.blocked, told.queries),
                out.count(told.rewritten),
                out.share(up.steps, up.expected) if up else out.NONE,
                out.count(one.document.incidents.outages),
                out.count(one.version),
                out.text(one.signed_by or _("not signed")),
            )
        )
    columns = (
        *(_("Month"), _("Queries"), _("Blocked"), _("Blocked, %"), _("Rewritten (safe search)"), _("Uptime")),
        *(_("Outages"), _("Version"), _("Signed by")),
    )
    notes = (hidden_note(pack.months[-1].document, language),) if _hidden(rows) else ()
    blocks: list[out.Block] = [out.Table("", columns, tuple(rows), notes=notes)]
    have = {one.month for one in pack.months}
    missing = [date(pack.year, n + 1, 1) for n in range(12) if pack.year * 12 + n not in have]
    if missing:
        names = ", ".join(language.month(day) for day in missing)
        blocks.append(Paragraph(_("No report is kept for: %(months)s.", months=names), "note"))
    return Section(1, _("The months"), tuple(blocks))


def _trend(pack: YearPack, reader: Reader) -> Section:
    _, language = reader.language.gettext, reader.language
    blocked, uptime = [], []
    for one in pack.months:
        told, up = one.document.traffic, one.document.coverage.uptime
        label = language.short_month(one.document.scope.first)
        part = out.share(told.blocked, told.queries)
        blocked.append(out.Bar(label, part.raw, part.show(language)))
        working = out.share(up.steps, up.expected) if up else out.NONE
        uptime.append(out.Bar(label, working.raw, working.show(language)))
    highest = max((bar.value or 0.0 for bar in blocked), default=0.0)
    top = min(1.0, max(0.1, ceil(highest * 12) / 10))  # a round mark with room above the highest
    return Section(
        2,
        _("Trend"),
        (
            out.Chart(_("Share of blocked queries"), tuple(blocked), "columns", top, shares=True),
            out.Chart(_("Uptime of the filter"), tuple(uptime), "columns", 1.0, shares=True),
        ),
    )


def _categories(pack: YearPack, reader: Reader) -> Section:
    """Return the categories of all months; without sums, which would tell of hidden months."""
    _, language = reader.language.gettext, reader.language
    names: dict[str, str] = {}
    for one in pack.months:
        for row in one.document.categories.rows:
            names.setdefault(row.category, category_name(one.document, language, row))
    if not names:
        return Section(3, _("Categories by month"), (Paragraph(_("Nothing was blocked in this year.")),))
    rows = []
    for category, name in names.items():
        found = [one.document.row(category) for one in pack.months]
        rows.append((out.text(name), *(out.count(row.total if row else 0) for row in found)))
    columns = (_("Category"), *(language.short_month(one.document.scope.first) for one in pack.months))
    notes = (hidden_note(pack.months[-1].document, language),) if _hidden(rows) else ()
    return Section(
        3, _("Categories by month"), (out.Table(_("Blocked queries"), columns, tuple(rows), notes=notes),)
    )


def _tests(pack: YearPack, reader: Reader) -> Section:
    _, language = reader.language.gettext, reader.language
    rows = []
    for one in pack.months:
        tests = one.document.policy.tests
        rows.append(
            (
                _name(one, language),
                out.count(tests.made),
                out.count(tests.passed),
                out.share(tests.passed, tests.made),
                out.text(named(one.document, language, tests.failed)),
            )
        )
    columns = (
        _("Month"),
        _("Self-tests made"),
        _("Passed"),
        _("Share"),
        _("Categories that failed a self-test"),
    )
    last = pack.months[-1].document
    blocks: list[out.Block] = [out.Table("", columns, tuple(rows))]
    if last.policy.without_source:
        names = named(last, language, last.policy.without_source)
        blocks.append(Paragraph(_("No source is known for: %(names)s.", names=names), "note"))
    return Section(4, _("Self-tests"), tuple(blocks))


def _changes(pack: YearPack, reader: Reader) -> Section:
    _, language = reader.language.gettext, reader.language
    versions = [(one, one.document.policy.kinds) for one in pack.months]
    pairs = [(language.month(one.document.scope.first), out.count(kinds)) for one, kinds in versions]
    blocks: list[out.Block] = [facts(_("Policy versions in force in the month"), pairs)]
    if pack.changes is None:
        blocks.append(
            Paragraph(_("The change log is kept on the school's box; it is not at hand here."), "note")
        )
    elif not pack.changes:
        blocks.append(Paragraph(_("The change log of this box names no change in this year.")))
    else:
        rows = tuple(
            (
                out.text(language.moment(one.at.astimezone(reader.zone).replace(tzinfo=None))),
                out.text(one.what),
                out.text(one.who),
                out.text(one.old[:12]),
                out.text(one.new[:12]),
            )
            for one in pack.changes
        )
        columns = (_("When"), _("Change"), _("Who"), _("Version before"), _("Version after"))
        blocks.append(out.Table(_("Change log of the policy"), columns, rows))
        if pack.changes_in_all > len(pack.changes):
            blocks.append(
                Paragraph(
                    _("%(n)s changes in all; the latest are shown.", n=language.number(pack.changes_in_all)),
                    "note",
                )
            )
    return Section(5, _("Policy changes"), tuple(blocks))


def _overdue(pack: YearPack, reader: Reader) -> Section:
    _ = reader.language.gettext
    title = _("Exceptions to be reviewed")
    if pack.overdue is None:
        return Section(
            6,
            title,
            (
                Paragraph(
                    _("The exceptions are kept on the school's box; they are not at hand here."), "note"
                ),
            ),
        )
    if not pack.overdue:
        return Section(6, title, (Paragraph(_("No exception is overdue.")),))
    actions = {"allow": _("allowed by exception"), "block": _("blocked by exception")}
    rows = tuple(
        (
            out.text(reader.language.day(one.review)),
            out.text(actions.get(one.action, one.action)),
            out.text(one.author),
        )
        for one in pack.overdue
    )
    note = _("The names are shown by `filterd lists exceptions`; a report names no domain.")
    table = out.Table("", (_("Review was due"), _("What"), _("Who wrote it")), rows, notes=(note,))
    return Section(6, title, (table,))


def _people(pack: YearPack, reader: Reader) -> Section:
    """Return what people did; sums are safe here, these counts are never hidden."""
    _ = reader.language.gettext
    documents = [one.document for one in pack.months]
    pairs = [
        (_("Review requests received"), out.count(sum(one.reviews.received for one in documents))),
        (_("Review requests granted"), out.count(sum(one.reviews.granted for one in documents))),
        (_("Mistaken blocks corrected"), out.count(sum(one.reviews.overblocks for one in documents))),
        (
            _("Resources confirmed by “Kibernadzor”"),
            out.count(sum(one.submissions.confirmed for one in documents)),
        ),
        (_("Review cards opened"), out.count(sum(one.cases.opened for one in documents))),
        (_("Review cards closed"), out.count(sum(one.cases.closed for one in documents))),
        (_("Identity releases approved"), out.count(sum(one.cases.releases_approved for one in documents))),
    ]
    return Section(7, _("What people did"), (facts("", pairs),))


def _hidden(rows: Sequence[tuple[out.Value, ...]]) -> bool:
    return any(value.kind is out.Kind.HIDDEN for row in rows for value in row)

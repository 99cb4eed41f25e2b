"""Parts 4 to 6 for people: lookups by outcome, categories by tier, attempts to go round the filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from filterd.i18n import N_, Language
from filterd.monitor.reports import outline as out
from filterd.monitor.reports.document import Document, Row
from filterd.monitor.reports.outline import Paragraph, Section, facts

_TIERS: Final = {
    "primary": N_("Grades 1–4"),
    "middle": N_("Grades 5–9"),
    "senior": N_("Grades 10–11"),
    "staff": N_("Staff"),
    "guest": N_("Guests"),
}
_BARS: Final = 12


def hidden_note(document: Document, language: Language) -> str:
    """Return the footnote of hidden figures."""
    return language.ngettext(
        "x: not shown. It counts fewer than %(n)s device, or such a figure could be computed from it.",
        "x: not shown. It counts fewer than %(n)s devices, or such a figure could be computed from it.",
        document.categories.k,
    )


def traffic(document: Document, language: Language) -> Section:
    """Return part 4: blocked, rewritten (safe search) and allowed told apart (R15)."""
    _, told = language.gettext, document.traffic
    lines = (
        (_("Allowed"), told.allowed),
        (_("Blocked"), told.blocked),
        (_("Rewritten (safe search)"), told.rewritten),
        (_("Refused to software that asked to go round the filter"), told.canaries),
        (_("Failed: no server answered"), told.failed),
        (_("Refused: malformed or over a limit"), told.refused),
    )
    rows = [(out.text(name), out.count(n), out.share(n, told.queries)) for name, n in lines]
    rows.append((out.text(_("All queries")), out.count(told.queries), out.share(told.queries, told.queries)))
    table = out.Table(
        "",
        (_("Outcome"), _("Queries"), _("Share")),
        tuple(rows),
        total=True,
        notes=_notes(document, language, rows),
    )
    bars = tuple(_bar(language, name, n) for name, n in lines[:3])
    chart = out.Chart(_("Queries by outcome"), bars)
    note = _("A query is one question of a device for a name; one page asks many. Queries are not visits.")
    pictures = (chart,) if told.queries else ()
    blocks = (table, *pictures, _without_noise(document, language), Paragraph(note, "note"))
    return Section(4, _("Queries, blocked"), blocks)


def _without_noise(document: Document, language: Language) -> out.Table:
    """Return what was blocked beside advertising, which is most of it and says nothing of pupils.

    A difference of two figures that stand in the report; hidden when one of them is.
    """
    _, told = language.gettext, document.traffic
    noise = [row.total for row in document.categories.rows if row.category in _noise(document)]
    blocked = None
    if told.blocked is not None and None not in noise:
        blocked = told.blocked - sum(count for count in noise if count is not None)
    pairs = [
        (_("Blocked, without advertising and trackers"), out.count(blocked)),
        (_("The same as a share of all queries"), out.share(blocked, told.queries)),
    ]
    return facts("", pairs)


def _noise(document: Document) -> set[str]:
    return {one.id for one in document.categories.names if one.severity == "noise"}


def categories(document: Document, language: Language) -> Section:
    """Return part 5: category x tier."""
    _, told = language.gettext, document.categories
    if not told.rows:
        return Section(5, _("Categories"), (Paragraph(_("Nothing was blocked in this month.")),))
    rows = [
        (
            out.text(category_name(document, language, row)),
            *(out.count(cell) for cell in row.cells),
            out.count(row.total),
        )
        for row in told.rows
    ]
    rows.append(
        (out.text(_("All categories")), *(out.count(one) for one in told.totals), out.count(told.total))
    )
    tiers = tuple(_(_TIERS[tier]) if tier in _TIERS else tier for tier in told.tiers)
    table = out.Table(
        _("Blocked queries by category and tier"),
        (_("Category"), *tiers, _("In all")),
        tuple(rows),
        total=True,
        notes=_notes(document, language, rows),
    )
    noise = _noise(document)  # would make all other bars invisible
    shown = [row for row in told.rows if row.category not in noise]
    biggest = sorted(shown, key=lambda row: (row.total is None, -(row.total or 0)))[:_BARS]
    bars = tuple(_bar(language, category_name(document, language, row), row.total) for row in biggest)
    chart = out.Chart(_("Blocked queries by category, without advertising and trackers"), bars)
    return Section(5, _("Categories"), (table, chart) if bars else (table,))


def circumvention(document: Document, language: Language) -> Section:
    """Return part 6."""
    _ = language.gettext
    pairs = []
    for one in document.circumvention:
        row = document.row(one) or Row(category=one, cells=(), total=0)
        pairs.append((category_name(document, language, row), out.count(row.total)))
    pairs.append(
        (_("Refused to software that asked to go round the filter"), out.count(document.traffic.canaries))
    )
    note = _(
        "Browsers and phones ask by themselves whether they may encrypt their lookups; such a question is no"
        " act of a pupil."
    )
    table = facts(
        _("Blocked queries"), pairs, _notes(document, language, [(value,) for _name, value in pairs])
    )
    return Section(6, _("Circumvention attempts"), (table, Paragraph(note, "note")))


def category_name(document: Document, language: Language, row: Row) -> str:
    """Return what a category is called."""
    if not row.category:
        return language.gettext("Names blocked by the policy itself")
    known = next((one.names for one in document.categories.names if one.id == row.category), None)
    return known.of(language.code) if known else row.category


def _bar(language: Language, label: str, value: int | None) -> out.Bar:
    return out.Bar(label, value, out.count(value).show(language))


def _notes(document: Document, language: Language, rows: Sequence[tuple[out.Value, ...]]) -> tuple[str, ...]:
    if any(value.kind is out.Kind.HIDDEN for row in rows for value in row):
        return (hidden_note(document, language),)
    return ()

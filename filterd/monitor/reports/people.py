"""Parts 7 to 11 for people: what people did; counts only."""

from __future__ import annotations

from filterd.i18n import Language
from filterd.monitor.reports import outline as out
from filterd.monitor.reports.document import Document
from filterd.monitor.reports.outline import Paragraph, Section, facts


def reviews(document: Document, language: Language) -> Section:
    """Return part 7: requests to look at a block again (R14)."""
    _, told = language.gettext, document.reviews
    pairs = [
        (_("Received"), out.count(told.received)),
        (_("Granted"), out.count(told.granted)),
        (_("Refused"), out.count(told.refused)),
        (_("Open at the end of the period"), out.count(told.open)),
        (_("Median time to a decision, hours"), out.hours(told.median_hours)),
    ]
    return Section(7, _("Review requests"), (facts("", pairs),))


def overblocks(document: Document, language: Language) -> Section:
    """Return part 8: blocks that were mistakes."""
    _ = language.gettext
    pairs = [(_("Mistaken blocks corrected"), out.count(document.reviews.overblocks))]
    return Section(8, _("Overblocks corrected"), (facts("", pairs),))


def kibernadzor(document: Document, language: Language) -> Section:
    """Return part 9: resources submitted by people."""
    _, told = language.gettext, document.submissions
    pairs = [
        (_("Prepared"), out.count(told.prepared)),
        (_("Sent"), out.count(told.sent)),
        (_("Confirmed"), out.count(told.confirmed)),
        (_("Refused"), out.count(told.refused)),
    ]
    note = _(
        "People review and send every resource; nothing is sent by itself, and no data of pupils are sent."
    )
    return Section(9, _("Entered into “Kibernadzor”"), (facts("", pairs), Paragraph(note, "note")))


def specialists(document: Document, language: Language) -> Section:
    """Return part 10: connected specialists, target 100 %."""
    _, told = language.gettext, document.specialists
    if told.connected is None or not told.total:
        return Section(10, _("Specialists connected"), (Paragraph(_("Not told by the department.")),))
    pairs = [
        (_("Connected to “Kibernadzor”"), out.count(told.connected)),
        (_("Specialists of the department"), out.count(told.total)),
        (_("Share connected (target 100 %)"), out.share(min(told.connected, told.total), told.total)),
    ]
    return Section(10, _("Specialists connected"), (facts("", pairs),))


def cases(document: Document, language: Language) -> Section:
    """Return part 11: counts only, never what a card is about."""
    _, told = language.gettext, document.cases
    pairs = [
        (_("Review cards opened"), out.count(told.opened)),
        (_("Review cards closed"), out.count(told.closed)),
        (_("Identity releases asked for"), out.count(told.releases_asked)),
        (_("Identity releases approved"), out.count(told.releases_approved)),
    ]
    note = _(
        "A card says that the psychologist should look; it is no diagnosis and is not used for discipline."
    )
    return Section(11, _("Work with the risk group"), (facts("", pairs), Paragraph(note, "note")))

"""A report as CSV for spreadsheets: one line a figure, a byte order mark, numbers as the language has them.

Kazakh and Russian spreadsheets take a semicolon between fields and a decimal comma; English ones comma and
point. A text that a spreadsheet would take for a formula gets an apostrophe (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any, Final

from filterd.monitor.reports.outline import HIDDEN_SIGN, Kind, Outline, Value

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_csv(outline: Outline) -> bytes:
    """Return the file."""
    _ = outline.language.gettext
    comma = outline.language.code != "en"
    buffer = StringIO()
    writer = csv.writer(buffer, delimiter=";" if comma else ",", lineterminator="\r\n")
    writer.writerow([guarded(outline.title), *map(guarded, outline.lines)])
    for mark in outline.marks:
        writer.writerow([guarded(mark)])
    for name, fact in outline.facts:
        writer.writerow([guarded(name), guarded(fact)])
    writer.writerow([_("Part"), _("Table"), _("Line"), _("Column"), _("Value"), _("Unit")])
    for section, table in outline.tables:
        head = [str(section.number or ""), guarded(table.title or section.title)]
        for row in table.rows:
            label = guarded(row[0].show(outline.language))
            for place, value in enumerate(row[1:], 1):
                column = table.columns[place] if table.columns else ""
                unit = "%" if value.kind is Kind.SHARE else ""
                writer.writerow([*head, label, guarded(column), written(value, comma=comma), unit])
    notes = dict.fromkeys(note for _section, table in outline.tables for note in table.notes)
    writer.writerows([guarded(note)] for note in notes)
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def written(value: Value, *, comma: bool) -> str:
    """Return a value as a spreadsheet reads it; shares in percent."""
    writers: dict[Kind, Callable[[Any], str]] = {
        Kind.COUNT: str,
        Kind.SHARE: lambda share: _decimal(f"{share * 100:.2f}", comma=comma),
        Kind.HOURS: lambda number: _decimal(f"{number:.1f}", comma=comma),
        Kind.DAY: lambda day: str(day.isoformat()),
        Kind.MOMENT: lambda moment: f"{moment:%Y-%m-%d %H:%M}",
        Kind.HIDDEN: lambda _: HIDDEN_SIGN,
        Kind.NONE: lambda _: "",
        Kind.TEXT: guarded,
    }
    return writers[value.kind](value.raw)


def _decimal(number: str, *, comma: bool) -> str:
    return number.replace(".", ",") if comma else number


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text

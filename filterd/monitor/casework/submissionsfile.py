"""Submissions as a file for the person who enters them into Kibernadzor: XLSX or CSV.

The one place where the URL of a locked or illegal resource stands in full: without it nothing could be
submitted. Written by people and opened in a spreadsheet, so no cell may become a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import xlsxwriter
from sqlalchemy import Row

COLUMNS: Final = (
    *("school", "number", "url", "domain", "reason", "evidence", "reviewer", "state"),
    *("created", "prepared", "sent", "decided"),
)
_WIDTHS: Final = (16, 8, 60, 28, 14, 60, 24, 12, 18, 18, 18, 18)
_TIMES = frozenset({"created", "prepared", "sent", "decided"})
# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """Return a text that a spreadsheet does not run."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_csv(rows: Sequence[Row[Any]]) -> bytes:
    """Return CSV (RFC 4180) in UTF-8 with a byte order mark, by which Excel knows the encoding."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([guarded(str(_cell(row, name))) for name in COLUMNS])
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(rows: Sequence[Row[Any]]) -> bytes:
    """Return a workbook: headings frozen, texts as texts, numbers as numbers, no links, no formulas."""
    out = io.BytesIO()
    # Text stays text: nothing that begins with = or http becomes alive.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(out, options)
    sheet = book.add_worksheet("Kibernadzor")
    bold, wrapped = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    sheet.freeze_panes(1, 0)
    for column, (name, width) in enumerate(zip(COLUMNS, _WIDTHS, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, name, bold)
    for line, row in enumerate(rows, 1):
        for column, name in enumerate(COLUMNS):
            value = _cell(row, name)
            if isinstance(value, int):
                sheet.write_number(line, column, value, wrapped)
            else:
                sheet.write_string(line, column, guarded(value), wrapped)
    sheet.autofilter(0, 0, max(1, len(rows)), len(COLUMNS) - 1)
    book.close()
    return out.getvalue()


FORMATS: Final[dict[str, Callable[[Sequence[Row[Any]]], bytes]]] = {"xlsx": as_xlsx, "csv": as_csv}


def _cell(row: Row[Any], name: str) -> str | int:
    value: str | int = getattr(row, name)
    if name in _TIMES and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M") if value else ""
    return value

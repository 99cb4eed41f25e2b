"""A report as a workbook: numbers are numbers, headers stay in sight, columns fit, no text is a formula."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import xlsxwriter
from xlsxwriter.utility import quote_sheetname, xl_rowcol_to_cell

from filterd.monitor.reports.outline import (
    HIDDEN_SIGN,
    NONE_SIGN,
    Chart,
    Kind,
    Outline,
    Paragraph,
    Section,
    Table,
    Value,
)

_FORMATS: Final[dict[str, dict[str, Any]]] = {
    "title": {"bold": True, "font_size": 14},
    "mark": {"bold": True, "border": 1, "text_wrap": True, "valign": "top"},
    "head": {"bold": True, "bottom": 2, "text_wrap": True, "valign": "top", "bg_color": "#EEEEEE"},
    "text": {"text_wrap": True, "valign": "top"},
    "note": {"italic": True, "text_wrap": True, "valign": "top"},
    "count": {"num_format": "#,##0", "valign": "top"},
    "share": {"num_format": "0.0%", "valign": "top"},
    "hours": {"num_format": "#,##0.0", "valign": "top"},
    "day": {"num_format": "dd.mm.yyyy", "align": "left", "valign": "top"},
    "moment": {"num_format": "dd.mm.yyyy hh:mm", "align": "left", "valign": "top"},
    "sign": {"align": "right", "valign": "top"},
}
_OUTCOMES: Final = 3  # columns of part 4: outcome, queries, share
_WIDEST: Final = 60
_NARROWEST: Final = 12
_SHEET_NAME: Final = 31  # characters, Excel's limit
_FORBIDDEN: Final = str.maketrans(dict.fromkeys("[]:*?/\\", " "))


def as_xlsx(outline: Outline) -> bytes:
    """Return the workbook: a cover with all facts, then a sheet for every table with columns."""
    buffer = BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(buffer, options)
    book.set_properties({"title": outline.title, "subject": outline.lines[0], "author": "filterd"})
    _Workbook(book, outline).write()
    book.close()
    return buffer.getvalue()


class _Workbook:
    """A workbook being written."""

    def __init__(self, book: Any, outline: Outline) -> None:
        self._book, self._outline = book, outline
        self._formats = {name: book.add_format(what) for name, what in _FORMATS.items()}
        self._names: set[str] = set()

    def write(self) -> None:
        self._cover(self._sheet(self._outline.title))
        for section, table in self._outline.tables:
            if table.columns:
                self._table(section, table)

    def _sheet(self, title: str) -> Any:
        """Add a sheet, set up to be printed on A4."""
        base = title.translate(_FORBIDDEN).strip(" '")[:_SHEET_NAME]
        name, number = base, 2
        while name.casefold() in self._names:
            name, number = f"{base[: _SHEET_NAME - 3]} {number}", number + 1
        self._names.add(name.casefold())
        sheet = self._book.add_worksheet(name)
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&C&P / &N")
        return sheet

    def _cover(self, sheet: Any) -> None:
        outline, line = self._outline, 0
        sheet.set_column(0, 0, _WIDEST, self._formats["text"])
        sheet.set_column(1, 1, 40)
        top = [(outline.title, "title"), *((one, "text") for one in outline.lines)]
        for words, look in [*top, *((one, "mark") for one in outline.marks)]:
            sheet.write_string(line, 0, words, self._formats[look])
            line += 1
        sheet.freeze_panes(line, 0)
        for name, fact in outline.facts:
            sheet.write_string(line, 0, name, self._formats["text"])
            sheet.write_string(line, 1, fact, self._formats["text"])
            line += 1
        for section in outline.sections:
            line = self._section(sheet, section, line + 1)

    def _section(self, sheet: Any, section: Section, line: int) -> int:
        title = f"{section.number}. {section.title}" if section.number else section.title
        sheet.write_string(line, 0, title, self._formats["head"])
        sheet.write_blank(line, 1, None, self._formats["head"])
        line += 1
        for block in section.blocks:
            match block:
                case Paragraph(text=words, style=style):
                    look = "mark" if style == "warning" else "note" if style == "note" else "text"
                    sheet.write_string(line, 0, words, self._formats[look])
                    line += 1
                case Table(columns=(), rows=rows, notes=notes):
                    for row in rows:
                        self._write(sheet, line, 0, row[0])
                        self._write(sheet, line, 1, row[1])
                        line += 1
                    for note in notes:
                        sheet.write_string(line, 0, note, self._formats["note"])
                        line += 1
                case _:
                    continue
        return line

    def _table(self, section: Section, table: Table) -> None:
        sheet = self._sheet(
            f"{section.number} {table.title or section.title}" if section.number else section.title
        )
        for place, column in enumerate(table.columns):
            shown = [row[place].show(self._outline.language) for row in table.rows]
            longest = max(map(len, [*shown, *column.split()]), default=0)
            sheet.set_column(place, place, min(_WIDEST, max(_NARROWEST, longest + 2)))
            sheet.write_string(0, place, column, self._formats["head"])
        sheet.freeze_panes(1, 1)
        sheet.repeat_rows(0)
        if len(table.columns) > 5:
            sheet.set_landscape()
        for line, row in enumerate(table.rows, 1):
            for place, value in enumerate(row):
                self._write(sheet, line, place, value)
        if not table.total:
            sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)
        for line, note in enumerate(table.notes, len(table.rows) + 2):
            sheet.write_string(line, 0, note, self._formats["note"])
        chart = next(
            (block for block in section.blocks if isinstance(block, Chart) and block.shape == "rows"), None
        )
        if chart is not None and table.total:
            self._chart(sheet, table, chart, len(table.rows) + len(table.notes) + 3)

    def _chart(self, sheet: Any, table: Table, chart: Chart, line: int) -> None:
        """Draw the table's bars with the figures in the cells: the column that the picture shows."""
        shown = {bar.label for bar in chart.bars}
        places = [place for place, row in enumerate(table.rows, 1) if row[0].raw in shown]
        column = 1 if len(table.columns) == _OUTCOMES else len(table.columns) - 1
        picture = self._book.add_chart({"type": "bar"})
        picture.add_series(
            {
                "categories": _cells(sheet.get_name(), places, 0),
                "values": _cells(sheet.get_name(), places, column),
                "pattern": {"pattern": "wide_upward_diagonal", "fg_color": "black", "bg_color": "white"},
                "border": {"color": "black"},
            }
        )
        picture.set_title({"name": chart.title, "name_font": {"size": 11}})
        picture.set_legend({"none": True})
        picture.set_y_axis({"reverse": True})
        picture.set_size({"width": 720, "height": 120 + 24 * len(places)})
        sheet.insert_chart(line, 0, picture)

    def _write(self, sheet: Any, line: int, place: int, value: Value) -> None:
        match value.kind:
            case Kind.COUNT | Kind.SHARE | Kind.HOURS:
                sheet.write_number(line, place, value.raw, self._formats[value.kind.value])
            case Kind.DAY | Kind.MOMENT:
                sheet.write_datetime(line, place, value.raw, self._formats[value.kind.value])
            case Kind.HIDDEN:
                sheet.write_string(line, place, HIDDEN_SIGN, self._formats["sign"])
            case Kind.NONE:
                sheet.write_string(line, place, NONE_SIGN, self._formats["sign"])
            case _:
                sheet.write_string(line, place, value.raw, self._formats["text"])


def _cells(sheet: str, places: list[int], column: int) -> str:
    """Return the formula of some cells of one column, which need not lie together."""
    names = (
        f"{quote_sheetname(sheet)}!{xl_rowcol_to_cell(place, column, row_abs=True, col_abs=True)}"
        for place in places
    )
    return f"=({','.join(names)})"

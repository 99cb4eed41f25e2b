"""An outline as a file: html.py, pdf.py, xlsx.py, csv.py; the document itself is the JSON.

Each format writes the values it is given and computes none. The libraries of PDF and XLSX are loaded when
they are asked for. Nothing is fetched: styles and pictures stand inside the file, fonts come from the system.
"""

from __future__ import annotations

from typing import Final

from filterd.monitor.reports.outline import Outline

FORMATS: Final = ("html", "pdf", "xlsx", "csv", "json")
MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}


def rendered(outline: Outline, document: str, form: str) -> bytes:
    """Return a report as a file.

    Args:
        outline: of the document in the wished language.
        document: JSON of the document, as it is kept.
        form: one of `FORMATS`.

    Raises:
        ReportError: the system's libraries for PDF are missing.
    """
    if form == "json":
        return document.encode() + b"\n"
    if form == "csv":
        from filterd.monitor.reports.render.csv import as_csv  # noqa: PLC0415 - loads only what is asked for

        return as_csv(outline)
    if form == "xlsx":
        from filterd.monitor.reports.render.xlsx import as_xlsx  # noqa: PLC0415

        return as_xlsx(outline)
    from filterd.monitor.reports.render.html import as_html  # noqa: PLC0415

    page = as_html(outline)
    if form == "html":
        return page.encode()
    from filterd.monitor.reports.render.pdf import as_pdf  # noqa: PLC0415

    return as_pdf(page)

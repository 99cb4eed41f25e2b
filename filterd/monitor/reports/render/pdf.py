"""The HTML page as PDF, by WeasyPrint; needs the system's Pango and a font with Kazakh letters."""

from __future__ import annotations

import logging
from typing import Any

from filterd.errors import ReportError


def as_pdf(page: str) -> bytes:
    """Return the page as PDF, tagged for screen readers.

    Raises:
        ReportError: the system's libraries are missing.
    """
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # says how it makes fonts smaller
    try:
        from weasyprint import HTML  # noqa: PLC0415 - loads the system's libraries
        from weasyprint.urls import URLFetcher  # noqa: PLC0415
    except OSError as error:
        raise ReportError(
            "PDF needs the system's Pango, which is missing",
            remedy="sudo apt-get install libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core, or take html",
        ) from error
    fetches_nothing = URLFetcher(allowed_protocols=())
    made: Any = HTML(string=page, url_fetcher=fetches_nothing).write_pdf(pdf_tags=True)
    return bytes(made)

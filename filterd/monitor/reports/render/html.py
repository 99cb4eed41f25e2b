"""One HTML file that stands alone: styles and pictures inside, prints on A4 in black and white."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from filterd.i18n import language
from filterd.monitor.reports.outline import Chart, Outline, Paragraph, Table
from filterd.monitor.reports.render.svg import picture


@cache
def _environment(code: str) -> Environment:
    """Return the templates with the texts of one language."""
    environment = Environment(
        loader=PackageLoader("filterd.monitor.reports.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = language(code)
    environment.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.tests |= {
        "table": lambda block: isinstance(block, Table),
        "chart": lambda block: isinstance(block, Chart),
        "paragraph": lambda block: isinstance(block, Paragraph),
    }
    environment.filters["picture"] = lambda chart: Markup(picture(chart))  # noqa: S704 - made by us, escaped there
    return environment


def as_html(outline: Outline) -> str:
    """Return the page."""
    template = _environment(outline.language.code).get_template("report.html")
    return template.render(outline=outline, language=outline.language)

"""For translators: finds every text in the sources and brings the catalogs up to date.

    python -m filterd.i18n.gather

New texts come in empty, texts that are gone go; then fill in what is empty in locale/{kk,ru}. A test fails on
whatever is missing, empty or marked fuzzy. Runs in a checkout; the program itself never needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from filterd.i18n.language import DOMAIN, LANGUAGES

PACKAGE = Path(__file__).resolve().parents[1]
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_METHODS = [("i18n/**", "ignore"), ("**.py", "python"), ("**/templates/**.html", "jinja2")]


def sources() -> Catalog:
    """Return every text of the program and its templates."""
    catalog = Catalog(domain=DOMAIN)
    found = extract_from_dir(PACKAGE, _METHODS, options_map={"**/templates/**.html": {"silent": "false"}})
    for file, _line, message, comments, context in found:
        catalog.add(message, locations=[(file, 0)], auto_comments=comments, context=context)
    return catalog


def path_of(code: str) -> Path:
    """Return the catalog of a language."""
    return PACKAGE / "i18n" / "locale" / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(code: str) -> Catalog:
    """Return the catalog of a language as it is written."""
    with path_of(code).open("rb") as file:
        return read_po(file, locale=code, domain=DOMAIN)


def update(code: str, found: Catalog) -> None:
    """Bring one catalog up to date; the English one is the source, so it fills itself."""
    catalog = read(code) if path_of(code).exists() else Catalog(locale=code, domain=DOMAIN)
    catalog.update(found, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.header_comment = f"# Texts of filterd in the language {code}. See filterd/i18n/gather.py."
    catalog.project, catalog.version, catalog.fuzzy = DOMAIN, "", False
    catalog.creation_date = catalog.revision_date = _SINCE  # a date would change with every run
    catalog.last_translator = catalog.language_team = catalog.msgid_bugs_address = DOMAIN
    for message in catalog:
        if code == "en" and message.id:
            message.string = message.id
    path_of(code).parent.mkdir(parents=True, exist_ok=True)
    with path_of(code).open("wb") as file:
        write_po(file, catalog, width=110, sort_output=True, omit_header=False, include_lineno=False)


def gaps(code: str) -> Iterator[str]:
    """Return what is missing, empty or doubtful in a catalog, and what nobody uses, in words."""
    wanted, have = sources(), read(code)
    for message in wanted:
        if not message.id:
            continue
        known = have.get(message.id, message.context)
        if known is None:
            yield f"missing: {message.id!r}"
        elif not all(known.string if isinstance(known.string, (tuple, list)) else [known.string]):
            yield f"empty: {message.id!r}"
        elif known.fuzzy:
            yield f"fuzzy: {message.id!r}"
    for message in have:
        if message.id and wanted.get(message.id, message.context) is None:
            yield f"not used: {message.id!r}"


def main() -> None:
    """Update all catalogs and say what is to be translated."""
    found = sources()
    for code in LANGUAGES:
        update(code, found)
        for gap in gaps(code):
            sys.stdout.write(f"{code}: {gap}\n")


if __name__ == "__main__":
    main()

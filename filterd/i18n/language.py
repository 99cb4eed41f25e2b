"""One language: its texts, and how it writes numbers, shares, days and months."""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final, TypeVar

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from filterd.i18n.order import sort_key

T = TypeVar("T")
LANGUAGES: Final = ("kk", "ru", "en")
DOMAIN: Final = "filterd"
_NO_BREAK = "\N{NO-BREAK SPACE}"


class Language:
    """A language; immutable, shared by all who ask for it.

    Attributes:
        code: ``kk``, ``ru`` or ``en``.
        locale: for Babel's own functions.
    """

    def __init__(self, code: str, translations: gettext.NullTranslations) -> None:
        self.code = code
        self.locale = Locale.parse(code)
        self._translations = translations

    def gettext(self, text: str, /, **values: object) -> str:
        """Return a text in this language; ``%(name)s`` in it takes the values."""
        found = self._translations.gettext(text)
        return found % values if values else found

    def ngettext(self, one: str, many: str, n: int, /, **values: object) -> str:
        """Return the form of a text that fits the number, which it may name ``%(n)s``."""
        return self._translations.ngettext(one, many, n) % {"n": self.number(n), **values}

    def number(self, value: float) -> str:
        """Return a number with at most one decimal, in groups of three digits."""
        return format_decimal(value, format="#,##0.#", locale=self.locale)

    def percent(self, share: float) -> str:
        """Return a share (1.0: all) in percent with one decimal; never rounded up to all of it."""
        tenths = round(share * 1000)
        if tenths >= 1000 and share < 1:
            tenths = 999
        text = format_percent(tenths / 1000, format="#,##0.0%", locale=self.locale)
        return text if self.code == "en" else text.replace("%", f"{_NO_BREAK}%")

    def day(self, value: date) -> str:
        """Return a day, short."""
        return format_date(value, "yyyy-MM-dd" if self.code == "en" else "dd.MM.yyyy", locale=self.locale)

    def moment(self, value: datetime) -> str:
        """Return a day and the time of day, short."""
        pattern = "yyyy-MM-dd HH:mm" if self.code == "en" else "dd.MM.yyyy HH:mm"
        return format_datetime(value, pattern, locale=self.locale)

    def month(self, value: date) -> str:
        """Return a month with its year, as it stands in a title."""
        pattern = "y 'жылғы' MMMM" if self.code == "kk" else "LLLL y"
        return format_date(value, pattern, locale=self.locale)

    def short_month(self, value: date) -> str:
        """Return a month without its year, for the axis of a picture."""
        return format_date(value, "LLL", locale=self.locale)

    def ordered(self, things: Iterable[T], key: Callable[[T], str]) -> list[T]:
        """Return things sorted by a name as people of this country expect it."""
        return sorted(things, key=lambda thing: sort_key(key(thing)))


@cache
def language(code: str) -> Language:
    """Return a language.

    Raises:
        ValueError: not one of `LANGUAGES`.
    """
    if code not in LANGUAGES:
        raise ValueError(f"{code!r} is not one of {', '.join(LANGUAGES)}")
    source = files("filterd.i18n").joinpath("locale", code, "LC_MESSAGES", f"{DOMAIN}.po").read_bytes()
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(source), locale=code, domain=DOMAIN))
    compiled.seek(0)
    return Language(code, gettext.GNUTranslations(compiled))

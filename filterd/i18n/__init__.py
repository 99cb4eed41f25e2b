"""Kazakh, Russian, English: texts, numbers, dates and order for people (R12); imports nothing of ours.

language.py  one language: translations from locale/*/LC_MESSAGES/filterd.po, numbers and dates by Babel
order.py     the alphabet by which names are sorted
gather.py    finds every text in the sources and brings the catalogs up to date (for translators)

No global language: whoever writes for a person is given a `Language`. Catalogs are read from their .po files
when a language is first used, so a checkout and an installed wheel work alike and nothing has to be compiled.
"""

from filterd.i18n.language import LANGUAGES, Language, language

__all__ = ["LANGUAGES", "N_", "Language", "language"]


def N_(text: str) -> str:  # noqa: N802 - the name by which gettext's tools know it
    """Mark a text for translation where no language is known yet; returns it as it is."""
    return text

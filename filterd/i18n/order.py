"""The order of names: by the Kazakh alphabet, of which the Russian one is a part, digits by their value.

Babel brings no collation, and the code points of Ә Ғ Қ Ң Ө Ұ Ү Һ І stand far behind Я.
"""

from __future__ import annotations

import re
import unicodedata

_ALPHABET = "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"
_PLACES = {letter: place for place, letter in enumerate(_ALPHABET)}
_DIGITS = re.compile(r"(\d+)")


def sort_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return what to sort a name by: "School 9" before "School 10", "Қ" after "К", Latin before Cyrillic."""
    parts: list[tuple[int, int, str]] = []
    for part in _DIGITS.split(unicodedata.normalize("NFC", text).casefold()):
        if part.isdecimal():
            parts.append((1, int(part), ""))
        else:
            parts += [_letter(letter) for letter in part]
    return tuple(parts)


def _letter(letter: str) -> tuple[int, int, str]:
    if (place := _PLACES.get(letter)) is not None:
        return (3, place, letter)
    return (2 if letter.isalpha() else 0, ord(letter), letter)

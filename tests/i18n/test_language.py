from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.i18n import LANGUAGES, language
from filterd.i18n.order import sort_key

NBSP = "\N{NO-BREAK SPACE}"


def test_numbers():
    assert [language(code).number(1_234_567.5) for code in LANGUAGES] == [
        f"1{NBSP}234{NBSP}567,5",
        f"1{NBSP}234{NBSP}567,5",
        "1,234,567.5",
    ]


def test_percent():
    assert [language(code).percent(0.1234) for code in LANGUAGES] == [f"12,3{NBSP}%", f"12,3{NBSP}%", "12.3%"]


@given(st.floats(0, 1, exclude_max=True))
def test_percent_never_claims_all_of_less(share):
    assert language("en").percent(share) != "100.0%"


def test_all_is_all():
    assert language("en").percent(1.0) == "100.0%"


def test_days_and_months():
    day = date(2026, 10, 5)
    assert [language(code).day(day) for code in LANGUAGES] == ["05.10.2026", "05.10.2026", "2026-10-05"]
    assert [language(code).month(day) for code in LANGUAGES] == [
        "2026 жылғы қазан",
        "октябрь 2026",
        "October 2026",
    ]
    assert language("ru").moment(datetime(2026, 10, 5, 7, 3)) == "05.10.2026 07:03"  # noqa: DTZ001 - local already
    assert language("kk").short_month(day).strip(".").casefold() == "қаз"


def test_an_unknown_language_is_an_error():
    with pytest.raises(ValueError, match="kk, ru, en"):
        language("de")


def test_languages_do_not_disturb_each_other():
    said = [language(code).gettext("Coverage") for code in ("kk", "en", "ru", "kk")]
    assert said == ["Қамту", "Coverage", "Охват", "Қамту"]


def test_a_text_without_translation_stands_as_it_is():
    assert language("kk").gettext("never written") == "never written"


def test_values_are_put_in():
    assert language("ru").gettext("Region: %(name)s", name="100 %") == "Регион: 100 %"


def test_the_kazakh_alphabet():
    names = [
        "Ясень",
        "Іле",
        "Ұлытау",
        "Үржар",
        "Уәлиханов",
        "Әсем",
        "Абай",
        "Құрық",
        "Кереку",
        "Ғылым",
        "Гагарин",
        "Өскен",
    ]
    assert language("kk").ordered(names, key=str) == [
        "Абай", "Әсем", "Гагарин", "Ғылым", "Кереку", "Құрық", "Өскен", "Уәлиханов", "Ұлытау", "Үржар",
        "Іле", "Ясень",
    ]  # fmt: skip


def test_numbers_of_schools_count():
    assert language("ru").ordered(["Школа № 10", "школа № 9", "School 3", "Школа № 9а"], key=str) == [
        "School 3",
        "школа № 9",
        "Школа № 9а",
        "Школа № 10",
    ]


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_text_has_a_place(texts):
    ordered = sorted(texts, key=sort_key)
    assert all(sort_key(a) <= sort_key(b) for a, b in pairwise(ordered))

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.monitor.reports.domains import HIDDEN, names_domain, without_domains

DOMAINS = [
    "youtube.com", "WWW.Casino.KZ", "https://x.org/path?q", "казино.қаз", "порно.рф", "x.xn--p1ai",
    "school5.edu.kz.", "10.0.0.7", "2a00:1450::1", "10.0.0.7:53", "a_b.example.com", "user@mail.ru",
    "vk。com", "t.me", "«1xbet.com»", "goo.gl/x",
]  # fmt: skip
HARMLESS = [
    "А.Байтұрсынов", "A.Baitursynov", "г.Алматы", "No.5", "12.10.2026", "3.7", "и т.д.", "08:00–19:00",
    "Школа № 5 им. Ы. Алтынсарина", "Версия 1.2.3", "...", "12:30", "О.К.", "St.Peter", "",
]  # fmt: skip


@pytest.mark.parametrize("text", DOMAINS)
def test_domains_are_found_and_taken_out(text):
    sentence = f"Кеше {text} ашылмады, ал (сағат 12.30-да) {text}: қайта."
    assert names_domain(text)
    assert not names_domain(without_domains(sentence))
    assert HIDDEN in without_domains(sentence)
    assert "Кеше" in without_domains(sentence)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_none_stays(text):
    assert not names_domain(text)
    assert without_domains(text) == text


@given(st.text())
def test_nothing_is_left_of_any_text(text):
    assert not names_domain(without_domains(text))

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import PaperworkError
from filterd.monitor.casework.privacy import checked, forbidden


@pytest.mark.parametrize(
    "text",
    [
        "ИИН 050101500123", "0501015001234567", "050101 500123", "050101-500123", "№050101500123.",
        "٠٥٠١٠١٥٠٠١٢٣", "write to aliya@mail.kz", "a.b+c@school.edu.kz,", "at 192.168.1.7 again",
        "192.168.001.7 and 10.0.0.1", "10.0.0.1.", "(fe80::1)", "2001:db8::5:1", "::ffff:10.0.0.1",
        "00:1A:2b:3c:4d:5e", "00-1a-2b-3c-4d-5e",
    ],
)  # fmt: skip
def test_what_could_name_a_pupil_or_device_is_found(text: str) -> None:
    assert forbidden(text)
    with pytest.raises(PaperworkError) as caught:
        checked(text, "the evidence")
    assert "leave it out" in caught.value.remedy
    assert text not in str(caught.value)  # what was refused is not repeated


@pytest.mark.parametrize(
    "text",
    [
        "", "A casino that takes cards", "seen 2026-10-05 at 12:30", "phone +7 701 123 45 67",
        "version 1.2.3.4.5", "999.1.1.1", "Құмар ойын: бәс тігу", "ratio 1:2:3", "see §5::", "12345678901",
        "follow @casino", "a@b", "first line\nsecond line\tend",
    ],
)  # fmt: skip
def test_ordinary_words_pass(text: str) -> None:
    assert checked(text, "the evidence") == text


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\u202eb", "a\u200bb", "a\ud800b", "x" * 2001])
def test_texts_that_cannot_be_taken(text: str) -> None:
    with pytest.raises(PaperworkError) as caught:
        checked(text, "the evidence")
    assert caught.value.remedy


def test_empty_where_words_are_needed() -> None:
    with pytest.raises(PaperworkError):
        checked(" \n ", "the reason", needed=True)


@given(st.text(max_size=40), st.from_regex(r"\A[0-9]{12}\Z"), st.text(max_size=40))
def test_an_iin_is_found_wherever_it_stands(before: str, number: str, after: str) -> None:
    assert forbidden(before + number + after)


@given(st.text(max_size=200))
def test_any_text_gives_an_answer(text: str) -> None:
    assert isinstance(forbidden(text), str)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["1" * 2000, "a:" * 1000, "@" * 2000, "a@" * 1000, "1." * 1000, "0:" * 1000])
def test_no_text_takes_long(text: str) -> None:
    for _ in range(20):
        forbidden(text)

"""Parts of bad lines are shown to people on one short line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from filterd.lists.rule import BELOW, EXACT, SAMPLE_TEXT, SUBTREE, Fault, Reason, Rejected, shown
from filterd.rules import index


def test_a_fault_becomes_a_rejected_line_with_a_column_from_one():
    assert Fault(4, b"x", Reason.NUL).at(7) == Rejected(7, 5, "x", Reason.NUL)


def test_control_characters_and_damage_are_written_out():
    assert shown(b"a\tb\x00\xffc\x1b[31m") == r"a\tb\x00\xffc\x1b[31m"
    assert shown("\u202eпример".encode()) == r"\u202eпример"


@given(st.binary(max_size=2000))
def test_anything_is_printable_and_short(part: bytes):
    text = shown(part)
    assert len(text) <= SAMPLE_TEXT
    assert text.isprintable()


def test_scopes_are_those_of_the_index():
    assert (EXACT, SUBTREE, BELOW) == (index.EXACT, index.SUBTREE, index.BELOW)

"""Lines come out whole and numbered, whatever the blocks and line ends are."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from filterd.lists.formats.lines import MAX_LINE, blocks, numbered
from filterd.lists.rule import Fault, Reason


def lines(*source: bytes) -> list[tuple[int, bytes | Fault]]:
    return list(numbered(source))


def test_lf_crlf_and_no_final_newline():
    assert lines(b"a\nb\r\nc") == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_nothing_holds_no_line():
    assert lines() == []
    assert lines(b"") == []


def test_trailing_blanks_go_and_leading_ones_stay():
    assert lines(b"a  \t\r\n b\n") == [(1, b"a"), (2, b" b")]


def test_a_byte_order_mark_goes_on_the_first_line_and_on_any_other():
    assert lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n") == [(1, b"a"), (2, b"b")]


def test_a_carriage_return_inside_is_a_fault_at_its_place():
    assert lines(b"ab\rcd\n") == [(1, Fault(2, b"ab\rcd", Reason.BARE_CR))]


def test_the_longest_line_seen_in_a_real_list_is_taken():
    assert lines(b"x" * 11_782 + b"\n") == [(1, b"x" * 11_782)]


def test_a_line_over_the_limit_is_one_fault_and_the_next_line_is_read():
    found = lines(*[b"x" * 9000] * 5, b"\nnext\n")
    assert found == [(1, Fault(MAX_LINE, b"x" * MAX_LINE, Reason.TOO_LONG)), (2, b"next")]


def test_an_endless_line_does_not_grow_in_memory():
    endless = (b"x" * 65_536 for _ in range(2000))  # 128 MB that are never held at once
    assert [number for number, _ in numbered(endless)] == [1]


def test_blocks_of_a_stream_are_bounded():
    assert [len(block) for block in blocks(io.BytesIO(b"x" * 600_000))] == [262_144, 262_144, 75_712]


@given(st.binary(), st.lists(st.integers(1, 20)))
def test_cutting_into_blocks_changes_nothing(content: bytes, sizes: list[int]):
    pieces = []
    rest = content
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert lines(*pieces, rest) == lines(content)

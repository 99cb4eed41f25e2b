"""Padding (RFC 7830, RFC 8467): sizes, and that nothing else of a message changes."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.wire import synthesis
from filterd.wire.opt import PAD_BLOCK
from filterd.wire.padding import QUERY_BLOCK, padded_if_asked, padded_query
from filterd.wire.query import build_query, parse_query

PADDING = dns.edns.GenericOption(12, b"")


def reply_to(message, size):
    query = parse_query(message.to_wire())
    return synthesis.simple(query, 0, limit=65_535, ede=(0, "x" * size) if query.edns else None)


@given(st.integers(0, 160), st.integers(1, 60))
def test_8467_responses_fill_blocks_of_468(size, label):
    message = dns.message.make_query("a" * label + ".example", "A", use_edns=0, options=[PADDING])
    reply = reply_to(message, size)
    padded = padded_if_asked(message.to_wire(), reply)
    assert len(padded) % PAD_BLOCK == 0
    assert len(padded) - len(reply) < PAD_BLOCK + 4
    before, after = dns.message.from_wire(reply), dns.message.from_wire(padded)
    assert after.options[:-1] == before.options
    assert after.options[-1].otype == 12
    assert set(after.options[-1].to_wire()) <= {0}, "RFC 7830 section 3: bytes of 0"


@pytest.mark.parametrize("options", [{"use_edns": -1}, {"use_edns": 0}])
def test_7830_not_asked_not_padded(options):
    message = dns.message.make_query("www.example", "A", **options)
    reply = reply_to(message, 10)
    assert padded_if_asked(message.to_wire(), reply) is reply


@given(st.integers(1, 63))
def test_8467_queries_fill_blocks_of_128(label):
    question = bytes((label,)) + b"a" * label + b"\x07example\0\0\x01\0\x01"
    padded = padded_query(build_query(7, question, do=True))
    assert len(padded) % QUERY_BLOCK == 0
    message = dns.message.from_wire(padded)
    assert [int(option.otype) for option in message.options] == [12]
    assert parse_query(padded).edns.padding


def test_what_is_no_query_is_left_as_it_is():
    assert padded_if_asked(b"\0" * 5, b"reply") == b"reply"

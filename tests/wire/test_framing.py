from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import DropPacket
from filterd.wire.framing import FrameReader, frame

MESSAGES = st.lists(st.binary(min_size=12, max_size=80), max_size=8)


@given(MESSAGES, st.data())
def test_rfc_7766_section_8_any_portions_give_the_same_messages(messages, data):
    """One-byte dribble, two queries in a segment, a length split from its message."""
    stream = b"".join(frame(message) for message in messages)
    reader = FrameReader()
    found = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == messages
    assert reader.pending == 0


def test_one_byte_at_a_time():
    stream = frame(b"a" * 12) + frame(b"b" * 300)
    reader = FrameReader()
    found = [message for byte in stream for message in reader.feed(bytes((byte,)))]
    assert found == [b"a" * 12, b"b" * 300]


def test_two_queries_in_one_segment_and_half_of_a_third():
    reader = FrameReader()
    stream = frame(b"a" * 12) + frame(b"b" * 13) + frame(b"c" * 14)
    assert reader.feed(stream[:-4]) == [b"a" * 12, b"b" * 13]
    assert reader.pending == 12
    assert reader.feed(stream[-4:]) == [b"c" * 14]
    assert reader.feed(b"") == []


def test_rfc_1035_section_4_2_2_the_longest_message():
    reader = FrameReader()
    longest = bytes(65535)
    assert reader.feed(frame(longest)) == [longest]


@pytest.mark.parametrize("length", [0, 1, 11])
def test_a_message_shorter_than_a_header_ends_the_stream(length):
    """Else 64 KB of zeros would be 32,000 messages."""
    with pytest.raises(DropPacket):
        FrameReader().feed(frame(bytes(length)))


def test_a_message_over_the_limit_ends_the_stream_before_it_is_held():
    reader = FrameReader(limit=4096)
    assert reader.feed(frame(bytes(4096))) == [bytes(4096)]
    with pytest.raises(DropPacket):
        reader.feed(b"\x10\x01")


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_never_holds_more_than_one_message(portions):
    reader = FrameReader(limit=100)
    for portion in portions:
        try:
            reader.feed(portion)
        except DropPacket:
            return
        assert reader.pending < 102

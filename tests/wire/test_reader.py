from __future__ import annotations

import struct

import dns.exception
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import BadName
from filterd.wire.reader import MAX_WORK, NameReader

HEADER = bytes(12)


def pointer(at):
    return struct.pack("!H", 0xC000 | at)


def test_plain_compressed_and_nested_names():
    """RFC 1035 section 4.1.4."""
    message = HEADER + b"\x02Kz\x00" + b"\x03wWw" + pointer(12) + b"\x01a" + pointer(16) + b"end"
    reader = NameReader(message)
    assert reader.read(12) == (b"\x02Kz\x00", 16)
    assert reader.read(16) == (b"\x03wWw\x02Kz\x00", 22)
    assert reader.read(22) == (b"\x01a\x03wWw\x02Kz\x00", 26)
    assert reader.read(22) == (b"\x01a\x03wWw\x02Kz\x00", 26)
    assert NameReader(message).read(22) == (b"\x01a\x03wWw\x02Kz\x00", 26)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (pointer(12), "to itself"),
        (b"\x01a" + pointer(12), "to its own first label"),
        (b"\x01a" + pointer(14), "to itself after a label"),
        (pointer(40) + bytes(40), "forwards"),
        (pointer(0), "into the header"),
        (pointer(11), "into the header"),
        (b"\x40" + bytes(64), "label type 0x40"),
        (b"\x80" + bytes(128), "label type 0x80"),
        (b"\x05abc", "cut short"),
        (b"\xc0", "pointer cut short"),
        (b"\x01a", "no root"),
        (b"", "nothing"),
    ],
)
def test_rfc_9267_section_2_bad_names(body, why):
    with pytest.raises(BadName):
        NameReader(HEADER + body).read(12)


def test_two_pointers_to_each_other():
    message = HEADER + pointer(14) + pointer(12)
    for at in (12, 14):
        with pytest.raises(BadName):
            NameReader(message).read(at)


def test_rfc_1035_section_2_3_4_length_counts_after_decompression():
    half = b"\x3f" + b"a" * 63
    message = (
        HEADER + half * 3 + b"\x00" + b"\x3d" + b"b" * 61 + pointer(12) + b"\x3e" + b"b" * 62 + pointer(12)
    )
    reader = NameReader(message)
    name, after = reader.read(12 + 193)
    assert len(name) == 255
    with pytest.raises(BadName):
        reader.read(after)
    with pytest.raises(BadName):
        NameReader(HEADER + b"\x01a" * 128 + b"\x00").read(12)


def pointer_chain(length):
    """A name, then pointers each to the one before: reading the last walks them all."""
    message = bytearray(HEADER + b"\x01a\x00")
    last = 12
    for _ in range(length):
        last, at = len(message), last
        message += pointer(at)
    return bytes(message), last


def test_a_long_chain_of_pointers_ends_early():
    message, last = pointer_chain(8000)
    reader = NameReader(message)
    with pytest.raises(BadName):
        reader.read(last)
    assert reader.work <= 256


def test_a_short_chain_of_pointers_is_followed():
    message, last = pointer_chain(100)
    assert NameReader(message).read(last) == (b"\x01a\x00", last + 2)


def test_work_is_bounded_over_all_names_of_a_message():
    """KeyTrap's lesson: each name is cheap, their sum must be as well."""
    message = HEADER
    starts = []
    for _ in range(200):
        starts.append(len(message))
        message += b"\x01a" * 120 + b"\x00"
    reader = NameReader(message)
    with pytest.raises(BadName):  # noqa: PT012
        for at in starts:
            reader.read(at)
    assert reader.work <= MAX_WORK + 255


def test_a_shared_suffix_is_walked_once():
    suffix = b"\x01a" * 100 + b"\x00"
    message = HEADER + suffix + (b"\x01b" + pointer(12)) * 300
    reader = NameReader(message)
    for number in range(300):
        assert reader.read(12 + len(suffix) + 4 * number)[0] == b"\x01b" + suffix
    assert reader.work < 100 + 2 * 300 + 1


@settings(max_examples=400)
@given(
    st.lists(
        st.sampled_from([b"\x00", b"\x01a", b"\x03www", b"\xc0\x0c", b"\xc0\x0e", b"\xc0\x10", b"\x41"])
    ),
    st.integers(12, 40),
)
def test_names_that_dnspython_reads_are_read_alike(pieces, at):
    message = HEADER + b"".join(pieces)
    try:
        ours = NameReader(message).read(at)
    except BadName:
        ours = None
    try:
        name, used = dns.name.from_wire(message, at)
        theirs = (name.to_wire(), at + used)
    except (dns.exception.DNSException, IndexError):
        theirs = None
    if ours != theirs:  # stricter in one thing only: no name in the header
        assert ours is None
        assert theirs is not None


@given(st.binary(max_size=300), st.integers(0, 320))
def test_no_bytes_break_the_reader(body, at):
    try:
        name, after = NameReader(HEADER + body).read(at)
    except BadName:
        return
    assert 0 < len(name) <= 255
    assert name[-1] == 0
    assert at < after <= 12 + len(body)


def test_a_name_that_runs_into_its_own_pointer_is_refused():
    """The label at 14 would hold the very pointer that leads to it."""
    message = HEADER + b"\x00\xc0\x0c\x01a\x01a\x01a\x03www\xc0\x0e\x00"
    with pytest.raises(BadName, match="runs into the pointer that leads"):
        NameReader(message).read(15)

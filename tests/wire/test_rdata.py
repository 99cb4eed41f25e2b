from __future__ import annotations

import struct

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import BadName
from filterd.wire.rdata import CHECKED, check, hints, uncompressed
from filterd.wire.reader import NameReader

SUFFIX = b"\x02kz\x00"
MESSAGE_HEAD = bytes(12) + SUFFIX  # the suffix stands at 12
TO_SUFFIX = b"\xc0\x0c"


def placed(data):
    message = MESSAGE_HEAD + data
    return NameReader(message), message, len(MESSAGE_HEAD), len(message)


@pytest.mark.parametrize(
    ("rtype", "text"),
    [
        ("NS", "a.kz."),
        ("MD", "a.kz."),
        ("MF", "a.kz."),
        ("CNAME", "a.kz."),
        ("SOA", "a.kz. b.kz. 1 2 3 4 5"),
        ("MB", "a.kz."),
        ("MG", "a.kz."),
        ("MR", "a.kz."),
        ("PTR", "a.kz."),
        ("MINFO", "a.kz. b.kz."),
        ("MX", "10 a.kz."),
        ("RP", "a.kz. b.kz."),
        ("AFSDB", "1 a.kz."),
        ("RT", "1 a.kz."),
        ("PX", "1 a.kz. b.kz."),
        ("SRV", "1 2 3 a.kz."),
        ("NAPTR", '1 2 "s" "x" "" a.kz.'),
        ("KX", "1 a.kz."),
        ("DNAME", "a.kz."),
        ("SVCB", "1 a.kz. alpn=h2"),
        ("HTTPS", "0 a.kz."),
    ],
)
def test_rfc_3597_section_4_names_are_found_in_every_type_that_may_compress_them(rtype, text):
    number = dns.rdatatype.from_text(rtype)
    assert number in CHECKED
    try:
        plain = dns.rdata.from_text("IN", rtype, text).to_wire()
    except dns.exception.SyntaxError:  # dnspython knows no MD, MF, MB, MG, MR and MINFO
        plain = b"\x01a\x02kz\x00" * (2 if rtype == "MINFO" else 1)
    compressed = plain.replace(SUFFIX, TO_SUFFIX)
    assert compressed != plain
    reader, message, at, end = placed(compressed)
    assert uncompressed(reader, message, number, at, end) == plain
    target = check(reader, message, number, at, end)
    assert target == (b"\x01a\x02kz\x00" if rtype in ("CNAME", "DNAME", "SVCB", "HTTPS") else b"")
    for cut in range(1, len(compressed)):
        short = compressed[:-cut]
        if rtype == "SVCB" and len(short) == 2 + 4:  # what is cut off is the parameters, as a whole
            continue
        with pytest.raises(BadName):
            check(*placed(short)[:2], number, at, end - cut)
    with pytest.raises(BadName):
        check(*placed(compressed + b"\x00")[:2], number, at, end + 1)


@pytest.mark.parametrize("rtype", [10, 16, 43, 46, 47, 48, 50, 65280])
def test_data_of_other_types_is_opaque(rtype):
    data = b"\xc0\x00\xff"
    reader, message, at, end = placed(data)
    assert rtype not in CHECKED
    assert uncompressed(reader, message, rtype, at, end) == data


def test_names_may_not_reach_over_the_end_of_their_record():
    """The next record's bytes are not this record's."""
    message = MESSAGE_HEAD + b"\x01a\x00rest"
    for rtype, head in ((5, 0), (2, 0)):
        with pytest.raises(BadName):
            check(NameReader(message), message, rtype, len(MESSAGE_HEAD), len(MESSAGE_HEAD) + 2 + head)


@given(st.lists(st.tuples(st.integers(0, 8), st.binary(max_size=32)), max_size=5))
def test_rfc_9460_hints_are_whole_addresses(params):
    data = b"\x00\x01\x00" + b"".join(struct.pack("!HH", key, len(value)) + value for key, value in params)
    reader, message, at, end = placed(data)
    sizes = {4: 4, 6: 16}
    if any(len(value) % sizes.get(key, 1) for key, value in params):
        with pytest.raises(BadName):
            hints(reader, message, at, end)
        return
    found = hints(reader, message, at, end)
    assert b"".join(found) == b"".join(value for key, value in params if key in sizes)
    assert all(len(address) in (4, 16) for address in found)

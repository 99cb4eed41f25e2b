from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.wire import opt
from filterd.wire.constants import Rcode
from filterd.wire.synthesis import BlockAnswer, addresses, blocked


def read(packet):
    return dns.message.from_wire(packet)


def blocked_reply(ask, **fields):
    return blocked(ask("kz. IN A", **fields), BlockAnswer(), limit=65535, ede=(15, "gambling"))


@given(
    do=st.booleans(),
    rcode=st.integers(0, 4095),
    ede=st.one_of(st.none(), st.tuples(st.integers(0, 65535), st.text(max_size=300))),
    cookie=st.one_of(st.none(), st.binary(min_size=24, max_size=24)),
)
def test_opt_as_dnspython_reads_it(do, rcode, ede, cookie):
    """RFC 6891 section 6.1.2; RFC 8914 section 2: the text is UTF-8 and holds no NUL."""
    record = opt.opt_record(do, rcode, ede, cookie)
    header = b"\x00\x07\x80" + bytes((rcode & 15,)) + bytes(7) + b"\x01"
    message = read(header + record)
    assert (message.edns, message.payload, message.rcode()) == (0, 1232, rcode)
    assert message.ednsflags & 0xFFFF == (0x8000 if do else 0)
    options = list(message.options)
    if cookie is not None:
        assert options.pop(0).to_wire() == cookie
    if ede is not None:
        error = options.pop(0)
        assert error.code == ede[0]
        text = error.text or ""
        assert len(text.encode()) <= opt.MAX_EDE_TEXT
        wanted = ede[1].replace("\0", "").encode("utf-8", "replace").decode()
        assert wanted.startswith(text)
        assert len(wanted.encode()) - len(text.encode()) in range(max(1, len(wanted.encode()) - 156))
    assert not options


def test_text_is_cut_between_characters_not_inside_one():
    text = "құмар ойын " * 30
    record = opt.opt_record(False, 0, (17, text))
    assert text.startswith(record[17:].decode())
    assert opt.MAX_EDE_TEXT - 1 <= len(record[17:]) <= opt.MAX_EDE_TEXT


def test_text_that_is_not_unicode_does_no_harm():
    """A lone surrogate, as from a file name read with surrogateescape."""
    assert opt.opt_record(False, 0, (15, "\udcff"))[-1:] == b"?"


def test_rfc_7828_keepalive_and_a_second_option(ask):
    reply = opt.with_keepalive(blocked_reply(ask), 100)
    reply = opt.with_option(reply, 65001, b"x")
    error, keepalive, other = read(reply).options
    assert error.code == 15
    assert (keepalive.otype, keepalive.to_wire()) == (11, b"\x00\x64")
    assert (other.otype, other.to_wire()) == (65001, b"x")
    assert read(opt.with_keepalive(blocked_reply(ask), 10**9)).options[1].to_wire() == b"\xff\xff"


@pytest.mark.parametrize("labels", range(1, 40))
def test_rfc_8467_padding_to_a_multiple_of_468(ask, labels):
    query = ask("a." * labels + "kz. IN A", padding=True)
    reply = opt.padded(blocked(query, BlockAnswer(), limit=65535, ede=(15, "gambling")))
    assert len(reply) == 468
    assert set(read(reply).options[-1].to_wire()) <= {0}
    assert len(opt.padded(reply)) == 936


def test_rfc_6891_section_7_no_opt_nothing_added(ask):
    query = ask("kz. IN A", edns=False)
    reply = blocked(query, BlockAnswer(), limit=512, ede=(15, "x"), cookie=b"c" * 24)
    for changed in (opt.padded(reply), opt.with_keepalive(reply, 1), opt.with_option(reply, 1, b"")):
        assert changed == reply


def test_nothing_is_added_over_65535_bytes(ask):
    query = ask("kz. IN A")
    found = [number.to_bytes(4, "big") for number in range(4000)]
    reply = addresses(query, found, (), 60, limit=65535)
    room = 65535 - len(reply) - 4
    assert len(opt.with_option(reply, 65001, bytes(room))) == 65535
    assert opt.with_option(reply, 65001, bytes(room + 1)) == reply
    assert len(read(opt.padded(reply)).answer[0]) == 4000


def test_options_find_opt_behind_any_records(ask, reply):
    """In our own replies OPT stands last, behind names of every form."""
    packet = reply(
        "a.kz. IN MX", answer='a.kz. 60 IN MX 1 b.kz.\nx.net. 60 IN TXT "abc"', edns="DO", rcode="NXDOMAIN"
    )
    assert read(opt.with_option(packet, 65001, b"abc")).options[0].to_wire() == b"abc"


def test_badvers_carries_its_upper_bits():
    assert opt.opt_record(False, Rcode.BADVERS)[5] == 1

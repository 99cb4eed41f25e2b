from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import DropPacket, QueryRefused
from filterd.wire.constants import Rcode, Type
from filterd.wire.edns import MAX_ADDITIONAL, MAX_OPTIONS, Edns
from filterd.wire.query import (
    build_query,
    edns_of,
    mixed_case,
    parse_query,
    refusal,
)

NAME = b"\x03wWw\x07example\x02kz\x00"
QUESTION = NAME + b"\x00\x01\x00\x01"


def header(flags=0x0100, qd=1, an=0, ns=0, ar=0):
    return struct.pack("!6H", 0x1234, flags, qd, an, ns, ar)


def opt(options=b"", *, size=1232, version=0, flags=0, owner=b"\x00"):
    return owner + struct.pack("!HHBBHH", Type.OPT, size, 0, version, flags, len(options)) + options


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


def refused(packet):
    with pytest.raises(QueryRefused) as caught:
        parse_query(packet)
    return caught.value.rcode, caught.value.reason


def test_an_ordinary_question_with_case_kept():
    query = parse_query(header(0x0130) + QUESTION)
    assert (query.id, query.rd, query.cd, query.ad) == (0x1234, True, True, True)
    assert (query.qname, query.name) == (NAME, NAME.lower())
    assert (query.qtype, query.qclass, query.edns, query.do) == (1, 1, None, False)
    assert query.question == QUESTION
    assert query.udp_limit == 512  # RFC 1035 section 4.2.1


@pytest.mark.parametrize("bit", [0x0100, 0x0010, 0x0020])
def test_rd_cd_and_ad_are_told_apart(bit):
    query = parse_query(header(bit) + QUESTION)
    assert (query.rd, query.cd, query.ad) == (bit == 0x0100, bit == 0x0010, bit == 0x0020)


@pytest.mark.parametrize("flags", [0x0400, 0x0200, 0x0080, 0x0040, 0x000F])
def test_rfc_6895_other_header_bits_of_a_query_are_ignored(flags):
    assert parse_query(header(flags) + QUESTION).rd is False


@pytest.mark.parametrize("length", range(12))
def test_under_twelve_bytes_is_met_with_silence(length):
    with pytest.raises(DropPacket):
        parse_query((header() + QUESTION)[:length])
    with pytest.raises(DropPacket):
        refusal((header() + QUESTION)[:length], QueryRefused("", rcode=1, reason=""))


@pytest.mark.parametrize("flags", [0x8000, 0x8180, 0xF800])
def test_a_response_is_met_with_silence(flags):
    """QR=1: answering would let two servers talk for ever."""
    with pytest.raises(DropPacket):
        parse_query(header(flags) + QUESTION)


@pytest.mark.parametrize("opcode", range(1, 16))
def test_rfc_6895_other_opcodes_are_not_implemented(opcode):
    packet = header(opcode << 11) + QUESTION
    assert refused(packet) == (Rcode.NOTIMP, "opcode")


@pytest.mark.parametrize("count", [2, 3, 65535])
def test_rfc_9619_more_than_one_question(count):
    assert refused(header(qd=count) + QUESTION * min(count, 3)) == (Rcode.FORMERR, "qdcount")


def test_rfc_9619_many_questions_cost_nothing():
    """65 KB of questions (2.9 s in dnslib): refused by the count, before any byte of them is read."""
    assert refused(header(qd=13000) + b"\x00\x00\x01\x00\x01" * 13000) == (Rcode.FORMERR, "qdcount")


def test_no_question():
    assert refused(header(qd=0)) == (Rcode.FORMERR, "qdcount")
    assert refused(header(qd=0, ar=1) + opt()) == (Rcode.FORMERR, "qdcount")


def test_rfc_7873_section_5_4_no_question_but_a_cookie():
    packet = header(qd=0, ar=1) + opt(option(10, b"12345678"))
    assert refused(packet) == (Rcode.NOERROR, "cookie-only")
    assert edns_of(packet) == Edns(1232, cookie=b"12345678")
    error = QueryRefused("", rcode=Rcode.NOERROR, reason="cookie-only")
    answer = dns.message.from_wire(refusal(packet, error, cookie=b"12345678" + bytes(16)))
    assert answer.rcode() == 0
    assert not answer.question
    assert [o.otype for o in answer.options] == [dns.edns.OptionType.COOKIE]


@pytest.mark.parametrize("counts", [{"an": 1}, {"ns": 1}, {"an": 65535}, {"ar": 1}, {"ar": 65535}])
def test_rfc_9267_counts_without_records(counts):
    assert refused(header(**counts) + QUESTION)[0] == Rcode.FORMERR


@pytest.mark.parametrize("counts", [{"an": 1}, {"ns": 1}])
def test_records_have_no_place_in_a_query(counts):
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04abcd"
    assert refused(header(**counts) + QUESTION + record) == (Rcode.FORMERR, "counts")


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # to itself: RFC 9267 section 2
        b"\xc0\x00",  # into the header
        b"\xc0\x04",
        b"\x01a\xc0\x0c",
        b"\xff\xff",
        b"\x40\x00",  # label type 0x40 (RFC 6891 section 5, never used)
        b"\x41a\x00",
        b"\x80\x00",  # label type 0x80
        b"\xbfa\x00",
        b"\x3fshort",
        b"\x03www",
        b"",
    ],
)
def test_rfc_9267_bad_labels_in_the_question(name):
    assert refused(header() + name + b"\x00\x01\x00\x01")[0] == Rcode.FORMERR


@pytest.mark.parametrize("cut", range(1, len(QUESTION) + 1))
def test_a_question_cut_short(cut):
    assert refused(header() + QUESTION[:-cut])[0] == Rcode.FORMERR


def test_rfc_1035_section_2_3_4_names_of_255_bytes_pass_and_longer_ones_do_not():
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\x00"
    assert len(longest) == 255
    tail = b"\x00\x01\x00\x01"
    assert parse_query(header() + longest + tail).qname == longest
    longer = (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"b" * 62 + b"\x00"
    assert refused(header() + longer + tail) == (Rcode.FORMERR, "question")
    deepest = b"\x01a" * 127 + b"\x00"
    assert parse_query(header() + deepest + tail).qname == deepest
    assert refused(header() + b"\x01a" * 128 + b"\x00" + tail) == (Rcode.FORMERR, "question")
    assert refused(header() + b"\x01a" * 30000 + b"\x00" + tail) == (Rcode.FORMERR, "question")


def test_the_root_and_labels_of_any_bytes_pass():
    """RFC 2181 section 11: a label is any bytes; dnslib refuses what is not UTF-8."""
    assert parse_query(header() + b"\x00\x00\x02\x00\x01").name == b"\x00"
    odd = b"\x05\xff\x00\x80. \x03com\x00"
    assert parse_query(header() + odd + b"\x00\x01\x00\x01").name == odd


def test_a_dot_inside_a_label_is_not_a_border_of_labels():
    """`www.foo` + `com` prints like `www.foo.com.` in dnslib: a way around a filter."""
    sly = parse_query(header() + b"\x07www.foo\x03com\x00\x00\x01\x00\x01")
    real = parse_query(header() + b"\x03www\x03foo\x03com\x00\x00\x01\x00\x01")
    assert sly.name != real.name


@pytest.mark.parametrize("garbage", [b"\x00", b"\x00" * 11, QUESTION])
def test_bytes_after_the_last_record(garbage):
    assert refused(header() + QUESTION + garbage) == (Rcode.FORMERR, "trailing")
    assert refused(header(ar=1) + QUESTION + opt() + garbage)[0] == Rcode.FORMERR
    assert refused(header(ar=1) + QUESTION + opt(option(65001, bytes(90))) + garbage)[0] == Rcode.FORMERR


@pytest.mark.parametrize("qtype", [Type.AXFR, Type.IXFR])
def test_rfc_5936_zone_transfers_are_refused(qtype):
    packet = header() + NAME + struct.pack("!HH", qtype, 1)
    assert refused(packet) == (Rcode.REFUSED, "qtype")


def test_rfc_1995_an_incremental_transfer_brings_its_soa():
    soa = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16\x00\x00" + bytes(20)
    packet = header(ns=1, ar=1) + NAME + struct.pack("!HH", Type.IXFR, 1) + soa + opt()
    assert refused(packet) == (Rcode.REFUSED, "qtype")
    assert edns_of(packet) == Edns(1232)


@pytest.mark.parametrize("qclass", [3, 4, 254, 255, 0, 65535])
def test_rfc_5358_only_class_in_is_served(qclass):
    """CH version.bind, class ANY and the rest: REFUSED."""
    packet = header() + b"\x07version\x04bind\x00" + struct.pack("!HH", Type.TXT, qclass)
    assert refused(packet) == (Rcode.REFUSED, "class")


@pytest.mark.parametrize("qtype", [0, 1, 28, 64, 65, 99, 255, 257, 32769, 65280, 65535])
def test_rfc_5625_every_other_type_passes(qtype):
    assert parse_query(header() + NAME + struct.pack("!HH", qtype, 1)).qtype == qtype


@pytest.mark.parametrize(("qtype", "rcode"), [(Type.OPT, 1), (Type.TSIG, 1), (Type.TKEY, 5)])
def test_types_that_are_no_data(qtype, rcode):
    assert refused(header() + NAME + struct.pack("!HH", qtype, 1)) == (rcode, "qtype")


# EDNS (RFC 6891)


@pytest.mark.parametrize(
    ("size", "counts_as"), [(0, 512), (511, 512), (512, 512), (1400, 1400), (65535, 65535)]
)
def test_rfc_6891_section_6_2_3_a_size_under_512_counts_as_512(size, counts_as):
    query = parse_query(header(ar=1) + QUESTION + opt(size=size))
    assert query.edns == Edns(counts_as)
    assert query.udp_limit == min(counts_as, 1232)


def test_rfc_3225_do():
    query = parse_query(header(ar=1) + QUESTION + opt(flags=0x8000))
    assert query.do
    assert query.edns == Edns(1232, do=True)


def test_rfc_6891_unknown_flags_and_options_are_ignored():
    options = option(65001, b"x" * 5) + option(3) + option(8, b"\x00\x01\x18\x00\xc0\x00\x02")
    assert parse_query(header(ar=1) + QUESTION + opt(options, flags=0x7FFF)).edns == Edns(1232)


def test_rfc_6891_section_6_1_3_other_versions():
    for version in (1, 255):
        packet = header(ar=1) + QUESTION + opt(b"\x01", version=version)
        assert refused(packet) == (Rcode.BADVERS, "edns-version")
        answer = dns.message.from_wire(refusal(packet, QueryRefused("", rcode=Rcode.BADVERS, reason="")))
        assert answer.rcode() == dns.rcode.BADVERS
        assert answer.edns == 0
        assert answer.payload == 1232


def test_rfc_6891_section_6_1_1_one_opt_only_and_of_the_root():
    assert refused(header(ar=2) + QUESTION + opt() * 2) == (Rcode.FORMERR, "opt")
    assert refused(header(ar=1) + QUESTION + opt(owner=b"\x01a\x00")) == (Rcode.FORMERR, "opt")
    assert refused(header(ar=1) + QUESTION + opt(owner=b"\xc0\x0c")) == (Rcode.FORMERR, "opt")


def test_the_root_by_a_pointer_is_not_a_plain_root():
    root_at = 12 + len(NAME) - 1
    packet = header(ar=1) + QUESTION + opt(owner=struct.pack("!H", 0xC000 | root_at))
    assert refused(packet) == (Rcode.FORMERR, "opt")


def test_opt_may_stand_beside_other_records():
    other = b"\xc0\x0c" + struct.pack("!HHIH", Type.TSIG, 255, 0, 3) + b"abc"
    for records in (opt(flags=0x8000) + other, other + opt(flags=0x8000)):
        assert parse_query(header(ar=2) + QUESTION + records).edns == Edns(1232, do=True)
    assert parse_query(header(ar=1) + QUESTION + other).edns is None


def test_additional_records_are_few_and_well_formed():
    record = b"\x00" + struct.pack("!HHIH", 1, 1, 0, 0)
    fits = header(ar=MAX_ADDITIONAL) + QUESTION + record * MAX_ADDITIONAL
    assert parse_query(fits).edns is None
    many = header(ar=MAX_ADDITIONAL + 1) + QUESTION + record * (MAX_ADDITIONAL + 1)
    assert refused(many) == (Rcode.FORMERR, "counts")
    at = 12 + len(QUESTION)
    forward = struct.pack("!H", 0xC000 | at) + record[1:]
    assert refused(header(ar=1) + QUESTION + forward) == (Rcode.FORMERR, "name")
    assert refused(header(ar=1) + QUESTION + record[:-1]) == (Rcode.FORMERR, "counts")


def test_rfc_7873_section_5_2_2_cookies():
    for length in range(45):
        packet = header(ar=1) + QUESTION + opt(option(10, b"c" * length))
        if length == 8 or 16 <= length <= 40:
            assert parse_query(packet).edns == Edns(1232, cookie=b"c" * length)
        else:
            assert refused(packet) == (Rcode.FORMERR, "cookie")
    both = opt(option(10, b"c" * 8) + option(10, b"d" * 8))
    assert parse_query(header(ar=1) + QUESTION + both).edns == Edns(1232, cookie=b"c" * 8)


def test_rfc_7830_and_rfc_7828_padding_and_keepalive_are_seen():
    packet = header(ar=1) + QUESTION + opt(option(12, bytes(100)) + option(11))
    assert parse_query(packet).edns == Edns(1232, padding=True, keepalive=True)


@pytest.mark.parametrize("options", [b"\x00", b"\x00\x03\x00", b"\x00\x03\x00\x01", b"\x00\x03\x00\x00\x00"])
def test_options_that_do_not_fill_opt(options):
    assert refused(header(ar=1) + QUESTION + opt(options)) == (Rcode.FORMERR, "options")


@pytest.mark.parametrize("length", range(3, 11))
def test_opt_cut_short(length):
    assert refused(header(ar=1) + QUESTION + opt()[:length])[0] == Rcode.FORMERR


def test_edns_of_what_cannot_be_read_is_none():
    for packet in (b"", header()[:11], header(qd=2) + QUESTION * 2, header(ar=1) + QUESTION + b"\xc0"):
        assert edns_of(packet) is None


def test_long_opt_records_as_of_padded_queries_are_read():
    """RFC 8467 section 4.1: queries over TLS are padded to 128 bytes."""
    packet = header(ar=1) + QUESTION + opt(option(12, bytes(100)), flags=0x8000)
    assert parse_query(packet).edns == Edns(1232, do=True, padding=True)


def test_options_are_few():
    assert parse_query(header(ar=1) + QUESTION + opt(option(65001) * MAX_OPTIONS)).edns == Edns(1232)
    many = opt(option(65001) * (MAX_OPTIONS + 1))
    assert refused(header(ar=1) + QUESTION + many) == (Rcode.FORMERR, "options")


# Error replies


def test_a_refusal_copies_id_opcode_rd_cd_and_question():
    packet = header(0x0130 | 4 << 11, ar=1) + QUESTION + opt(flags=0x8000)
    answer = refusal(packet, QueryRefused("", rcode=Rcode.NOTIMP, reason="opcode"))
    ident, flags, *counts = struct.unpack_from("!6H", answer)
    assert ident == 0x1234
    assert flags == 0x8000 | 4 << 11 | 0x0100 | 0x0080 | 0x0010 | Rcode.NOTIMP
    assert counts == [1, 0, 0, 1]
    assert answer[12 : 12 + len(QUESTION)] == QUESTION
    assert answer[12 + len(QUESTION) :] == opt(flags=0x8000)


@pytest.mark.parametrize(
    "packet",
    [
        header(qd=2) + QUESTION * 2,
        header() + b"\xc0\x0c\x00\x01\x00\x01",
        header(qd=0),
        header(ar=1) + b"\x40",
    ],
)
def test_a_refusal_without_a_readable_question_is_a_header(packet):
    answer = refusal(packet, QueryRefused("", rcode=Rcode.FORMERR, reason=""))
    assert len(answer) == 12
    assert dns.message.from_wire(answer).rcode() == dns.rcode.FORMERR


def test_a_refusal_has_no_opt_where_the_query_had_none_that_can_be_read():
    for records, count in ((b"", 0), (opt() * 2, 2), (opt(b"\x01"), 1)):
        packet = header(ar=count) + QUESTION + records
        answer = refusal(packet, QueryRefused("", rcode=Rcode.FORMERR, reason=""))
        assert dns.message.from_wire(answer).edns == -1


def test_a_refusal_is_hardly_larger_than_the_query():
    """Amplification (RFC 5358): never more than the OPT of ours beyond what came."""
    for packet in (header() + QUESTION, header(ar=1) + QUESTION + opt(version=1), header(qd=0)):
        assert len(refusal(packet, QueryRefused("", rcode=16, reason=""))) <= len(packet) + 11


# Queries of ours


@pytest.mark.parametrize("cd", [False, True])
@pytest.mark.parametrize("do", [False, True])
def test_our_queries_as_dnspython_reads_them(cd, do):
    """DO and CD are forwarded (RFC 4035); OPT is ours and bare (RFC 6891 section 6.2.1, RFC 7871)."""
    message = dns.message.from_wire(build_query(0xCAFE, QUESTION, cd=cd, do=do))
    assert message.id == 0xCAFE
    assert message.flags == dns.flags.RD | dns.flags.AD | (dns.flags.CD if cd else 0)
    assert message.question[0].to_text() == "wWw.example.kz. IN A"
    assert (message.edns, message.payload, message.options) == (0, 1232, ())
    assert message.ednsflags == (dns.flags.DO if do else 0)


@given(st.integers(0, 2**256 - 1))
def test_0x20_changes_letters_only(bits):
    name = b"\x05a-1_z\x06\xff\x00azAZ\x02kz\x00".lower()
    mixed = mixed_case(name, bits)
    assert mixed.lower() == name
    assert mixed_case(name, 0) == name
    assert mixed_case(name, 2**256 - 1) == b"\x05A-1_Z\x06\xff\x00AZAZ\x02KZ\x00"


# Properties

NAMES = st.lists(st.binary(min_size=1, max_size=63), max_size=6).filter(lambda ls: sum(map(len, ls)) < 240)


@given(
    labels=NAMES,
    rdtype=st.integers(0, 65535).filter(lambda t: t not in (41, 249, 250, 251, 252)),
    flags=st.sampled_from([0, dns.flags.RD, dns.flags.RD | dns.flags.CD, dns.flags.AD]),
    edns=st.one_of(st.none(), st.tuples(st.integers(512, 65535), st.booleans())),
    options=st.lists(
        st.builds(dns.edns.GenericOption, st.sampled_from([3, 11, 12, 65001]), st.binary(max_size=40)),
        max_size=3,
    ),
)
def test_what_dnspython_asks_is_what_we_read(labels, rdtype, flags, edns, options):
    name = dns.name.Name([*labels, b""])
    message = dns.message.make_query(name, rdtype, flags=flags)
    if edns is not None:
        message.use_edns(0, dns.flags.DO if edns[1] else 0, edns[0], options=options)
    query = parse_query(message.to_wire())
    assert query.id == message.id
    assert query.qname == name.to_wire()
    assert query.name == query.qname.lower()
    assert (query.qtype, query.qclass) == (rdtype, 1)
    assert (query.rd, query.cd, query.ad) == (bool(flags & 0x100), bool(flags & 0x10), bool(flags & 0x20))
    if edns is None:
        assert query.edns is None
    else:
        codes = {o.otype for o in options}
        assert query.edns == Edns(edns[0], do=edns[1], padding=12 in codes, keepalive=11 in codes)


def survive(packet):
    """Parse, and answer whatever is refused; nothing but the promised errors may escape."""
    try:
        query = parse_query(packet)
    except DropPacket:
        return
    except QueryRefused as error:
        answer = refusal(packet, error, cookie=b"c" * 24)
        assert answer[:2] == packet[:2]
        assert answer[2] & 0x80
        if not answer[2] & 0x78:  # dnspython wants more of an UPDATE than its header
            dns.message.from_wire(answer)
        return
    assert packet.startswith(query.question, 12)
    assert len(query.name) <= 255


@given(st.binary(max_size=600))
def test_no_bytes_break_the_parser(packet):
    survive(packet)
    survive(header() + packet)
    survive(header(ar=1) + QUESTION + packet)
    survive(header(ar=2) + QUESTION + b"\x00\x00\x29" + packet)


@given(st.data())
def test_no_change_of_a_good_query_breaks_the_parser(data):
    packet = bytearray(header(ar=1) + QUESTION + opt(option(10, b"12345678") + option(12, b"\x00")))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    survive(bytes(packet))


@pytest.mark.realdata
def test_real_packets_are_survived(real_packets):
    for packet in real_packets:
        survive(packet)


EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=6
)


@pytest.mark.realdata
@settings(max_examples=300)
@given(which=st.integers(0, 10000), edits=EDITS)
def test_mutated_real_packets_are_survived(real_packets, which, edits):
    packet = bytearray(real_packets[which % len(real_packets)])
    for at, length, replacement in edits:
        packet[at : at + length] = replacement
    survive(bytes(packet))


@pytest.mark.realdata
def test_real_queries_that_dnspython_reads_too_are_read_alike(real_packets):
    compared = 0
    for packet in real_packets:
        try:
            query = parse_query(packet)
            message = dns.message.from_wire(packet)
        except (DropPacket, QueryRefused, dns.exception.DNSException):
            continue
        compared += 1
        (question,) = message.question
        assert query.qname == question.name.to_wire()
        assert (query.qtype, query.qclass) == (question.rdtype, question.rdclass)
        assert (query.edns is None) == (message.edns < 0)
    assert compared

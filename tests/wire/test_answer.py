from __future__ import annotations

import socket
import struct
from collections import Counter

import dns.edns
import dns.exception
import dns.message
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import BadAnswer
from filterd.wire import answer as answers
from filterd.wire import names, stored
from filterd.wire.answer import (
    MAX_RECORDS,
    addresses,
    chain,
    extended_errors,
    fits,
    parse_answer,
    targets,
)
from filterd.wire.constants import Type

QUESTION = b"\x03www\x07example\x02kz\x00\x00\x01\x00\x01"
A = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01"
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"


def header(an=0, ns=0, ar=0, *, flags=0x8180, qd=1):
    return struct.pack("!6H", 7, flags, qd, an, ns, ar)


def record(rtype, data, *, owner=b"\xc0\x0c", rclass=1, ttl=300):
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(data)) + data


def wire(*texts):
    return tuple(names.from_text(text) for text in texts)


def bad(packet):
    with pytest.raises(BadAnswer):
        parse_answer(packet)


# What fits (RFC 5452 section 9.1)


def test_rfc_5452_only_a_reply_to_this_very_question_fits():
    packet = header(1) + QUESTION + A
    assert fits(packet, 7, QUESTION)
    assert not fits(packet, 8, QUESTION)
    assert not fits(header(1, qd=2) + QUESTION + A, 7, QUESTION)
    assert not fits(header(qd=0), 7, QUESTION)
    assert not fits(header(1, flags=0x0100) + QUESTION + A, 7, QUESTION)  # a query
    assert not fits(header(1, flags=0x8900) + QUESTION + A, 7, QUESTION)  # another opcode
    for other in (QUESTION[:-1] + b"\x03", QUESTION[:-3] + b"\x1c\x00\x01", b"\x01x" + QUESTION):
        assert not fits(header(1) + other + A, 7, QUESTION)
    for cut in range(1, len(QUESTION) + 12):
        assert not fits((header() + QUESTION)[:-cut], 7, QUESTION)


def test_0x20_the_case_of_the_question_must_match():
    assert not fits(header(1) + QUESTION.replace(b"www", b"wwW") + A, 7, QUESTION)


# The walker


def test_records_with_their_places(reply):
    packet = reply(
        "WWW.example.kz. IN A",
        answer="www.example.kz. 300 IN CNAME cdn.example.net.\ncdn.example.net. 20 IN A 192.0.2.1",
        authority="example.net. 900 IN NS ns.example.net.",
        additional="ns.example.net. 900 IN AAAA 2001:db8::1",
    )
    answer = parse_answer(packet)
    assert (answer.id, answer.rcode, answer.qtype, answer.qclass) == (7, 0, 1, 1)
    assert (answer.qname, answer.name) == (b"\x03WWW\x07example\x02kz\x00", b"\x03www\x07example\x02kz\x00")
    assert packet[answer.question_end - 4 : answer.question_end] == b"\x00\x01\x00\x01"
    assert [(r.section, names.to_text(r.name), r.rtype, r.ttl) for r in answer.records] == [
        (1, "www.example.kz", Type.CNAME, 300),
        (1, "cdn.example.net", Type.A, 20),
        (2, "example.net", Type.NS, 900),
        (3, "ns.example.net", Type.AAAA, 900),
    ]
    at = answer.question_end
    for item in answer.records:
        assert item.start == at
        assert struct.unpack_from("!I", packet, item.ttl_at) == (item.ttl,)
        assert item.rdata_at + item.rdata_len == item.end
        at = item.end
    assert at == len(packet)
    assert answer.opt is None


def test_flags(reply):
    answer = parse_answer(reply("kz. IN A", flags="QR AA RD RA AD"))
    assert (answer.aa, answer.ad, answer.tc) == (True, True, False)


def test_rfc_6891_section_6_1_3_upper_bits_of_the_rcode():
    packet = header(1, 0, 1, flags=0x8187) + QUESTION + A + b"\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00"
    answer = parse_answer(packet)
    assert answer.rcode == 23  # BADCOOKIE
    assert (answer.opt, len(answer.records)) == (b"", 1)
    assert answer.opt_at == len(header() + QUESTION + A)


def test_opt_need_not_stand_last():
    packet = header(1, 0, 2) + QUESTION + A + OPT + record(Type.A, b"abcd", owner=b"\x01b\x00")
    answer = parse_answer(packet)
    assert [r.section for r in answer.records] == [1, 3]
    assert answer.opt == b""


@pytest.mark.parametrize(
    "packet",
    [
        header(0, 0, 2) + QUESTION + OPT + OPT,
        header(1, 0, 0) + QUESTION + OPT,
        header(0, 1, 0) + QUESTION + OPT,
        header(0, 0, 1) + QUESTION + b"\xc0\x0c" + OPT[1:],
        header(0, 0, 1) + QUESTION + b"\x01a" + OPT,
    ],
)
def test_rfc_6891_section_6_1_1_one_opt_in_the_additional_section_and_of_the_root(packet):
    bad(packet)


def test_rfc_2181_section_8_a_ttl_with_the_high_bit_is_0():
    for ttl, read_as in ((0x7FFFFFFF, 0x7FFFFFFF), (0x80000000, 0), (0xFFFFFFFF, 0)):
        assert parse_answer(header(1) + QUESTION + record(1, b"abcd", ttl=ttl)).records[0].ttl == read_as


def test_rfc_3597_unknown_types_and_classes_pass(reply):
    answer = parse_answer(header(1) + QUESTION + record(65280, b"\xc0\xff\x00", rclass=77))
    assert (answer.records[0].rtype, answer.records[0].rclass, answer.records[0].rdata_len) == (65280, 77, 3)


def test_bytes_after_the_last_record_are_tolerated():
    answer = parse_answer(header(1) + QUESTION + A + b"trailing")
    assert answer.records[-1].end == len(header() + QUESTION + A)


def test_rfc_2181_section_9_a_truncated_reply_says_no_more_than_try_tcp():
    for cut in range(len(A)):
        answer = parse_answer((header(3, flags=0x8380) + QUESTION + A)[: len(header() + QUESTION) + cut])
        assert answer.tc
        assert answer.records == ()
    bad(header(3, flags=0x8380) + QUESTION[:-1])


@pytest.mark.parametrize("cut", range(1, len(QUESTION + A) + 12))
def test_a_reply_cut_short(cut):
    bad((header(1) + QUESTION + A)[:-cut])


def test_not_a_reply_to_one_question():
    bad(header(1, flags=0x0100) + QUESTION + A)
    bad(header(1, flags=0xA980) + QUESTION + A)
    bad(header(qd=0))
    bad(header(1, qd=2) + QUESTION + QUESTION + A)


def test_rfc_9267_counts_over_what_is_there():
    for counts in ((2, 0, 0), (1, 1, 0), (1, 0, 1), (1, 0, 500)):
        bad(header(*counts) + QUESTION + A)


@pytest.mark.parametrize(
    ("rtype", "data"),
    [
        (Type.A, b"abc"),
        (Type.A, b"abcde"),
        (Type.AAAA, b"abcd"),
        (Type.CNAME, b""),
        (Type.CNAME, b"\x01a\x00\x00"),
        (Type.CNAME, b"\x01a"),
        (Type.CNAME, b"\xc0\x04"),
        (Type.DNAME, b"\x80a\x00"),
        (Type.NS, b"\xff\xff"),
        (Type.SOA, b"\x00\x00" + bytes(19)),
        (Type.SOA, b"\x00\x00" + bytes(21)),
        (Type.MX, b"\x00"),
        (Type.SRV, bytes(6)),
        (Type.NAPTR, bytes(4) + b"\x05a"),
        (Type.NAPTR, bytes(4)),
        (Type.HTTPS, b"\x00\x01"),
        (Type.HTTPS, b"\x00\x01\x00\x00\x01"),
        (Type.HTTPS, b"\x00\x01\x00\x00\x01\x00\x09abc"),
        (Type.SVCB, b"\x00\x01\x00\x00\x04\x00\x03abc"),
        (Type.SVCB, b"\x00\x01\x00\x00\x06\x00\x04abcd"),
        (Type.SIG, bytes(17)),
    ],
)
def test_data_that_cannot_be_read_is_never_passed_on(rtype, data):
    bad(header(1) + QUESTION + record(rtype, data))
    bad(header(2) + QUESTION + record(rtype, data) + record(Type.TXT, b"\x01a\x00" * 40))


def test_dnslib_hazard_many_records_are_refused_by_their_count():
    packet = header(MAX_RECORDS) + QUESTION + A * MAX_RECORDS
    assert len(parse_answer(packet).records) == MAX_RECORDS
    bad(header(MAX_RECORDS, 1) + QUESTION + A * (MAX_RECORDS + 1))
    bad(header(65535, 65535, 65535) + QUESTION)


def test_dnslib_hazard_53_kb_of_pointer_chains(monkeypatch):
    """7.3 s in dnslib; here the work over the whole message is bounded."""
    readers = []

    class Watched(answers.NameReader):
        def __init__(self, message):
            super().__init__(message)
            readers.append(self)

    monkeypatch.setattr(answers, "NameReader", Watched)
    blob = bytearray(b"\x01a\x00")
    base = len(header() + QUESTION) + 11
    ends = []
    while len(blob) < 15000:
        last = base
        for _ in range(120):
            last, at = base + len(blob), last
            blob += struct.pack("!H", 0xC000 | at)
        ends.append(last)
    tail = b"".join(record(1, b"abcd", owner=struct.pack("!H", 0xC000 | at)) for at in ends)
    texts = record(Type.TXT, bytes(blob), owner=b"\x00")
    for packet in (
        header(1 + len(ends)) + QUESTION + texts + tail,
        header(1 + len(ends) * 8) + QUESTION + texts + tail * 8,
        header(MAX_RECORDS) + QUESTION + record(1, b"abcd", owner=b"\x01a" * 126 + b"\x00") * MAX_RECORDS,
    ):
        bad(packet)
    assert all(reader.work <= 4096 + 256 for reader in readers)


# The chain (RFC 1034 section 3.6.2, RFC 6672)


def alias_chain(length):
    lines = [f"n{number}.kz. 60 IN CNAME n{number + 1}.kz." for number in range(length)]
    return "\n".join([*lines, f"n{length}.kz. 60 IN A 192.0.2.1"])


def test_the_path_and_what_belongs_to_it(reply):
    answer = parse_answer(
        reply(
            "a.kz. IN A",
            answer="""a.kz. 60 IN CNAME b.kz.
                evil.kz. 60 IN A 192.0.2.66
                B.kz. 60 IN CNAME c.kz.
                c.kz. 60 IN A 192.0.2.1
                c.kz. 60 IN TXT "not asked for"
                c.kz. 60 IN RRSIG A 13 2 60 20300101000000 20200101000000 1 kz. aaaa
                c.kz. 60 IN A 192.0.2.2""",
            additional="a.kz. 60 IN A 192.0.2.77",
        )
    )
    path = chain(answer)
    assert path.names == wire("a.kz", "b.kz", "c.kz")
    assert [r.rtype for r in path.records] == [Type.CNAME, Type.CNAME, Type.A, Type.RRSIG, Type.A]


def test_a_path_out_of_order_is_a_path(reply):
    answer = parse_answer(reply("a.kz. IN A", answer="b.kz. 60 IN A 192.0.2.1\na.kz. 60 IN CNAME b.kz."))
    assert chain(answer).names == wire("a.kz", "b.kz")
    assert len(chain(answer).records) == 2


@pytest.mark.parametrize("length", [0, 1, 12])
def test_twelve_steps_are_followed(reply, length):
    assert len(chain(parse_answer(reply("n0.kz. IN A", answer=alias_chain(length)))).names) == length + 1


@pytest.mark.parametrize("length", [13, 17, 100])
def test_more_than_twelve_steps_are_not(reply, length):
    with pytest.raises(BadAnswer):
        chain(parse_answer(reply("n0.kz. IN A", answer=alias_chain(length))))


@pytest.mark.parametrize(
    "lines", ["a.kz. 60 IN CNAME a.kz.", "a.kz. 60 IN CNAME b.kz.\nb.kz. 60 IN CNAME A.kz."]
)
def test_a_loop(reply, lines):
    with pytest.raises(BadAnswer):
        chain(parse_answer(reply("a.kz. IN A", answer=lines)))


@pytest.mark.parametrize("qtype", ["CNAME", "ANY"])
def test_a_question_for_the_alias_itself_ends_there(reply, qtype):
    answer = parse_answer(
        reply(f"a.kz. IN {qtype}", answer="a.kz. 60 IN CNAME b.kz.\nb.kz. 60 IN A 192.0.2.1")
    )
    assert chain(answer).names == wire("a.kz")
    assert [r.rtype for r in chain(answer).records] == [Type.CNAME]


def test_any_keeps_every_type_of_the_name(reply):
    answer = parse_answer(reply("a.kz. IN ANY", answer='a.kz. 60 IN A 192.0.2.1\na.kz. 60 IN TXT "x"'))
    assert len(chain(answer).records) == 2


def test_rfc_6672_dname_with_and_without_its_cname(reply):
    lines = "old.kz. 60 IN DNAME new.net.\nw.new.net. 60 IN A 192.0.2.1"
    for extra in ("", "\nw.OLD.kz. 60 IN CNAME w.new.net."):
        path = chain(parse_answer(reply("w.old.kz. IN A", answer=lines + extra)))
        assert path.names == wire("w.old.kz", "w.new.net")
        assert Type.DNAME in [r.rtype for r in path.records]
    apex = chain(parse_answer(reply("old.kz. IN A", answer=lines)))
    assert apex.names == wire("old.kz")
    assert apex.records == ()


def test_the_owner_of_a_dname_lends_nothing_else(reply):
    lines = "old.kz. 60 IN DNAME new.net.\nold.kz. 60 IN A 192.0.2.66\nw.new.net. 60 IN A 192.0.2.1"
    path = chain(parse_answer(reply("w.old.kz. IN A", answer=lines)))
    assert [r.rtype for r in path.records] == [Type.DNAME, Type.A]


def test_rfc_6672_section_2_2_a_name_too_long_after_dname(reply):
    long = ".".join(["a" * 60] * 3)
    packet = reply(f"{long}.b.kz. IN A", answer=f"b.kz. 60 IN DNAME {'c' * 60}.{'d' * 40}.net.")
    assert len(chain(parse_answer(packet)).names) == 1


def test_records_of_another_class_do_not_belong():
    answer = parse_answer(header(2) + QUESTION + record(Type.CNAME, b"\x01b\x00", rclass=3) + A)
    assert chain(answer).names == (answer.name,)
    assert [r.rtype for r in chain(answer).records] == [Type.A]


# What the filter looks at


def test_every_target_is_seen_also_off_the_path(reply):
    """CNAME, DNAME and SVCB targets are all checked (RFC 9460 section 2)."""
    answer = parse_answer(
        reply(
            "a.kz. IN HTTPS",
            answer="""a.kz. 60 IN CNAME B.kz.
                b.kz. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1
                b.kz. 60 IN HTTPS 0 C.example.
                x.kz. 60 IN DNAME y.kz.
                z.kz. 60 IN SVCB 1 d.example. port=53
                z.kz. 60 IN CNAME b.kz.""",
            additional="q.kz. 60 IN CNAME not.in.answer.",
        )
    )
    assert targets(answer) == wire("b.kz", "c.example", "y.kz", "d.example")
    assert addresses(answer) == (
        b"\xc0\x00\x02\x01",
        b"\xc0\x00\x02\x02",
        socket.inet_pton(10, "2001:db8::1"),
    )


def test_every_address_of_the_answer_section_is_seen(reply):
    answer = parse_answer(
        reply(
            "a.kz. IN A",
            answer="a.kz. 60 IN A 192.0.2.1\nb.kz. 60 IN AAAA ::1\na.kz. 60 IN A 10.0.0.1",
            additional="a.kz. 60 IN A 192.0.2.9",
        )
    )
    assert addresses(answer) == (b"\xc0\x00\x02\x01", socket.inet_pton(10, "::1"), b"\x0a\x00\x00\x01")
    assert addresses(parse_answer(header() + QUESTION)) == ()
    assert targets(parse_answer(header() + QUESTION)) == ()


def test_hints_in_any_order_and_repeated_are_all_seen():
    """RFC 9460 section 2.2 wants keys ascending; a client that does not care must not see more than we do."""
    one, two = b"\x00\x04\x00\x04\x0a\x00\x00\x01", b"\x00\x04\x00\x04\x0a\x00\x00\x02"
    data = b"\x00\x01\x00" + b"\x00\x06\x00\x10" + bytes(16) + one + b"\x00\x01\x00\x03\x02h2" + two
    answer = parse_answer(header(1) + QUESTION + record(Type.HTTPS, data))
    assert addresses(answer) == (bytes(16), b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")


def test_rfc_8914_extended_errors_of_the_upstream(reply):
    message = dns.message.from_wire(reply("kz. IN A", rcode="SERVFAIL", edns=""))
    message.use_edns(
        0,
        options=[
            dns.edns.GenericOption(65001, b"x"),
            dns.edns.EDEOption(6, "bogus"),
            dns.edns.EDEOption(22),
            dns.edns.GenericOption(15, b"\x00"),
            dns.edns.GenericOption(15, b"\x00\x16\xff\x00"),
        ],
    )
    assert extended_errors(parse_answer(message.to_wire())) == ((6, "bogus"), (22, ""), (22, "\ufffd"))
    assert extended_errors(parse_answer(header() + QUESTION)) == ()
    for options in (b"\x00\x0f\x00", b"\x00\x0f\x00\x09\x00\x06", b"\x00\x0f\x00\x02\x00\x06" * 100):
        opt = OPT[:-2] + struct.pack("!H", len(options)) + options
        assert len(extended_errors(parse_answer(header(ar=1) + QUESTION + opt))) in (0, answers.MAX_ERRORS)


# Properties


def survive(packet):
    """Everything that is done to a reply; only BadAnswer may escape."""
    try:
        answer = parse_answer(packet)
    except BadAnswer:
        return None
    assert len(answer.records) <= MAX_RECORDS
    targets(answer)
    addresses(answer)
    extended_errors(answer)
    try:
        path = chain(answer)
        kept = stored.store(answer)
    except BadAnswer:
        return answer
    assert len(path.names) <= 13
    assert len(kept.ttls) == kept.answers + kept.authorities
    return answer


def same_records(answer, packet):
    """Compare with dnspython where it reads the packet as well."""
    try:
        message = dns.message.from_wire(packet, one_rr_per_rrset=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, IndexError, NotImplementedError):
        return False
    ours = Counter(
        (r.section, r.name, r.rtype, r.rclass, r.ttl) for r in answer.records if r.rtype != Type.TSIG
    )
    theirs = Counter(
        (section, rrset.name.to_wire().lower(), int(rrset.rdtype), int(rrset.rdclass), rrset.ttl)
        for section in (1, 2, 3)
        for rrset in message.sections[section]
    )
    assert ours == theirs
    return True


@given(st.binary(max_size=500))
def test_no_bytes_break_the_walker(body):
    survive(body)
    survive(header(2, 2, 2) + QUESTION + body)
    survive(header(3) + QUESTION + A + body)
    survive(header(1, 1) + QUESTION + b"\xc0\x0c\x00\x05" + body)
    survive(header(1) + QUESTION + b"\xc0\x0c\x00\x41\x00\x01\x00\x00\x00\x00\x00" + body)


TYPES = st.sampled_from([1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 46, 47, 64, 65, 99, 24, 26, 30])
DATA = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"\xc0\x0c", b"\x01a\x00", b"\x00\x01\xc0\x0c", b"abcd", bytes(22), b"\xc0\x10", b"\x01b\xc0\x0c"]
    ),
)
OWNERS = st.sampled_from([b"\xc0\x0c", b"\xc0\x10", b"\x01a\x00", b"\x01b\xc0\x0c", b"\x00", b"\xc0\x18"])


@settings(max_examples=400)
@given(st.lists(st.builds(lambda t, d, o: record(t, d, owner=o), TYPES, DATA, OWNERS), max_size=8), st.data())
def test_no_records_break_the_walker(records, data):
    answered = data.draw(st.integers(0, len(records)))
    survive(header(answered, len(records) - answered) + QUESTION + b"".join(records))


@pytest.mark.realdata
def test_real_packets_that_dnspython_reads_too_are_read_alike(real_packets):
    compared = 0
    for packet in real_packets:
        answer = survive(packet)
        if answer is not None and not answer.tc:
            compared += same_records(answer, packet)
    assert compared > 50


EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=6
)


@pytest.mark.realdata
@settings(max_examples=400)
@given(which=st.integers(0, 10000), edits=EDITS)
def test_mutated_real_packets_are_survived(real_packets, which, edits):
    packet = bytearray(real_packets[which % len(real_packets)])
    for at, length, replacement in edits:
        packet[at : at + length] = replacement
    answer = survive(bytes(packet))
    if answer is not None and not answer.tc:
        same_records(answer, bytes(packet))

from __future__ import annotations

import itertools
import struct

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import BadAnswer
from filterd.wire.answer import parse_answer
from filterd.wire.edns import Edns
from filterd.wire.query import Query
from filterd.wire.stored import render, store

SOA = "kz. 900 IN SOA ns.kz. host.kz. 1 3600 600 86400 120"
SIG = "13 2 60 20300101000000 20200101000000 1 kz. aaaa"


def read(packet):
    """What dnspython, which shares nothing with us, makes of a reply; bytes left over are an error."""
    return dns.message.from_wire(packet, one_rr_per_rrset=True)


def lines(section):
    return [f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rrset[0]}" for rrset in section]


def kept(packet, **limits):
    return store(parse_answer(packet), **limits)


def shown(stored, query, **options):
    return read(render(stored, query, **{"age": 0, "limit": 65535, **options}))


# What a reply looks like


def test_id_question_and_flags_are_the_clients(reply, ask):
    """RFC 1035 section 4.1.1, RFC 4035 section 3.2: QR, RA set, AA never, RD, CD copied, case echoed."""
    stored = kept(
        reply("www.example.kz. IN A", answer="www.example.kz. 60 IN A 192.0.2.1", flags="QR AA RD RA")
    )
    for flags in ("", "RD", "CD", "RD CD"):
        query = ask("WwW.example.KZ. IN A", flags)
        packet = render(stored, query, age=0, limit=512)
        message = read(packet)
        assert message.id == query.id
        assert packet[12 : 12 + len(query.question)] == query.question
        asked = {"RD": dns.flags.RD, "CD": dns.flags.CD}
        expected = dns.flags.QR | dns.flags.RA | sum(asked[flag] for flag in flags.split())
        assert message.flags == expected
        assert lines(message.answer) == ["WwW.example.KZ. 60 A 192.0.2.1"]


@pytest.mark.parametrize(
    ("trusted", "upstream_ad", "flags", "do", "shown_ad"),
    [
        (True, True, "RD AD", False, True),
        (True, True, "RD", True, True),
        (True, True, "RD", False, False),  # RFC 6840 section 5.8: only for who understands it
        (True, False, "RD AD", True, False),
        (False, True, "RD AD", True, False),  # the upstream is not trusted
    ],
)
def test_rfc_6840_ad(reply, ask, trusted, upstream_ad, flags, do, shown_ad):  # noqa: PLR0917
    packet = reply(
        "kz. IN A", answer="kz. 60 IN A 192.0.2.1", flags="QR RD RA AD" if upstream_ad else "QR RD RA"
    )
    message = shown(kept(packet), ask("kz. IN A", flags, do=do), trusted_ad=trusted)
    assert bool(message.flags & dns.flags.AD) is shown_ad


def test_rfc_6891_no_opt_in_no_opt_out(reply, ask):
    stored = kept(reply("kz. IN A", answer="kz. 60 IN A 192.0.2.1", edns="DO"))
    message = shown(stored, ask("kz. IN A", edns=False), ede=(3, "stale"), cookie=b"c" * 24)
    assert message.edns == -1
    assert lines(message.answer) == ["kz. 60 A 192.0.2.1"]


@pytest.mark.parametrize("do", [False, True])
def test_rfc_6891_section_6_2_1_opt_is_built_anew(reply, ask, do):
    """The upstream's client subnet, cookie, keepalive and report channel stop here (RFC 7871, 7873, 9567)."""
    upstream = dns.message.from_wire(reply("kz. IN A", answer="kz. 60 IN A 192.0.2.1"))
    upstream.use_edns(
        0, 0, 4096, options=[dns.edns.GenericOption(code, b"12345678") for code in (10, 11, 18)]
    )
    stored = kept(upstream.to_wire())
    message = shown(stored, ask("kz. IN A", do=do, udp_size=4096, cookie=b"12345678", padding=True))
    assert (message.edns, message.payload, message.options) == (0, 1232, ())
    assert message.ednsflags == (dns.flags.DO if do else 0)


def test_options_are_added(reply, ask):
    stored = kept(reply("kz. IN A", answer="kz. 60 IN A 192.0.2.1"))
    message = shown(stored, ask("kz. IN A"), ede=(19, "stale"), cookie=b"c" * 24)
    cookie, error = message.options
    assert cookie.to_wire() == b"c" * 24
    assert (error.code, error.text) == (19, "stale")


def test_rfc_6891_extended_rcodes_need_opt(reply, ask):
    stored = kept(reply("kz. IN A", rcode="BADVERS", edns=""))
    assert stored.ttl == 0
    assert shown(stored, ask("kz. IN A")).rcode() == dns.rcode.BADVERS
    assert shown(stored, ask("kz. IN A", edns=False)).rcode() == dns.rcode.SERVFAIL


def test_rfc_3597_unknown_types_pass_byte_by_byte(reply, ask):
    data = bytes(range(256))
    packet = reply("kz. IN TYPE65280", answer=f"kz. 60 IN TYPE65280 \\# 256 {data.hex()}")
    message = shown(kept(packet), ask("kz. IN TYPE65280"))
    assert message.answer[0][0].data == data


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "YXDOMAIN"])
def test_other_rcodes_pass_and_are_not_kept(reply, ask, rcode):
    """BOGUS and SERVFAIL are never rewritten."""
    stored = kept(reply("kz. IN A", rcode=rcode, authority=SOA))
    assert (stored.ttl, stored.negative) == (0, False)
    message = shown(stored, ask("kz. IN A"))
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert not message.answer + message.authority


# TTLs


def test_ttls_count_down_and_never_below_0(reply, ask):
    stored = kept(reply("a.kz. IN A", answer="a.kz. 300 IN CNAME b.kz.\nb.kz. 20 IN A 192.0.2.1"))
    assert stored.ttl == 20
    for age, expected in ((0, (300, 20)), (1, (299, 19)), (20, (280, 0)), (21, (279, 0)), (10**6, (0, 0))):
        message = shown(stored, ask("a.kz. IN A"), age=age)
        assert tuple(rrset.ttl for rrset in message.answer) == expected
    assert [r.ttl for r in shown(stored, ask("a.kz. IN A"), age=-5).answer] == [300, 20]


def test_rendering_leaves_the_stored_answer_alone(reply, ask):
    stored = kept(reply("kz. IN A", answer="kz. 300 IN A 192.0.2.1"))
    assert shown(stored, ask("kz. IN A"), age=100).answer[0].ttl == 200
    assert shown(stored, ask("kz. IN A"), age=0).answer[0].ttl == 300


def test_rfc_8767_section_5_stale_answers_have_one_ttl(reply, ask):
    stored = kept(reply("a.kz. IN A", answer="a.kz. 300 IN CNAME b.kz.\nb.kz. 20 IN A 192.0.2.1"))
    message = shown(stored, ask("a.kz. IN A"), age=4000, ttl_override=30, ede=(3, ""))
    assert [rrset.ttl for rrset in message.answer] == [30, 30]
    assert message.options[0].code == 3


def test_ttls_are_capped(reply, ask):
    """Ghost domains: nothing stays longer than the cap."""
    stored = kept(reply("kz. IN A", answer="kz. 604800 IN A 192.0.2.1"))
    assert stored.ttl == 86400
    assert shown(stored, ask("kz. IN A")).answer[0].ttl == 86400
    assert kept(reply("kz. IN A", answer="kz. 604800 IN A 192.0.2.1"), max_ttl=60).ttl == 60


def test_rfc_2181_section_8_high_bit_and_zero_are_not_kept(reply, ask):
    assert kept(reply("kz. IN A", answer="kz. 0 IN A 192.0.2.1")).ttl == 0
    packet = bytearray(reply("kz. IN A", answer="kz. 1 IN A 192.0.2.1"))
    struct.pack_into("!I", packet, parse_answer(bytes(packet)).records[0].ttl_at, 0x80000001)
    stored = kept(bytes(packet))
    assert stored.ttl == 0
    assert shown(stored, ask("kz. IN A")).answer[0].ttl == 0


# Negative answers (RFC 2308)


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
@pytest.mark.parametrize(
    ("soa_ttl", "minimum", "ttl"),
    [(900, 120, 120), (60, 120, 60), (90000, 90000, 3600), (0, 120, 0), (120, 0, 0)],
)
def test_rfc_2308_section_5_min_of_soa_ttl_and_minimum(reply, ask, rcode, soa_ttl, minimum, ttl):  # noqa: PLR0917
    soa = f"kz. {soa_ttl} IN SOA ns.kz. host.kz. 1 3600 600 86400 {minimum}"
    stored = kept(reply("no.kz. IN A", rcode=rcode, authority=soa))
    assert (stored.negative, stored.ttl) == (True, ttl)
    message = shown(stored, ask("NO.kz. IN A"), age=10)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert [rrset.ttl for rrset in message.authority] == [max(ttl - 10, 0)]


def test_rfc_2181_section_8_a_minimum_with_the_high_bit(reply):
    soa = "kz. 900 IN SOA ns.kz. host.kz. 1 3600 600 86400 4294967295"
    assert kept(reply("no.kz. IN A", rcode="NXDOMAIN", authority=soa)).ttl == 0


def test_rfc_2308_no_soa_no_caching(reply):
    for rcode in ("NXDOMAIN", "NOERROR"):
        assert kept(reply("no.kz. IN A", rcode=rcode)).ttl == 0
        referral = kept(reply("no.kz. IN A", rcode=rcode, authority="kz. 900 IN NS ns.kz."))
        assert (referral.ttl, referral.body) == (0, b"")


def test_a_soa_of_another_zone_denies_nothing(reply, ask):
    """MaginotDNS: a zone speaks for its own names only."""
    for zone in ("net.", "x.no.kz.", "o.kz."):
        packet = reply("no.kz. IN A", rcode="NXDOMAIN", authority=SOA.replace("kz.", zone, 1))
        stored = kept(packet)
        assert stored.ttl == 0
        assert not shown(stored, ask("no.kz. IN A")).authority
    foreign = SOA.replace("kz.", "net.", 1).replace("900", "5")
    stored = kept(reply("no.kz. IN A", rcode="NXDOMAIN", authority=foreign + "\n" + SOA))
    assert stored.ttl == 120
    assert lines(shown(stored, ask("no.kz. IN A")).authority) == [
        "kz. 120 SOA ns.kz. host.kz. 1 3600 600 86400 120"
    ]


def test_rfc_2308_section_2_a_chain_that_ends_in_nothing(reply, ask):
    for rcode in ("NXDOMAIN", "NOERROR"):
        stored = kept(reply("a.kz. IN A", rcode=rcode, answer="a.kz. 50 IN CNAME b.kz.", authority=SOA))
        assert (stored.negative, stored.ttl) == (True, 50)
        message = shown(stored, ask("a.kz. IN A"), age=1)
        assert [r.ttl for r in (*message.answer, *message.authority)] == [49, 119]


def test_rfc_4035_proofs_of_denial_stay(reply, ask):
    proof = f"""{SOA}
        kz. 900 IN RRSIG SOA {SIG}
        a.kz. 900 IN NSEC c.kz. A RRSIG NSEC
        a.kz. 900 IN RRSIG NSEC {SIG}
        kz. 900 IN NS ns.kz.
        kz. 900 IN RRSIG NS {SIG}"""
    stored = kept(reply("b.kz. IN A", rcode="NXDOMAIN", authority=proof))
    assert stored.ttl == 120
    message = shown(stored, ask("b.kz. IN A", do=True))
    kinds = [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.authority]
    assert kinds == ["SOA", "RRSIG", "NSEC", "RRSIG"]
    wildcard = reply(
        "b.kz. IN A",
        answer=f"b.kz. 60 IN A 192.0.2.1\nb.kz. 60 IN RRSIG A {SIG}",
        authority=proof.replace(SOA, "").strip(),
    )
    kinds = [dns.rdatatype.to_text(r.rdtype) for r in shown(kept(wildcard), ask("b.kz. IN A")).authority]
    assert kinds == ["NSEC", "RRSIG"]


# Only data of the chain (RFC 5452 section 6)


def test_what_was_not_asked_for_is_not_kept(reply, ask):
    packet = reply(
        "a.kz. IN A",
        answer="""a.kz. 60 IN CNAME b.net.
            bank.kz. 60 IN A 192.0.2.66
            b.net. 60 IN A 192.0.2.1""",
        authority="kz. 60 IN NS ns.evil.example.",
        additional="bank.kz. 60 IN A 192.0.2.66\nns.evil.example. 60 IN A 192.0.2.66",
    )
    stored = kept(packet)
    assert (stored.answers, stored.authorities) == (2, 0)
    assert b"\xc0\x00\x02\x42" not in stored.body
    assert lines(shown(stored, ask("A.kz. IN A"), age=5).answer) == [
        "A.kz. 55 CNAME b.net.",
        "b.net. 55 A 192.0.2.1",
    ]


def test_records_that_move_keep_their_names(reply, ask):
    """Pointers count from the start of the message: a record that moves is written without them."""
    packet = reply(
        "a.kz. IN ANY",
        answer="""junk.net. 60 IN NS ns1.junk.net.
            a.kz. 60 IN MX 10 mx.junk.net.
            a.kz. 61 IN SOA ns1.junk.net. host.junk.net. 1 2 3 4 5
            a.kz. 62 IN SRV 1 2 3 srv.junk.net.
            a.kz. 63 IN NAPTR 1 2 "s" "SIP+D2U" "" _sip.junk.net.
            a.kz. 64 IN RP box.junk.net. txt.junk.net.
            a.kz. 65 IN TXT "junk.net"
            a.kz. 66 IN HTTPS 1 ns1.junk.net. alpn=h2""",
    )
    message = shown(kept(packet), ask("A.kz. IN ANY"), age=60)
    assert lines(message.answer) == [
        "A.kz. 0 MX 10 mx.junk.net.",
        "A.kz. 1 SOA ns1.junk.net. host.junk.net. 1 2 3 4 5",
        "A.kz. 2 SRV 1 2 3 srv.junk.net.",
        'A.kz. 3 NAPTR 1 2 "s" "SIP+D2U" "" _sip.junk.net.',
        "A.kz. 4 RP box.junk.net. txt.junk.net.",
        'A.kz. 5 TXT "junk.net"',
        'A.kz. 6 HTTPS 1 ns1.junk.net. alpn="h2"',
    ]


def test_moving_records_is_bounded_work():
    """Names that were cheap to check, because a record since dropped had made their suffix known."""
    question = b"\x01a\x02kz\x00\x00\x0f\x00\x01"
    suffix_at = 12 + len(question)
    fixed = struct.pack("!HHIH", 1, 1, 60, 4) + b"abcd"
    packet = b"\x01j" * 120 + b"\x00" + fixed + struct.pack("!H", 0xC000 | suffix_at) + fixed
    hops_at = suffix_at + len(packet) + 11
    hops = struct.pack("!H", 0xC000 | suffix_at) * 200
    packet += b"\x00" + struct.pack("!HHIH", 16, 1, 60, len(hops)) + hops
    for number in range(200):
        data = b"\x00\x01\x01m" + struct.pack("!H", 0xC000 | hops_at + 2 * number)
        packet += b"\xc0\x0c" + struct.pack("!HHIH", 15, 1, 60, len(data)) + data
    answer = parse_answer(struct.pack("!6H", 7, 0x8180, 1, 203, 0, 0) + question + packet)
    with pytest.raises(BadAnswer):
        store(answer)


def test_opt_in_the_middle_is_taken_out(reply, ask):
    packet = bytearray(reply("kz. IN A", answer="kz. 60 IN A 192.0.2.1"))
    packet += (
        b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04abcd"
    )
    struct.pack_into("!H", packet, 10, 2)
    message = shown(kept(bytes(packet)), ask("kz. IN A", udp_size=4096))
    assert lines(message.answer) == ["kz. 60 A 192.0.2.1"]
    assert (message.additional, message.payload) == ([], 1232)


def test_a_loop_of_aliases_is_a_bad_answer(reply):
    with pytest.raises(BadAnswer):
        kept(reply("a.kz. IN A", answer="a.kz. 60 IN CNAME a.kz."))


def test_a_truncated_reply_is_never_kept(reply, ask):
    """RFC 2181 section 9; the client hears TC and comes back over TCP."""
    stored = kept(reply("a.kz. IN A", answer="a.kz. 60 IN A 192.0.2.1", flags="QR TC RD RA"))
    assert (stored.ttl, stored.negative, stored.tc) == (0, False, True)
    assert shown(stored, ask("a.kz. IN A")).flags & dns.flags.TC


# Over the limit (RFC 2181 section 9)


def many(count, *, extra=""):
    return "\n".join([f"a.kz. 60 IN A 10.0.{n // 256}.{n % 256}" for n in range(count)]) + extra


def test_whole_rrsets_are_dropped_and_tc_is_set(reply, ask):
    signed = f"\na.kz. 60 IN RRSIG A {SIG}"
    alias = "q.kz. 60 IN CNAME a.kz.\n"
    packet = reply(
        "q.kz. IN A", answer=alias + many(60, extra=signed), authority=f"a.kz. 60 IN RRSIG NSEC {SIG}"
    )
    stored = kept(packet)
    query = ask("q.kz. IN A")
    whole = shown(stored, query)
    assert len(whole.answer) == 62
    assert not whole.flags & dns.flags.TC
    without_proof = shown(stored, query, limit=len(render(stored, query, age=0, limit=65535)) - 1)
    assert (len(without_proof.answer), len(without_proof.authority)) == (62, 0)
    assert without_proof.flags & dns.flags.TC
    small = render(stored, query, age=0, limit=512)
    assert len(small) <= 512
    assert lines(read(small).answer) == ["q.kz. 60 CNAME a.kz."]
    assert read(small).flags & dns.flags.TC


def test_an_rrset_in_two_places_is_dropped_as_one(reply, ask):
    packet = reply("a.kz. IN ANY", answer=many(10) + '\na.kz. 60 IN TXT "x"\n' + many(30))
    message = shown(kept(packet), ask("a.kz. IN ANY"), limit=512)
    assert (message.answer, bool(message.flags & dns.flags.TC)) == ([], True)


def test_the_text_of_the_error_goes_before_any_data(reply, ask):
    stored = kept(reply("a.kz. IN A", answer=many(20)))
    query = ask("a.kz. IN A")
    full = len(render(stored, query, age=0, limit=65535, ede=(3, "stale" * 10)))
    message = shown(stored, query, limit=full - 1, ede=(3, "stale" * 10))
    assert len(message.answer) == 20
    assert message.options[0].to_text() == "EDE 3 (Stale Answer)"
    assert not message.flags & dns.flags.TC


def test_rfc_1035_section_4_2_2_never_over_65535_bytes(reply, ask):
    long = ".".join(["a" * 63] * 3)
    lines_ = [f"a.kz. 60 IN MX {n} {long}.kz." for n in range(250)]
    packet = reply("a.kz. IN MX", answer="\n".join([f"junk.kz. 60 IN MX 1 {long}.kz.", *lines_]))
    stored = kept(packet)
    assert len(render(stored, ask("a.kz. IN MX"), age=0, limit=65535)) <= 65535
    assert stored.size > len(stored.body)


# Properties

LABELS = st.sampled_from(["a", "B", "cdn", "xn--80ak6aa92e", "_x"])
OWNERS = st.builds(
    lambda left, right: f"{left}.{right}.", LABELS, st.sampled_from(["kz", "net", "Example.org"])
)
TTLS = st.integers(0, 200000)
DATA = st.sampled_from(
    [
        "A 192.0.2.1",
        "A 192.0.2.2",
        "AAAA 2001:db8::1",
        'TXT "x" "y"',
        "MX 1 mx.a.kz.",
        "SRV 1 2 3 b.net.",
        "HTTPS 1 . alpn=h2",
        "PTR a.Example.org.",
        "NS ns.kz.",
        "TYPE65280 \\# 3 c00c00",
        f"RRSIG A {SIG}",
        f"RRSIG NSEC {SIG}",
        "NSEC z.kz. A RRSIG",
        SOA.split("IN ")[1],
    ]
)
RECORDS = st.lists(
    st.builds(lambda name, ttl, data: f"{name} {ttl} IN {data}", OWNERS, TTLS, DATA), max_size=6
)


@st.composite
def replies(draw):
    """A question, its chain and its data, hidden among records that were not asked for."""
    names = draw(st.lists(OWNERS, min_size=1, max_size=4))
    records = draw(RECORDS)
    for name, target in itertools.pairwise(names):
        at = draw(st.integers(0, len(records)))
        records.insert(at, f"{name} {draw(TTLS)} IN CNAME {target}")
    question = f"{names[0]} IN {draw(st.sampled_from(['A', 'AAAA', 'MX', 'TYPE65280', 'HTTPS']))}"
    parts = {"answer": records, "authority": draw(RECORDS), "additional": draw(RECORDS)}
    rcode = draw(st.sampled_from(["NOERROR", "NXDOMAIN"]))
    return question, {"rcode": rcode, **{name: "\n".join(lines_) for name, lines_ in parts.items()}}


def expected_answer(upstream):
    """The answer section that should be given out, by a second, simpler way; None for a loop."""
    question = upstream.question[0]
    aliases = {}
    for rrset in upstream.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            aliases.setdefault(rrset.name, rrset[0].target)
    path = [question.name]
    while path[-1] in aliases:
        path.append(aliases[path[-1]])
        if path[-1] in path[:-1]:
            return None
    types = (question.rdtype, dns.rdatatype.CNAME, dns.rdatatype.RRSIG)
    return [rrset for rrset in upstream.answer if rrset.name in path and rrset.rdtype in types]


@settings(max_examples=300)
@given(replies(), st.integers(0, 100000), st.sampled_from([512, 65535]))
def test_what_is_given_out_is_what_came_counted_down(reply, ask, made, age, limit):
    question, parts = made
    packet = reply(question, **parts)
    upstream = read(packet)
    expected = expected_answer(upstream)
    if expected is None:
        with pytest.raises(BadAnswer):
            kept(packet)
        return
    stored = kept(packet)
    given_out = render(stored, ask(question), age=age, limit=limit)
    assert len(given_out) <= limit
    message = read(given_out)
    assert message.rcode() == upstream.rcode()

    def facts(section, older):
        return [(r.name, r.rdtype, r[0].to_digestable(), max(0, min(r.ttl, 86400) - older)) for r in section]

    found, wanted = facts(message.answer, 0), facts(expected, age)
    assert found == wanted[: len(found)]
    assert found == wanted or message.flags & dns.flags.TC
    proofs = {fact[:3] for fact in facts(upstream.authority, 0)}
    assert all(fact[:3] in proofs for fact in facts(message.authority, 0))
    assert all(r.rdtype in (6, 46, 47) for r in message.authority)
    assert stored.ttl <= min((ttl for _, ttl in stored.ttls), default=0)


@pytest.mark.realdata
def test_real_replies_are_given_out_whole(real_packets):
    """Whatever of a real message we keep, dnspython can read what we make of it."""
    rendered = 0
    for packet in real_packets:
        try:
            answer = parse_answer(packet)
            stored = store(answer)
        except BadAnswer:
            continue
        query = Query(1, True, False, False, answer.qname, answer.name, answer.qtype, answer.qclass, Edns())
        for limit in (512, 1232, 65535):
            reply = render(stored, query, age=1, limit=limit, ede=(3, "old"))
            assert len(reply) <= limit
            try:
                dns.message.from_wire(packet)
            except (dns.exception.DNSException, ValueError, IndexError, NotImplementedError):
                continue
            assert dns.message.from_wire(reply).edns == 0
            rendered += 1
    assert rendered > 50

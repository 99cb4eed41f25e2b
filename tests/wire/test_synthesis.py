from __future__ import annotations

import socket

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.wire.constants import Rcode
from filterd.wire.edns import Edns
from filterd.wire.query import Query
from filterd.wire.synthesis import BlockAnswer, addresses, blocked, simple, truncated

V4 = (socket.inet_aton("192.0.2.10"), socket.inet_aton("192.0.2.11"))
V6 = (socket.inet_pton(socket.AF_INET6, "2001:db8::10"),)
EVERY_TYPE = ["A", "AAAA", "HTTPS", "SVCB", "ANY", "TXT", "MX", "CNAME", "SOA", "NS", "DS", "TYPE65280"]
MODES = {
    "nxdomain": BlockAnswer("nxdomain"),
    "nodata": BlockAnswer("nodata"),
    "null": BlockAnswer("null"),
    "page": BlockAnswer("page", 30, V4, V6),
}
EDE = (15, "gambling KZ-1234")


def read(packet):
    return dns.message.from_wire(packet)


def data(message):
    return [str(item) for rrset in message.answer for item in rrset]


def check_frame(message, packet, query):
    """What holds for every answer made here."""
    assert message.id == query.id
    assert packet[12 : 12 + len(query.question)] == query.question
    assert not message.flags & (dns.flags.AA | dns.flags.AD)
    assert message.flags & dns.flags.QR
    assert message.flags & dns.flags.RA
    assert bool(message.flags & dns.flags.RD) == query.rd
    assert bool(message.flags & dns.flags.CD) == query.cd


def check_soa(message, ttl):
    (soa,) = message.authority
    assert soa.name == message.question[0].name
    assert soa.ttl == soa[0].minimum == ttl  # RFC 2308 section 5
    assert (str(soa[0].mname), str(soa[0].rname)) == ("filterd.invalid.", "nobody.invalid.")


@pytest.mark.parametrize("qtype", EVERY_TYPE)
@pytest.mark.parametrize("mode", MODES)
def test_every_qtype_is_blocked_with_the_same_rcode(ask, mode, qtype):
    """Also HTTPS, SVCB, ANY and unknown types: no way around; own SOA, no AD, TTL at most 60 s."""
    query = ask(f"Bad.Example.kz. IN {qtype}", "RD CD AD", do=True)
    packet = blocked(query, MODES[mode], limit=1232, ede=EDE)
    message = read(packet)
    check_frame(message, packet, query)
    assert message.rcode() == (dns.rcode.NXDOMAIN if mode == "nxdomain" else dns.rcode.NOERROR)
    given_out = {
        ("null", "A"): ["0.0.0.0"],
        ("null", "AAAA"): ["::"],
        ("page", "A"): ["192.0.2.10", "192.0.2.11"],
        ("page", "AAAA"): ["2001:db8::10"],
    }.get((mode, qtype), [])
    assert sorted(data(message)) == given_out
    if given_out:
        assert not message.authority
        assert {rrset.ttl for rrset in message.answer} == {MODES[mode].ttl}
    else:
        check_soa(message, MODES[mode].ttl)
    assert [(o.code, o.text) for o in message.options] == [EDE]
    assert message.ednsflags == dns.flags.DO


def test_a_page_without_an_address_of_the_family_is_no_data(ask):
    message = read(blocked(ask("kz. IN AAAA"), BlockAnswer("page", 60, V4, ()), limit=1232, ede=None))
    assert (message.rcode(), data(message)) == (0, [])
    check_soa(message, 60)


@pytest.mark.parametrize("ttl", [-1, 61, 3600])
def test_a_block_lasts_a_minute_at_most(ttl):
    with pytest.raises(ValueError, match="60"):
        BlockAnswer("nxdomain", ttl)


def test_rfc_8914_no_extended_error_without_opt(ask):
    query = ask("kz. IN A", edns=False)
    message = read(blocked(query, BlockAnswer(), limit=512, ede=EDE, cookie=b"c" * 24))
    assert message.edns == -1
    check_soa(message, 60)


def test_rfc_7873_the_cookie_goes_along(ask):
    message = read(blocked(ask("kz. IN A"), BlockAnswer(), limit=512, ede=EDE, cookie=b"c" * 24))
    assert [o.otype for o in message.options] == [10, 15]
    assert read(truncated(ask("kz. IN A"), cookie=b"c" * 24)).options[0].to_wire() == b"c" * 24


def test_a_blocked_answer_always_fits_in_512_bytes(ask):
    """The longest name there is, the longest text, a cookie: no reason to come back over TCP."""
    name = ".".join(["a" * 63] * 3) + "." + "b" * 61 + "."
    query = ask(f"{name} IN A", udp_size=512)
    packet = blocked(query, BlockAnswer(), limit=512, ede=(15, "ж" * 500), cookie=b"c" * 24)
    message = read(packet)
    assert len(packet) <= 512
    assert not message.flags & dns.flags.TC
    assert message.options[1].code == 15
    check_soa(message, 60)


@pytest.mark.parametrize(
    "rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NXDOMAIN, Rcode.NOERROR, Rcode.NOTIMP]
)
@pytest.mark.parametrize("soa", [False, True])
def test_simple_answers(ask, rcode, soa):
    query = ask("kz. IN TXT", "")
    packet = simple(query, rcode, limit=512, ede=(22, ""), soa=soa, ttl=10)
    message = read(packet)
    check_frame(message, packet, query)
    assert (message.rcode(), message.answer) == (rcode, [])
    assert message.options[0].code == 22
    if soa:
        check_soa(message, 10)
    else:
        assert not message.authority


def test_addresses_of_our_own(ask):
    """localhost (RFC 6761 section 6.3)."""
    v4, v6 = [socket.inet_aton("127.0.0.1")], [bytes(15) + b"\x01"]
    assert data(read(addresses(ask("localhost. IN A"), v4, v6, 3600, limit=512))) == ["127.0.0.1"]
    assert data(read(addresses(ask("localhost. IN AAAA"), v4, v6, 3600, limit=512))) == ["::1"]
    for qtype in ("TXT", "HTTPS", "ANY"):
        check_soa(read(addresses(ask(f"localhost. IN {qtype}"), v4, v6, 3600, limit=512)), 3600)


def test_too_many_addresses_for_the_limit_set_tc(ask):
    """RFC 2181 section 9: the RRset is dropped as a whole."""
    found = [number.to_bytes(4, "big") for number in range(100)]
    query = ask("kz. IN A")
    message = read(addresses(query, found, (), 60, limit=1232))
    assert (message.answer, bool(message.flags & dns.flags.TC)) == ([], True)
    assert len(read(addresses(query, found, (), 60, limit=65535)).answer[0]) == 100


@pytest.mark.parametrize("edns", [False, True])
def test_truncated_sends_the_client_to_tcp(ask, edns):
    query = ask("kz. IN A", edns=edns)
    packet = truncated(query)
    message = read(packet)
    check_frame(message, packet, query)
    assert message.flags & dns.flags.TC
    assert (message.rcode(), message.answer, message.authority, message.edns) == (
        0,
        [],
        [],
        0 if edns else -1,
    )
    assert len(packet) <= 12 + len(query.question) + 11  # never larger than a query: no amplification


@given(
    labels=st.lists(st.binary(min_size=1, max_size=63), max_size=3),
    qtype=st.integers(0, 65535).filter(lambda number: number not in (41, 249, 250)),
    mode=st.sampled_from(list(MODES)),
    bits=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    edns=st.one_of(st.none(), st.builds(Edns, st.integers(512, 65535), st.just(0), st.booleans())),
    ede=st.one_of(st.none(), st.tuples(st.integers(0, 65535), st.text(max_size=80))),
)
def test_any_blocked_question_reads_well(labels, qtype, mode, bits, edns, ede):  # noqa: PLR0917
    qname = b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"
    query = Query(7, *bits, qname, qname.lower(), qtype, 1, edns)
    packet = blocked(query, MODES[mode], limit=query.udp_limit, ede=ede)
    message = read(packet)
    check_frame(message, packet, query)
    assert message.rcode() == (3 if mode == "nxdomain" else 0)
    assert len(packet) <= query.udp_limit
    assert (message.edns == 0) == (edns is not None)

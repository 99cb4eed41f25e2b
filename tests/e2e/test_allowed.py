"""What is not blocked arrives as the upstream said it (dns.md, "Transparency" and "Cache")."""

from __future__ import annotations

import time

import dns.flags
import pytest
from _ask import ask, dig, exchange_udp, kdig, question, read, udp
from _world import LARGE

KNOWN = ("mektep.example", "alias.example", "onlytxt.example", "missing.example", "a.missing.example")
TYPES = (
    "A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "NS", "SOA", "CNAME", "SRV", "CAA", "DS", "DNSKEY", "TLSA",
    "NAPTR", "TYPE65280", "TYPE65281", "TYPE1000",
)  # fmt: skip


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("rdtype", TYPES)
@pytest.mark.parametrize("name", KNOWN)
def test_5625_every_type_gets_what_the_upstream_says(school, unbound, name, rdtype, transport):
    direct = ask(unbound.server, name, rdtype, filtered=False)
    answer = ask(school.v4, name, rdtype, tcp=transport == "tcp")
    assert answer.rcode == direct.rcode
    assert answer.records == direct.records
    if not direct.message.answer:
        assert answer.soa is not None
        if name != "a.missing.example":  # below a missing name the filter answers itself (RFC 8020)
            assert answer.soa[0] == direct.soa[0], "the upstream's SOA: clients cache by it (RFC 2308)"


def test_3597_unknown_types_pass_byte_exact(school):
    assert ask(school.v4, "mektep.example", "TYPE65280").data == [r"\# 4 c0ffee00"]
    assert ask(school.v4, "mektep.example", "TYPE65281").data == [r"\# 0 "]
    assert (
        kdig(school.v4, "-t", "TYPE65280", "mektep.example").lines[0].endswith(r"IN TYPE65280 \# 4 C0FFEE00")
    )


def test_data_keeps_its_case(school):
    assert ask(school.v4, "case.example", "TXT").data == ['"MiXeD Case Stays"']


@pytest.mark.parametrize("name", ["MeKtEp.eXaMpLe", "MEKTEP.EXAMPLE", "mektep.example"])
def test_the_case_of_the_question_is_echoed_from_the_cache_too(school, name):
    for _ in range(4):
        answer = ask(school.v4, name)  # which checks that the question comes back as it was asked
        assert answer.data == ["198.51.100.1", "198.51.100.2"]
        assert answer.message.question[0].name.to_text() == f"{name}."


def test_names_with_any_byte_pass(school, unbound):
    """RFC 2181 section 11: a label may hold any byte."""
    name = r"\000\001\255\.dot\032blank.flood.example"
    assert ask(school.v4, name).data == ask(unbound.server, name, filtered=False).data == ["198.51.100.7"]


def test_a_label_that_holds_a_dot_is_no_way_round_the_filter(school):
    """``casino\\.example`` is one label below the root: not the blocked name, and not shown as it."""
    answer = ask(school.v4, r"casino\.example")
    assert answer.rcode == "NXDOMAIN"
    assert not answer.blocked
    assert ask(school.v4, r"www\.x.casino.example").blocked


def test_dig_and_kdig_understand_the_answers(school):
    assert dig(school.v4, "mektep.example", "+short").text.split() in (
        ["198.51.100.1", "198.51.100.2"],
        ["198.51.100.2", "198.51.100.1"],
    )
    assert dig(school.v4, "mektep.example").flags == {"qr", "rd", "ra"}
    assert kdig(school.v4, "+short", "mektep.example", "MX").text.split() == ["10", "mail.mektep.example."]
    assert "alpn=h2,h3 ipv4hint=198.51.100.9" in kdig(school.v4, "mektep.example", "HTTPS").text
    assert dig(school.v4, "-x", "198.51.100.1").status == "NXDOMAIN"


def test_dnssec_flags_are_forwarded_and_ad_is_not_invented(school):
    for more in ({"want_dnssec": True}, {"cd": True}, {"cd": True, "want_dnssec": True}):
        assert ask(school.v4, "mektep.example", **more).data == ["198.51.100.1", "198.51.100.2"]
    query = question("mektep.example")
    query.flags |= dns.flags.AD
    assert not ask(school.v4, query).has("AD")


def test_without_rd_nothing_is_fetched(school):
    name = "rd0.flood.example"
    answer = ask(school.v4, name, rd=False)
    assert answer.rcode == "REFUSED"
    assert [code for code, _ in answer.errors] == [20]
    assert not answer.has("RD")


def test_without_rd_what_is_cached_is_told(school):
    with udp(school.v4) as sock:  # one socket: with several DNS processes the same one answers
        sock.settimeout(10)
        for rd in (True, False):
            query = question("rd-cached.flood.example", rd=rd)
            sock.send(query.to_wire())
            assert read(sock.recv(65_535)).data == ["198.51.100.7"]


def test_ttls_count_down_and_never_up(school):
    with udp(school.v4) as sock:
        sock.settimeout(10)
        seen = []
        for _ in range(12):
            sock.send(question("counted.flood.example").to_wire())
            seen.append(read(sock.recv(65_535)).ttls[0])
            time.sleep(0.25)
    assert seen[0] <= 300
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < seen[0], "three seconds are over"
    assert seen[-1] >= 300 - 3 - 16 - 1, "in steps of a sixteenth of its life at most"


def test_ttl_0_is_given_once(school, unbound):
    """RFC 2181 section 8; each answer says 0, none is taken from memory."""
    for _ in range(3):
        assert ask(school.v4, "zero.example").ttls == [0]


def test_any_over_udp_goes_to_tcp(school, unbound):
    """RFC 8482: no amplification."""
    assert ask(school.v4, "mektep.example", "ANY").truncated
    direct = ask(unbound.server, "mektep.example", "ANY", tcp=True, filtered=False)
    assert ask(school.v4, "mektep.example", "ANY", tcp=True).rcode == direct.rcode


def test_an_answer_too_large_for_udp_is_cut_and_comes_whole_over_tcp(school):
    cut = ask(school.v4, "large.example", "TXT")
    assert cut.truncated
    assert len(cut.wire) <= 1232
    whole = ask(school.v4, "large.example", "TXT", tcp=True)
    assert whole.data == [f'"{text}"' for text in LARGE]


def test_dig_retries_over_tcp_by_itself(school):
    dug = dig(school.v4, "large.example", "TXT")
    assert "Truncated, retrying in TCP mode" in dug.text
    assert len(dug.lines) == len(LARGE)
    cut = dig(school.v4, "large.example", "TXT", "+ignore")
    assert "tc" in cut.flags


@pytest.mark.parametrize("size", [0, 511, 512, 513, 1000, 1232, 4096, 65535])
def test_no_answer_is_over_the_size_asked_for(school, size):
    """RFC 6891: under 512 counts as 512; ours is 1232 at most. Whole RRsets are dropped, so none is left."""
    answer = ask(school.v4, "large.example", "TXT", size=size)
    assert answer.truncated
    assert not answer.message.answer


def test_without_edns_512_is_the_limit(school):
    assert len(ask(school.v4, "large.example", "TXT", edns=False).wire) <= 512


def test_local_names_are_answered_here(school):
    assert ask(school.v4, "printer.example").data == ["192.168.7.7"]
    assert ask(school.v4, "printer.example", "AAAA").data == ["fd00::7"]
    assert ask(school.v4, "printer.example", "MX").rcode == "NOERROR"


def test_a_zone_of_ones_own_goes_to_its_own_upstream_with_private_addresses(school, office):
    assert ask(school.v4, "files.office.example").data == ["10.9.8.7"]
    assert ask(school.v4, "FILES.office.example", tcp=True).data == ["10.9.8.7"]


def test_a_reply_comes_from_where_it_was_asked(school):
    """The socket is connected: an answer from another address would never arrive."""
    for server in (school.v4, school.v6):
        assert read(exchange_udp(server, question("mektep.example").to_wire())).rcode == "NOERROR"


def test_ipv6_clients_are_served_alike(school):
    for tcp in (False, True):
        assert ask(school.v6, "mektep.example", "AAAA", tcp=tcp).data == ["2001:db8:1::1"]
        assert ask(school.v6, "casino.example", tcp=tcp).blocked
    assert dig(school.v6, "mektep.example", "+short", "AAAA").text.strip() == "2001:db8:1::1"

"""Answers behind a CNAME made here: what dnspython reads is the target's answer, whatever was asked."""

from __future__ import annotations

import itertools

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.wire import names, synthesis
from filterd.wire.alias import behind
from filterd.wire.answer import parse_answer
from filterd.wire.constants import Type
from filterd.wire.stored import render, store

SOA = "search.example. 900 IN SOA ns.search.example. host.search.example. 1 3600 600 86400 120"
TARGET = names.from_text("safe.search.example")
ASKED = "www.google.kz."


def lines(section):
    return [f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rrset[0]}" for rrset in section]


def read(packet):
    return dns.message.from_wire(packet, one_rr_per_rrset=True)


@pytest.fixture
def shown(reply, ask):
    """Keeps an answer for the target and gives it out behind a name that was asked for."""

    def show(qtype="A", *, asked=ASKED, upstream="QR RD RA", limit=65535, age=0, **options):
        asks = {name: options.pop(name) for name in ("flags", "do", "edns") if name in options}
        packet = reply(f"safe.search.example. IN {qtype}", flags=upstream, **options)
        kept = behind(store(parse_answer(packet)), TARGET, dns.rdatatype.from_text(qtype), 300)
        query = ask(f"{asked} IN {qtype}", **asks)
        return read(render(kept, query, age=age, limit=limit, trusted_ad=True))

    return show


@pytest.mark.parametrize(
    "asked", [ASKED, "WWW.GooGLE.Com.", "a.", f"{'x' * 63}.{'y' * 63}.{'z' * 63}.example."]
)
def test_any_name_may_stand_in_front(shown, asked):
    """The kept answer is full of pointers into its own question; here they would lead astray."""
    message = shown(
        asked=asked, answer="safe.search.example. 60 IN A 192.0.2.1\nsafe.search.example. 60 IN A 192.0.2.2"
    )
    assert lines(message.answer) == [
        f"{asked} 300 CNAME safe.search.example.",
        "safe.search.example. 60 A 192.0.2.1",
        "safe.search.example. 60 A 192.0.2.2",
    ]
    assert message.question[0].name.to_text() == asked


def test_a_target_that_is_an_alias_itself_is_told_whole(shown):
    message = shown(
        "AAAA",
        answer="safe.search.example. 20 IN CNAME front.search.example.\n"
        "front.search.example. 30 IN AAAA 2001:db8::1",
    )
    assert lines(message.answer) == [
        f"{ASKED} 300 CNAME safe.search.example.",
        "safe.search.example. 20 CNAME front.search.example.",
        "front.search.example. 30 AAAA 2001:db8::1",
    ]


@pytest.mark.parametrize(("rcode", "number"), [("NOERROR", 0), ("NXDOMAIN", 3)])
def test_a_target_without_data_says_so_with_its_own_soa(shown, rcode, number):
    """RFC 2308 section 2, RFC 6604 section 3: the rcode is that of the end of the chain."""
    message = shown("AAAA", authority=SOA, rcode=rcode)
    assert message.rcode() == number
    assert lines(message.answer) == [f"{ASKED} 300 CNAME safe.search.example."]
    (soa,) = message.authority
    assert (soa.name.to_text(), soa.rdtype, soa.ttl) == ("search.example.", dns.rdatatype.SOA, 120)


def test_the_targets_ttl_counts_down_and_the_alias_does_not(shown):
    message = shown(answer="safe.search.example. 60 IN A 192.0.2.1", age=25)
    assert [rrset.ttl for rrset in message.answer] == [300, 35]


def test_nobody_signed_the_alias(shown):
    """No AD on an answer made here (RFC 4035 section 3.2.3), whatever the upstream said of the target."""
    signed = "safe.search.example. 60 IN RRSIG A 13 3 60 20300101000000 20200101000000 1 search.example. aaaa"
    answer = f"safe.search.example. 60 IN A 192.0.2.1\n{signed}"
    message = shown(flags="RD AD", do=True, answer=answer, upstream="QR RD RA AD")
    assert not message.flags & (dns.flags.AD | dns.flags.AA)
    assert [rrset.rdtype for rrset in message.answer] == [Type.CNAME, Type.A, dns.rdatatype.RRSIG]


def test_over_the_limit_whole_rrsets_go_and_the_alias_stays(shown):
    many = "\n".join(f"safe.search.example. 60 IN AAAA 2001:db8::{number:x}" for number in range(1, 40))
    message = shown("AAAA", answer=many, limit=512, edns=False)
    assert message.flags & dns.flags.TC
    assert lines(message.answer) == [f"{ASKED} 300 CNAME safe.search.example."]
    assert not shown("AAAA", answer=many).flags & dns.flags.TC


@given(
    labels=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5),
    addresses=st.lists(st.ip_addresses(v=4), min_size=1, max_size=12, unique=True),
    aliases=st.integers(0, 4),
)
def test_what_is_read_is_what_was_kept(reply, ask, labels, addresses, aliases):
    chain = ["safe.search.example.", *(f"n{number}.search.example." for number in range(aliases))]
    answer = [f"{owner} 60 IN CNAME {target}" for owner, target in itertools.pairwise(chain)] + [
        f"{chain[-1]} 60 IN A {address}" for address in addresses
    ]
    kept = behind(
        store(parse_answer(reply("safe.search.example. IN A", answer="\n".join(answer)))), TARGET, Type.A, 300
    )
    asked = dns.name.Name([*labels, b""])
    message = read(render(kept, ask(f"{asked.to_text()} IN A"), age=0, limit=65535))
    assert message.answer[0].name == asked
    assert lines(message.answer[1:]) == [line.replace(" IN", "") for line in answer]


@pytest.mark.parametrize(
    ("qtype", "expected"),
    [
        ("A", ["safe.search.example. 300 A 192.0.2.1"]),
        ("AAAA", []),
        ("CNAME", []),
    ],
)
def test_an_alias_with_addresses_of_our_own(ask, qtype, expected):
    query = ask(f"{ASKED} IN {qtype}")
    message = read(synthesis.aliased(query, TARGET, [bytes((192, 0, 2, 1))], [], 300, limit=1232))
    assert lines(message.answer) == [f"{ASKED} 300 CNAME safe.search.example.", *expected]
    assert len(message.authority) == (qtype == "AAAA"), "an SOA where there is nothing behind the alias"

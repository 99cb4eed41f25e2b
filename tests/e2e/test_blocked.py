"""A blocked name is blocked for every type, with the same rcode, our SOA and the reason (dns.md)."""

from __future__ import annotations

import re

import dns.flags
import pytest
from _ask import BLOCKED_BY_POLICY, CENSORED, FILTERED, ask, dig, kdig, question, section
from _world import LAB, LITTLE, PUPIL, SENIOR, TEACHER

TYPES = (
    "A", "AAAA", "HTTPS", "SVCB", "ANY", "TXT", "MX", "NS", "SOA", "CNAME", "DNAME", "PTR", "SRV", "CAA",
    "NAPTR", "DS", "DNSKEY", "RRSIG", "NSEC", "TLSA", "SSHFP", "URI", "LOC", "HINFO", "NULL", "SPF",
    "TYPE65280", "TYPE1000", "TYPE65535",
)  # fmt: skip
UPSTREAM_DATA = ("203.0.113", "2001:db8:bad", "upstream data")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("rdtype", TYPES)
def test_every_type_of_a_blocked_name_is_blocked_alike(school, rdtype, transport):
    answer = ask(school.v4, "casino.example", rdtype, tcp=transport == "tcp")
    assert answer.rcode == "NXDOMAIN"
    assert not answer.message.answer
    assert not answer.message.additional
    assert answer.errors == [
        (BLOCKED_BY_POLICY, "category: gambling; list: test-gambling; rule: casino.example")
    ]
    soa = answer.soa
    assert soa is not None
    assert soa.ttl <= 60, "a lifted block is felt within a minute"
    assert soa[0].minimum == soa.ttl, "RFC 2308 section 5"
    assert soa[0].mname.to_text() == "filterd.invalid.", "our own, nothing of the upstream's"


@pytest.mark.parametrize("rdtype", ["A", "HTTPS", "TYPE65280", "ANY", "MX"])
def test_dig_shows_the_block_and_its_reason(school, rdtype):
    dug = dig(school.v4, "casino.example", rdtype)
    assert dug.status == "NXDOMAIN"
    assert dug.flags == {"qr", "rd", "ra"}
    assert "; EDE: 15 (Blocked): (category: gambling; list: test-gambling; rule: casino.example)" in dug.text
    assert re.search(r"^casino\.example\.\s+\d+\s+IN\s+SOA\s+filterd\.invalid\.", dug.text, re.MULTILINE)
    assert not any(data in dug.text for data in UPSTREAM_DATA)


def test_kdig_shows_the_block_and_its_reason(school):
    dug = kdig(school.v4, "+edns", "+tcp", "-t", "SVCB", "casino.example")
    assert dug.status == "NXDOMAIN"
    assert "category: gambling; list: test-gambling" in dug.text
    assert section(dug.text, "AUTHORITY")[0].startswith("casino.example. 30 IN SOA filterd.invalid.")


@pytest.mark.parametrize(
    "name", ["www.casino.example", "a.b.c.casino.example", "CaSiNo.ExAmPlE", "Www.bEt.example"]
)
def test_what_is_below_a_listed_name_is_blocked_whatever_its_case(school, name):
    answer = ask(school.v4, name)
    assert answer.rcode == "NXDOMAIN"
    assert answer.blocked


def test_an_exact_entry_covers_the_name_alone(school):
    assert ask(school.v4, "exact.example").blocked
    assert not ask(school.v4, "www.exact.example").blocked


@pytest.mark.parametrize("name", ["notcasino.example", "casino.example.kz", "example", "asino.example"])
def test_a_name_that_only_looks_alike_is_not_blocked(school, name):
    assert not ask(school.v4, name).blocked


def test_without_edns_the_block_is_told_by_the_rcode_alone(school):
    answer = ask(school.v4, "casino.example", edns=False)
    assert answer.rcode == "NXDOMAIN"
    assert answer.soa is not None
    assert answer.message.edns == -1


@pytest.mark.parametrize(
    "more",
    [
        {"want_dnssec": True},
        {"cd": True},
        {"cd": True, "want_dnssec": True},
        {"rd": False},
        {"size": 512},
        {"size": 0},
        {"size": 65535},
    ],
    ids=str,
)
def test_no_flag_opens_a_blocked_name(school, more):
    """CD and DO change nothing, and a block is never signed for (RFC 4035: AD)."""
    answer = ask(school.v4, "casino.example", **more)
    assert answer.rcode == "NXDOMAIN"
    assert answer.blocked
    assert not answer.has("AD")


def test_ad_in_the_question_brings_no_ad(school):
    query = question("casino.example")
    query.flags |= dns.flags.AD
    assert not ask(school.v4, query).has("AD")


def test_the_code_says_who_blocks(school):
    """RFC 8914: 15 our policy, 16 the law, 17 the school's own wish."""
    assert ask(school.v4, "casino.example").errors[0][0] == BLOCKED_BY_POLICY
    assert ask(school.v4, "illegal.example").errors[0][0] == CENSORED
    assert ask(school.v4, "ruled.example").errors == [(FILTERED, "rule: block ruled.example (subtree)")]


def test_the_name_of_illegal_content_is_not_displayed(school):
    assert ask(school.v4, "illegal.example").errors == [
        (CENSORED, "category: extremism; list: test-extremism")
    ]


def test_one_domain_four_verdicts(school):
    """R3: the same name, asked from four groups of the school."""
    asked = {
        source: ask(school.v4, "www.social.example", source=source)
        for source in (PUPIL, LITTLE, SENIOR, LAB, TEACHER)
    }
    assert {source: answer.errors for source, answer in asked.items()} == {
        PUPIL: [(BLOCKED_BY_POLICY, "category: social; list: test-social; rule: social.example")],
        LITTLE: [(BLOCKED_BY_POLICY, "category: social; list: test-social; rule: social.example")],
        SENIOR: [(FILTERED, "rule: block social.example (subtree)")],
        LAB: [(FILTERED, "category: social; list: test-social; rule: social.example")],
        TEACHER: [],
    }
    assert asked[TEACHER].data == ["198.51.100.71"]
    assert {answer.rcode for source, answer in asked.items() if source != TEACHER} == {"NXDOMAIN"}


def test_a_group_is_the_longest_prefix(school):
    assert ask(school.v4, "social.example", source="127.0.1.33").data == ["198.51.100.70"]
    assert ask(school.v4, "social.example", source="127.0.1.35").blocked


def test_groups_hold_over_tcp_too(school):
    assert ask(school.v4, "social.example", source=TEACHER, tcp=True).data == ["198.51.100.70"]
    assert ask(school.v4, "social.example", source=SENIOR, tcp=True).blocked


def test_what_people_allow_stays_open_and_what_is_locked_stays_shut(school):
    assert ask(school.v4, "open.casino.example").data == ["203.0.113.67"]
    assert ask(school.v4, "help.casino.example").data == ["203.0.113.67"], "help outranks a list (R24)"
    assert ask(school.v4, "virus.example", source=TEACHER).blocked


def test_a_local_name_cannot_open_what_is_blocked(school):
    assert ask(school.v4, "lms.casino.example").blocked


def test_an_internationalized_name_is_blocked_as_it_goes_over_the_wire(start, papers, unbound):
    papers.write_list("gambling", "казино-тест.example")
    filterd = start(papers.config(unbound.server))
    idna = "казино-тест.example".encode("idna").decode()
    answer = ask(filterd.v4, f"www.{idna}")
    assert answer.blocked
    assert idna in answer.why

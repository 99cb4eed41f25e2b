"""The answer check: cloaked names, service targets, hints, private addresses; on every hit."""

from __future__ import annotations

import ipaddress
import itertools

import pytest

from filterd.resolver.private import is_private
from filterd.rules.index import Index
from filterd.rules.verdict import Reason

GOOD = "198.51.100.1"


def cname(name, *steps, address=GOOD, qtype="A"):
    """Records of a chain of aliases that ends in an address."""
    owners = [f"{name}.", *(f"{step}." for step in steps)]
    aliases = [f"{owner} 300 IN CNAME {target}" for owner, target in itertools.pairwise(owners)]
    return [*aliases, f"{owners[-1]} 300 IN {qtype} {address}"]


def blocked(answered):
    assert answered.outcome == "blocked"
    assert answered.rcode == "NXDOMAIN"
    assert answered.data == []
    assert not answered.has("AD")
    (soa,) = answered.message.authority
    assert soa.ttl <= 60
    return True


async def test_an_alias_of_a_blocked_name_is_blocked_with_the_verdict_of_the_target(ask, upstream):
    upstream.answer("www.innocent.example.", *cname("www.innocent.example", "eu.casino.example"))
    answered = await ask("www.innocent.example")
    assert blocked(answered)
    assert (answered.verdict.category, answered.verdict.list_id) == ("gambling", "public-list")
    assert answered.verdict.rule == "casino.example"
    assert answered.errors == [(15, "category: gambling; list: public-list; rule: casino.example")]
    assert ask.health["blocked_targets"] == 1


@pytest.mark.parametrize("depth", [1, 5, 11])
async def test_a_blocked_name_anywhere_in_the_chain_counts(ask, upstream, depth):
    steps = [f"hop{number}.example" for number in range(depth)] + ["casino.example"]
    upstream.answer("deep.example.", *cname("deep.example", *steps))
    assert blocked(await ask("deep.example"))


async def test_a_chain_through_a_blocked_name_counts_too(ask, upstream):
    upstream.answer("www.example.", *cname("www.example", "casino.example", "cdn.example"))
    assert blocked(await ask("www.example"))


@pytest.mark.parametrize("count", [64, 65])
async def test_an_answer_leads_to_so_many_names_and_no_more(ask, upstream, count):
    """Each would be decided on every hit: an answer with hundreds would cost every client milliseconds."""
    records = [f"svc.example. 300 IN HTTPS 1 t{number}.example. alpn=h2" for number in range(count)]
    upstream.answer("svc.example.", *records, qtype="HTTPS")
    answered = await ask("svc.example", "HTTPS", transport="tcp")
    assert answered.rcode == ("NOERROR" if count == 64 else "SERVFAIL")
    assert len(answered.data) == (count if count == 64 else 0)
    assert ask.health["bad_chains"] == (count > 64)


async def test_targets_are_compared_without_case(ask, upstream):
    upstream.answer("www.example.", *cname("www.example", "EU.CASINO.Example"))
    assert blocked(await ask("www.example"))


async def test_a_dname_is_followed(ask, upstream):
    upstream.answer(
        "www.moved.example.",
        "moved.example. 300 IN DNAME casino.example.",
        "www.moved.example. 300 IN CNAME www.casino.example.",
        f"www.casino.example. 300 IN A {GOOD}",
    )
    assert blocked(await ask("www.moved.example"))


async def test_a_dname_without_its_cname_is_followed(ask, upstream):
    """The target itself is not listed, only the name that the DNAME makes of the question."""
    upstream.answer(
        "virus.moved.example.", "moved.example. 300 IN DNAME example.", f"virus.example. 300 IN A {GOOD}"
    )
    assert blocked(await ask("virus.moved.example"))


@pytest.mark.parametrize("qtype", ["HTTPS", "SVCB"])
@pytest.mark.parametrize("data", ["0 casino.example.", "1 eu.casino.example. alpn=h2"])
async def test_the_target_of_a_service_record_is_decided(ask, upstream, qtype, data):
    upstream.answer("www.example.", f"www.example. 300 IN {qtype} {data}", qtype=qtype)
    assert blocked(await ask("www.example", qtype))


async def test_an_honest_service_record_passes(ask, upstream):
    upstream.answer("www.example.", f"www.example. 300 IN HTTPS 1 . alpn=h2 ipv4hint={GOOD}", qtype="HTTPS")
    answered = await ask("www.example", "HTTPS")
    assert answered.data == [f'1 . alpn="h2" ipv4hint="{GOOD}"']


async def test_the_check_is_made_again_on_every_hit(ask, upstream, make_view):
    upstream.answer("www.innocent.example.", *cname("www.innocent.example", "eu.casino.example"))
    teachers = make_view(blocked=())
    answered = await ask("www.innocent.example", view=teachers)
    assert GOOD in answered.data
    assert blocked(ask.now("www.innocent.example"))  # the same cached answer, another view
    assert GOOD in ask.now("www.innocent.example", view=teachers).data
    assert len(upstream.asked) == 1


async def test_a_new_index_holds_for_what_is_cached(ask, upstream, index):
    upstream.answer("www.innocent.example.", *cname("www.innocent.example", "eu.casino.example"))
    ask.resolver.index = Index.empty()
    assert GOOD in (await ask("www.innocent.example")).data
    ask.resolver.index = index
    assert blocked(ask.now("www.innocent.example"))
    assert ask.health["cache_entries"] == 1


async def test_r24_an_allowed_name_may_be_served_from_a_listed_host(ask, upstream):
    upstream.answer("www.help.example.", *cname("www.help.example", "cdn.tracker.example"))
    assert GOOD in (await ask("www.help.example")).data


async def test_r24_and_even_from_a_host_that_a_public_list_calls_malware(ask, upstream):
    upstream.answer("www.help.example.", *cname("www.help.example", "virus.example"))
    assert GOOD in (await ask("www.help.example")).data


@pytest.mark.parametrize("target", ["trap.example", "illegal.example"])
async def test_r1_locks_made_by_people_hold_behind_an_allowed_name(ask, upstream, target):
    upstream.answer("www.help.example.", *cname("www.help.example", target))
    assert blocked(await ask("www.help.example"))


async def test_what_a_school_opens_by_name_is_opened_with_its_hosts_but_no_lock_is(ask, upstream, make_view):
    view = make_view(allow=("www.example",))
    upstream.answer("www.example.", *cname("www.example", "cdn.tracker.example"))
    assert GOOD in (await ask("www.example", view=view)).data
    assert blocked(ask.now("www.example"))
    upstream.answer("a.www.example.", *cname("a.www.example", "virus.example"))
    assert blocked(await ask("a.www.example", view=view))


async def test_r1_an_illegal_target_is_not_displayed(ask, upstream):
    upstream.answer("www.example.", *cname("www.example", "illegal.example"))
    answered = await ask("www.example")
    assert answered.errors == [(16, "category: extremism; list: local-list")]
    assert b"illegal" not in answered.reply.packet


PRIVATE = ["127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.1.1", "0.0.0.0"]
PRIVATE6 = ["::1", "::", "fd00::1", "fe80::1", "::ffff:192.168.1.1", "64:ff9b::10.0.0.1"]


@pytest.mark.parametrize(
    ("qtype", "data"),
    [
        *(("A", address) for address in PRIVATE),
        *(("AAAA", address) for address in PRIVATE6),
        *(("HTTPS", f"1 . ipv4hint={address}") for address in PRIVATE),
        *(("HTTPS", f"1 . ipv6hint={address}") for address in PRIVATE6),
    ],
)
async def test_a_private_address_in_a_public_answer_is_dropped(ask, upstream, qtype, data):
    upstream.answer("rebind.example.", f"rebind.example. 300 IN {qtype} {data}", qtype=qtype)
    answered = await ask("rebind.example", qtype)
    assert (answered.rcode, answered.data, answered.outcome) == ("NOERROR", [], "blocked")
    assert answered.verdict.reason is Reason.REBINDING
    assert answered.errors == [(15, "private address in a public answer")]
    assert ask.health["rebinding_drops"] == 1
    assert ask.now("rebind.example", qtype).data == []  # from the cache, too


async def test_one_private_address_among_public_ones_is_enough(ask, upstream):
    upstream.answer("rebind.example.", f"rebind.example. 300 IN A {GOOD} | 192.168.1.1")
    assert (await ask("rebind.example")).data == []


async def test_a_private_address_behind_an_alias_is_dropped(ask, upstream):
    upstream.answer("www.example.", *cname("www.example", "lan.example", address="10.0.0.5"))
    assert (await ask("www.example")).data == []


async def test_public_addresses_pass(ask, upstream):
    for number, address in enumerate(("172.32.0.1", "11.0.0.1", "192.169.0.1", "100.64.0.1")):
        upstream.answer(f"n{number}.example.", f"n{number}.example. 300 IN A {address}")
        assert (await ask(f"n{number}.example")).data == [address]


async def test_names_on_the_allow_list_may_have_private_addresses(make_asking, upstream, make_view):
    asking = await make_asking(upstream, rebinding_allow=(b"\x03lan\x07example\x00",))
    for name in ("nas.lan.example", "lan.example", "other.example"):
        upstream.answer(f"{name}.", f"{name}. 300 IN A 192.168.1.1")
    assert (await asking("nas.lan.example")).data == ["192.168.1.1"]
    assert (await asking("lan.example")).data == ["192.168.1.1"]
    assert (await asking("other.example")).data == []
    own = make_view(rebinding_allow=frozenset((b"\x05other\x07example\x00",)))
    assert asking.now("other.example", view=own).data == ["192.168.1.1"]


async def test_a_zone_of_ones_own_may_have_private_addresses(make_asking, make_upstream, upstream):
    school = await make_upstream()
    school.answer("pc.school.example.", "pc.school.example. 300 IN A 10.1.1.1")
    asking = await make_asking(upstream, zones={"school.example": [school]})
    assert (await asking("pc.school.example")).data == ["10.1.1.1"]


async def test_rebinding_protection_can_be_switched_off(make_asking, upstream):
    upstream.answer("rebind.example.", "rebind.example. 300 IN A 192.168.1.1")
    asking = await make_asking(upstream, rebinding=False)
    assert (await asking("rebind.example")).data == ["192.168.1.1"]


@pytest.mark.parametrize(
    "text", [*PRIVATE, *PRIVATE6, "febf::1", "fc00::1", "172.31.255.255", "::192.168.0.1"]
)
def test_private(text):
    assert is_private(ipaddress.ip_address(text).packed)


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.0.170",
        "100.64.0.1",
        "2001:db8::1",
        "fec0::1",
        "64:ff9b::1.1.1.1",
    ],
)
def test_public(text):
    assert not is_private(ipaddress.ip_address(text).packed)

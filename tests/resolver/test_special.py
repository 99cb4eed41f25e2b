"""Special names: answered here, never seen by an upstream."""

from __future__ import annotations

import dns.reversename
import pytest

from filterd.resolver.special import SPECIAL, Special, special
from filterd.wire import names


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "a.localhost", "a.b.localhost"])
@pytest.mark.parametrize(
    ("qtype", "data"), [("A", ["127.0.0.1"]), ("AAAA", ["::1"]), ("MX", []), ("HTTPS", []), ("ANY", [])]
)
async def test_6761_localhost_is_loopback(ask, upstream, name, qtype, data):
    answered = ask.now(name, qtype)
    assert (answered.rcode, answered.data, answered.outcome) == ("NOERROR", data, "allowed")
    assert not upstream.asked


MISSING = [
    "invalid",
    "x.invalid",
    "facebookcorewwwi.onion",
    "onion",
    "x.alt",
    "printer.local",
    "local",
    "srv.internal",
    "x.test",
    "nas.home.arpa",
    *(
        dns.reversename.from_address(address).to_text().rstrip(".")
        for address in (
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.0.1",
            "127.0.0.1",
            "169.254.3.4",
            "0.0.0.1",
            "100.64.0.1",
            "100.127.0.1",
            "192.0.2.5",
            "255.255.255.255",
            "fd00::1",
            "fe80::1",
            "febf::1",
            "2001:db8::1",
        )
    ),
]


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.parametrize("qtype", ["A", "PTR", "TXT"])
async def test_6303_and_others_are_missing_here(ask, upstream, name, qtype):
    answered = ask.now(name, qtype)
    assert answered.outcome == "allowed"
    assert answered.rcode in ("NXDOMAIN", "NOERROR")
    assert answered.rcode == ("NOERROR" if name == "255.255.255.255.in-addr.arpa" else "NXDOMAIN")
    assert answered.data == []
    assert [rrset.rdtype for rrset in answered.message.authority] == [6]
    assert not upstream.asked


@pytest.mark.parametrize(
    "name",
    [
        dns.reversename.from_address(address).to_text().rstrip(".")
        for address in (
            "11.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2001:db9::1",
            "fec0::1",
        )
    ]
    + ["localhost.example", "notlocal", "xlocal", "in-addr.arpa", "arpa", "example.com", "."],
)
def test_ordinary_names_are_ordinary(name):
    assert special(names.from_text(name), ()) is None


def test_a_label_that_only_looks_like_a_special_suffix_is_ordinary():
    assert special(names.from_labels([b"x\x05local"]), ()) is None


@pytest.mark.parametrize("zone", ["0.0.0.0." * 8 + "ip6.arpa", "1." + "0." * 31 + "ip6.arpa"])
async def test_6303_the_unspecified_and_the_loopback_address_exist_without_data(ask, zone):
    answered = ask.now(zone, "PTR")
    assert (answered.rcode, answered.data) == ("NOERROR", [])


@pytest.mark.parametrize("apex", ["10.in-addr.arpa", "168.192.in-addr.arpa", "d.f.ip6.arpa"])
async def test_6303_the_apex_of_an_empty_zone_exists_without_data(ask, apex):
    answered = ask.now(apex, "NS")
    assert (answered.rcode, answered.data) == ("NOERROR", [])


@pytest.mark.parametrize("name", ["resolver.arpa", "_dns.resolver.arpa", "x.y.resolver.arpa"])
@pytest.mark.parametrize("qtype", ["SVCB", "A", "NS", "TYPE65280"])
async def test_9462_resolver_arpa_is_never_forwarded(make_asking, upstream, name, qtype):
    asking = await make_asking(upstream, zones={"resolver.arpa": [upstream]})
    answered = asking.now(name, qtype)
    assert (answered.rcode, answered.data) == ("NOERROR", [])
    assert not upstream.asked


async def test_8880_ipv4only_arpa_is_forwarded_and_never_filtered(ask, upstream, make_view):
    upstream.answer("ipv4only.arpa.", "ipv4only.arpa. 300 IN A 192.0.0.170 | 192.0.0.171")
    upstream.answer("ipv4only.arpa.", "ipv4only.arpa. 300 IN AAAA 64:ff9b::192.0.0.170", qtype="AAAA")
    strict = make_view(block=("arpa", "ipv4only.arpa"))
    assert (await ask("ipv4only.arpa", view=strict)).data == ["192.0.0.170", "192.0.0.171"]
    assert (await ask("ipv4only.arpa", "AAAA", view=strict)).data == ["64:ff9b::c000:aa"]
    assert ask.now("www.ipv4only.arpa", view=strict).outcome == "blocked"


async def test_the_self_tests_canaries_are_judged_by_policy_and_exist_nowhere(ask, upstream, make_view):
    strict = make_view(block=("gambling.canary.filterd.test",))
    assert ask.now("gambling.canary.filterd.test", view=strict).outcome == "blocked"
    allowed = ask.now("gambling.canary.filterd.test")
    assert (allowed.outcome, allowed.rcode) == ("allowed", "NXDOMAIN")
    assert not upstream.asked


async def test_special_names_are_before_policy(ask, make_view):
    strict = make_view(block=("localhost", "local"))
    assert ask.now("localhost", view=strict).data == ["127.0.0.1"]


async def test_a_configured_zone_opens_what_is_special(make_asking, make_upstream, upstream):
    school = await make_upstream(lambda ask: ask.reply(f"{ask.name} 300 IN A 10.0.0.9"))
    asking = await make_asking(
        upstream, zones={"corp.internal": [school], "10.in-addr.arpa": [school], "local": [school]}
    )
    assert (await asking("pc.corp.internal")).data == ["10.0.0.9"]
    assert (await asking("pc.local")).data == ["10.0.0.9"]
    assert (await asking("1.1.1.10.in-addr.arpa")).data == ["10.0.0.9"]
    assert asking.now("other.internal").rcode == "NXDOMAIN"
    assert asking.now("1.1.168.192.in-addr.arpa", "PTR").rcode == "NXDOMAIN"


async def test_a_zone_for_everything_opens_nothing_special(make_asking, upstream):
    asking = await make_asking(zones={".": [upstream]})
    assert asking.now("x.invalid").rcode == "NXDOMAIN"
    assert asking.now("localhost").data == ["127.0.0.1"]


async def test_a_zone_cannot_take_localhost(make_asking, upstream):
    asking = await make_asking(zones={"localhost": [upstream]})
    assert asking.now("localhost").data == ["127.0.0.1"]


def test_every_kind_is_used():
    assert set(SPECIAL.values()) == set(Special)

"""R5: what DNS sees of ways round the filter: canaries, encrypted DNS, relays, VPNs, proxies, tunnels."""

from __future__ import annotations

import pytest
from _ask import ask
from _endpoint import arrived, events, metric
from _engines import MIDDLE, PRIMARY, STAFF
from _programs import until

CANARIES = ("use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com")
RESOLVERS = (
    "dns.google", "mozilla.cloudflare-dns.com", "one.one.one.one", "dns.quad9.net", "dns.adguard.com",
    "abcdef.dns.nextdns.io", "doh.opendns.com", "doh.dns.apple.com",
)  # fmt: skip
WAYS_ROUND = (
    "api.nordvpn.com",
    "protonvpn.com",
    "www.torproject.org",
    "croxyproxy.com",
    "engage.cloudflareclient.com",
)


@pytest.mark.parametrize("name", CANARIES)
@pytest.mark.parametrize("source", [PRIMARY, MIDDLE, STAFF])
def test_r5_canaries_keep_browsers_and_private_relay_here(school, name, source):
    """By policy, never by a timeout."""
    for rdtype in ("A", "AAAA", "HTTPS", "SVCB"):
        answer = ask(school.v4, name, rdtype, source=source)
        assert (answer.rcode, answer.data) == ("NXDOMAIN", [])
        assert answer.soa is not None


@pytest.mark.parametrize("name", ["resolver.arpa", "_dns.resolver.arpa"])
@pytest.mark.parametrize("rdtype", ["SVCB", "HTTPS", "A"])
def test_r5_ddr_finds_no_other_resolver(school, name, rdtype):
    """RFC 9462: about this resolver, so never forwarded."""
    answer = ask(school.v4, name, rdtype, source=PRIMARY)
    assert (answer.rcode, answer.data) == ("NOERROR", [])
    assert answer.soa is not None


@pytest.mark.parametrize("name", RESOLVERS)
def test_r5_encrypted_dns_is_blocked_with_what_leads_to_it(school, name):
    """The address for DoH and DoT, and the records by which it is discovered (RFC 9461: _dns.)."""
    for asked, rdtype in (
        (name, "A"),
        (name, "HTTPS"),
        (f"_dns.{name}", "SVCB"),
        (f"_853._dns.{name}", "SVCB"),
    ):
        answer = ask(school.v4, asked, rdtype, source=PRIMARY)
        assert (answer.rcode, answer.blocked) == ("NXDOMAIN", True)
        assert answer.why.startswith("category: doh;")


@pytest.mark.parametrize("name", WAYS_ROUND)
def test_r5_vpns_proxies_and_tor_are_blocked(school, name):
    answer = ask(school.v4, name, source=PRIMARY)
    assert answer.blocked
    assert answer.why.startswith("category: bypass;")


def test_r5_attempts_are_events_of_their_own_category_and_canaries_are_none(school):
    asked = {"r5.dns.google": "doh", "r5.protonvpn.com": "bypass"}
    for name in (*CANARIES, "_dns.resolver.arpa"):
        for _ in range(3):
            ask(school.v4, name, source=PRIMARY)
    for name in asked:
        ask(school.v4, name, source=PRIMARY)
    arrived(school, asked)
    for name, category in asked.items():
        (event,) = events(school, name=name)
        assert (event["category"], event["verdict"], event["group"]) == (category, "block", "primary")
    assert not {event["name"] for event in events(school)} & {
        *CANARIES,
        "resolver.arpa",
        "_dns.resolver.arpa",
    }

    def canaries():
        return metric(school, "filterd_queries_total", group="primary", outcome="canary") >= 9

    until(canaries, "the canaries, counted apart from safe search")


def test_r5_dynamic_dns_and_tunnels_can_be_blocked_as_services(start, files, upstream):
    files.write(services={"block": ["dynamic_dns", "tunnels"]})
    filterd = start(files.config(upstream))
    for name in ("proxy-at-home.duckdns.org", "abc.ngrok-free.app"):
        answer = ask(filterd.v4, name, source=MIDDLE)
        assert answer.blocked
        assert answer.why.startswith("category: bypass; rule: block service ")
    arrived(filterd, ["proxy-at-home.duckdns.org"])
    (event,) = events(filterd, name="proxy-at-home.duckdns.org")
    assert (event["category"], event["domain"]) == ("bypass", "proxy-at-home.duckdns.org")


def test_r5_a_tunnel_through_dns_is_an_event_of_bypass(school):
    """Budgets of bytes per client and domain: what a tunnel sends out stands in the names."""
    blocked = 0
    for number in range(2000):  # each DNS process counts for itself
        name = f"{number:04d}{'x' * 55}.{'y' * 60}.{'z' * 60}.tunnel.example"
        blocked += ask(school.v4, name, source=MIDDLE).blocked
        if blocked >= 3:
            break
    assert blocked == 3
    found = until(
        lambda: [event for event in events(school) if event["name"].endswith(".tunnel.example")], "the event"
    )
    assert {event["category"] for event in found} == {"bypass"}
    assert found[0]["rule"] == "tunnel budget of tunnel.example"

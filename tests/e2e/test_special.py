"""Names with a meaning of their own, and canaries: answered here, and no upstream hears of them."""

from __future__ import annotations

import pytest
from _ask import ask, dig
from _world import TEACHER

MISSING = (
    "nowhere.invalid", "invalid", "facebookcorewwwi.onion", "x.alt", "printer.local", "local", "db.internal",
    "box.home.arpa", "some.test", "7.1.168.192.in-addr.arpa", "1.0.0.10.in-addr.arpa",
    "1.16.172.in-addr.arpa", "1.0.254.169.in-addr.arpa", "1.64.100.in-addr.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
)  # fmt: skip
CANARIES = ("use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "www.localhost", "a.b.localhost"])
def test_localhost_is_this_machine(school, name):
    """RFC 6761 section 6.3."""
    assert ask(school.v4, name).data == ["127.0.0.1"]
    assert ask(school.v4, name, "AAAA").data == ["::1"]
    assert ask(school.v4, name, "MX").rcode == "NOERROR"
    assert ask(school.v4, name, "HTTPS", tcp=True).soa is not None


@pytest.mark.parametrize("rdtype", ["A", "PTR", "HTTPS", "ANY"])
@pytest.mark.parametrize("name", MISSING)
def test_names_that_no_upstream_knows_are_missing_here(school, name, rdtype):
    answer = ask(school.v4, name, rdtype)
    assert answer.rcode == "NXDOMAIN"
    assert not answer.blocked, "no policy speaks here"
    assert answer.soa is not None


def test_the_top_of_an_empty_zone_exists(school):
    """RFC 6303 section 3."""
    for name in ("10.in-addr.arpa", "168.192.in-addr.arpa", "d.f.ip6.arpa"):
        assert ask(school.v4, name, "PTR").rcode == "NOERROR"


@pytest.mark.parametrize("name", ["resolver.arpa", "_dns.resolver.arpa"])
@pytest.mark.parametrize("rdtype", ["SVCB", "A", "TXT"])
def test_this_resolver_offers_no_encrypted_service_yet(school, name, rdtype):
    """RFC 9462 section 6.4: never forwarded; NODATA."""
    answer = ask(school.v4, name, rdtype)
    assert answer.rcode == "NOERROR"
    assert not answer.data
    assert answer.soa is not None


def test_8880_ipv4only_arpa_is_never_filtered(school):
    """It stands in a list of the test; how devices find NAT64 is not a matter of lists."""
    assert ask(school.v4, "ipv4only.arpa").data == ["192.0.0.170", "192.0.0.171"]


@pytest.mark.parametrize("rdtype", ["A", "AAAA", "HTTPS", "TXT"])
@pytest.mark.parametrize("name", CANARIES)
def test_canaries_keep_devices_here(school, name, rdtype):
    for _ in range(3):
        answer = ask(school.v4, name, rdtype)
        assert answer.rcode == "NXDOMAIN"
        assert answer.soa is not None
        assert not answer.errors, "no policy says so, and no event tells of it"
    assert dig(school.v4, name, rdtype).status == "NXDOMAIN"


def test_the_self_tests_canaries_follow_policy(school):
    assert ask(school.v4, "gambling.canary.filterd.test").blocked
    assert ask(school.v4, "social.canary.filterd.test").blocked
    answer = ask(school.v4, "social.canary.filterd.test", source=TEACHER)
    assert answer.rcode == "NXDOMAIN"
    assert not answer.blocked


def test_no_upstream_hears_of_them(start, papers, stub):
    filterd = start(papers.config(stub.server))
    for name in ("localhost", "www.localhost", *MISSING, "resolver.arpa", "_dns.resolver.arpa", *CANARIES):
        for rdtype in ("A", "SVCB", "TYPE65280"):
            ask(filterd.v4, name, rdtype)
    for rdtype in ("A", "HTTPS", "ANY", "TYPE65280"):
        assert ask(filterd.v4, "casino.example", rdtype).blocked, "nor of blocked names"
    ask(filterd.v4, "allowed.example")
    assert stub.names == ["allowed.example."]

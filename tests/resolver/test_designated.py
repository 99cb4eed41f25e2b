"""Discovery of our own encrypted services (RFC 9461, RFC 9462): answered here, never forwarded."""

from __future__ import annotations

import pytest

from filterd.wire import names
from filterd.wire.svcb import Designation

TARGET = names.from_text("dns.school.kz")
V4 = bytes((192, 0, 2, 1))
SETTINGS = {
    "designations": (
        Designation(TARGET, "h2", 443, (V4,), "/dns-query"),
        Designation(TARGET, "dot", 853, (V4,)),
    ),
    "designated_names": frozenset(
        names.from_text(name) for name in ("_dns.resolver.arpa", "_dns.dns.school.kz")
    ),
}


@pytest.mark.parametrize("name", ["_dns.resolver.arpa", "_dns.dns.school.kz", "_DNS.Resolver.ARPA"])
async def test_9462_svcb_names_the_services(make_asking, upstream, name):
    ask = await make_asking(upstream, **SETTINGS)
    answered = ask.now(name, "SVCB")
    assert answered.outcome == "allowed"
    assert answered.message.question[0].name.to_text() == f"{name}."
    assert answered.data == [
        '1 dns.school.kz. alpn="h2" ipv4hint="192.0.2.1" dohpath="/dns-query{?dns}"',
        '2 dns.school.kz. alpn="dot" ipv4hint="192.0.2.1"',
    ]
    assert answered.ttls == [300]
    assert not answered.has("AA")
    assert upstream.asked == []


@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS", "TXT", "ANY", "TYPE65280"])
@pytest.mark.parametrize("name", ["_dns.resolver.arpa", "_dns.dns.school.kz"])
async def test_9462_every_other_type_is_nodata_and_never_forwarded(make_asking, upstream, name, qtype):
    ask = await make_asking(upstream, **SETTINGS)
    answered = await ask(name, qtype, transport="dot")
    assert answered.rcode == "NOERROR"
    assert answered.data == []
    assert answered.ttls == [60]
    assert upstream.asked == []


@pytest.mark.parametrize("name", ["resolver.arpa", "other.resolver.arpa", "x._dns.resolver.arpa"])
async def test_9462_the_rest_of_resolver_arpa_stays_empty(make_asking, upstream, name):
    ask = await make_asking(upstream, **SETTINGS)
    answered = await ask(name, "SVCB")
    assert (answered.rcode, answered.data) == ("NOERROR", [])
    assert upstream.asked == []


async def test_9462_without_services_nodata(ask, upstream):
    answered = await ask("_dns.resolver.arpa", "SVCB")
    assert (answered.rcode, answered.data) == ("NOERROR", [])
    assert upstream.asked == []


async def test_the_names_beside_ours_are_ordinary(make_asking, upstream):
    ask = await make_asking(upstream, **SETTINGS)
    await ask("_dns.school.kz", "SVCB")
    await ask("dns.school.kz")
    assert [name.rstrip(".") for name, *_ in upstream.questions] == ["_dns.school.kz", "dns.school.kz"]

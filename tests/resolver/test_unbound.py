"""Honest answers from a real unbound: what it says is what the client gets."""

from __future__ import annotations

import asyncio

import dns.message
import dns.query
import dns.rdatatype
import pytest


@pytest.fixture
async def asking(make_asking, unbound):
    return await make_asking(unbound)


async def test_addresses_arrive(asking):
    answered = await asking("www.mektep.kz")
    assert answered.outcome == "allowed"
    assert answered.data == ["198.51.100.1", "198.51.100.2"]
    assert answered.has("RA")
    assert answered.has("RD")
    assert not answered.has("AA")
    assert not answered.has("AD")


async def test_3597_unknown_types_pass_byte_exact(asking):
    assert (await asking("type.mektep.kz", "TYPE65280")).data == [r"\# 4 c0ffee00"]


@pytest.mark.parametrize(
    "qtype",
    ["A", "AAAA", "MX", "TXT", "NS", "SOA", "SRV", "CAA", "HTTPS", "SVCB", "TYPE1000", "DS", "DNSKEY"],
)
@pytest.mark.parametrize("name", ["www.mektep.kz", "mektep.kz", "missing.mektep.kz", "svc.mektep.kz"])
async def test_5625_every_type_gets_what_unbound_says(asking, unbound, name, qtype):
    direct = dns.query.udp(dns.message.make_query(name, qtype), unbound.host, 5, unbound.port)
    answered = await asking(name, qtype)
    assert answered.message.rcode() == direct.rcode()
    assert answered.message.answer == direct.answer


async def test_the_case_of_the_question_is_echoed(asking):
    answered = await asking("wWw.MekTep.KZ")
    assert answered.message.question[0].name.to_text() == "wWw.MekTep.KZ."
    again = asking.now("WWW.mektep.kz")
    assert again.message.question[0].name.to_text() == "WWW.mektep.kz."


async def test_what_does_not_fit_into_udp_is_cut_and_comes_whole_over_tcp(asking):
    over_udp = await asking("large.mektep.kz", "TXT")
    assert over_udp.has("TC")
    assert len(over_udp.reply.packet) <= 1232
    over_tcp = await asking("large.mektep.kz", "TXT", transport="tcp")
    assert not over_tcp.has("TC")
    assert len(over_tcp.data) == 40
    assert asking.health["tcp_opened"] == 1


@pytest.mark.parametrize("limit", [512, 600, 1232])
async def test_no_answer_is_over_the_limit(asking, limit):
    assert len((await asking("large.mektep.kz", "TXT", limit=limit)).reply.packet) <= limit


async def test_no_opt_in_no_opt_out(asking):
    assert (await asking("www.mektep.kz", edns=False)).message.edns == -1
    assert (await asking("www.mektep.kz")).message.edns == 0


async def test_thousand_different_names_at_once(asking):
    answers = await asyncio.gather(*(asking(f"n{number}.flood.example") for number in range(500)))
    assert {tuple(answered.data) for answered in answers} == {("198.51.100.7",)}
    assert asking.health["udp_sockets"] == 0
    assert asking.health["cache_entries"] == 500

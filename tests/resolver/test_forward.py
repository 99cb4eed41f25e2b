"""What upstreams get to see, which of them serve a name, how a silent one is left alone and found again."""

from __future__ import annotations

import asyncio

import dns.edns
import dns.flags
import pytest

from filterd.resolver import forward
from filterd.resolver import upstream as upstream_module

GOOD = "198.51.100.1"


def good(ask):
    return ask.reply(f"{ask.name} 300 IN A {GOOD}")


def silent(_ask):
    return None


async def test_upstreams_see_our_own_opt_and_nothing_of_the_clients(make_asking, make_upstream):
    upstream = await make_upstream(good)
    asking = await make_asking(upstream)
    options = [
        dns.edns.ECSOption("192.0.2.0", 24),
        dns.edns.GenericOption(10, bytes(8)),
        dns.edns.GenericOption(11, b""),
        dns.edns.GenericOption(12, bytes(20)),
        dns.edns.GenericOption(65001, b"x"),
    ]
    await asking("www.example", options=options, payload=4096)
    seen = upstream.asked[0].message
    assert (seen.edns, seen.payload, list(seen.options)) == (0, 1232, [])
    assert seen.flags & dns.flags.RD


@pytest.mark.parametrize("want_dnssec", [False, True])
@pytest.mark.parametrize("checking_disabled", [False, True])
async def test_do_and_cd_are_forwarded(make_asking, make_upstream, want_dnssec, checking_disabled):
    upstream = await make_upstream(good)
    asking = await make_asking(upstream)
    flags = dns.flags.RD | (dns.flags.CD if checking_disabled else 0)
    answered = await asking("www.example", want_dnssec=want_dnssec, flags=flags)
    seen = upstream.asked[0].message
    assert bool(seen.ednsflags & dns.flags.DO) == want_dnssec
    assert bool(seen.flags & dns.flags.CD) == checking_disabled
    assert answered.has("CD") == checking_disabled
    assert bool(answered.message.ednsflags & dns.flags.DO) == want_dnssec


async def test_options_of_upstreams_never_reach_clients(make_asking, make_upstream):
    def script(ask):
        reply = good(ask)
        reply.use_edns(
            0,
            0,
            4096,
            options=[
                dns.edns.ECSOption("192.0.2.0", 24, 24),
                dns.edns.GenericOption(10, bytes(24)),
                dns.edns.GenericOption(18, b"\x05agent\x00"),
            ],
        )
        return reply

    answered = await (await make_asking(await make_upstream(script)))("www.example")
    assert list(answered.message.options) == []
    assert answered.message.payload == 1232


async def test_zones_go_to_their_own_upstreams_the_longest_first(make_asking, make_upstream):
    default, school, room = [await make_upstream(good) for _ in range(3)]
    asking = await make_asking(default, zones={"school.example": [school], "room.school.example": [room]})
    for name in (
        "www.example",
        "www.school.example",
        "school.example",
        "pc.room.school.example",
        "notschool.example",
    ):
        await asking(name)
    assert [name for name, *_ in default.questions] == ["www.example.", "notschool.example."]
    assert [name for name, *_ in school.questions] == ["www.school.example.", "school.example."]
    assert [name for name, *_ in room.questions] == ["pc.room.school.example."]


async def test_a_zone_may_be_the_root(make_asking, make_upstream):
    default, root = await make_upstream(good), await make_upstream(good)
    asking = await make_asking(default, zones={".": [root]})
    await asking("www.example")
    assert (len(default.asked), len(root.asked)) == (0, 1)


async def test_what_a_zones_upstream_says_stays_in_its_zone(make_asking, make_upstream):
    """MaginotDNS: an answer of one group of upstreams is never given out for another's name."""

    def lying(ask):
        return ask.reply(
            f"{ask.name} 300 IN CNAME bank.example.",
            "bank.example. 300 IN A 203.0.113.66",
            authority=("example. 300 IN NS ns.evil.example.",),
            additional=("bank.example. 300 IN A 203.0.113.66",),
        )

    default, school = await make_upstream(good), await make_upstream(lying)
    asking = await make_asking(default, zones={"school.example": [school]})
    assert "203.0.113.66" in (await asking("www.school.example")).data
    assert (await asking("bank.example")).data == [GOOD]


async def test_a_silent_upstream_is_left_alone_and_found_again(
    make_asking, make_upstream, monkeypatch, until
):
    monkeypatch.setattr(upstream_module, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(upstream_module, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(forward, "PROBE_TIMEOUT", 0.05)
    upstream = await make_upstream(silent)
    asking = await make_asking(upstream, deadline=0.2, stale_after=0.2, fetch_timeout=3)
    assert (await asking("first.example")).rcode == "SERVFAIL"
    await until(lambda: not asking.health["upstream_0_up"])
    await until(lambda: not asking.health["flights"])
    asked = [name for name, *_ in upstream.questions]
    assert (await asking("second.example")).codes == [22]
    assert asking.health["fetch_down"] == 1
    assert "second.example." not in [name for name, *_ in upstream.questions]
    assert asked.count("first.example.") == 3
    upstream.script = good
    await until(lambda: asking.health["upstream_0_up"])
    assert (await asking("second.example")).data == [GOOD]  # the failure was forgotten with the outage
    assert {name for name, *_ in upstream.questions} == {"first.example.", ".", "second.example."}


async def test_probes_end_with_the_resolver(make_asking, make_upstream, monkeypatch, until):
    monkeypatch.setattr(upstream_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(upstream_module, "DOWN_AFTER", 1)
    upstream = await make_upstream(silent)
    asking = await make_asking(upstream, deadline=0.1, stale_after=0.1, fetch_timeout=0.5)
    await asking("first.example")
    await until(lambda: not asking.health["upstream_0_up"])
    await asking.resolver.close()
    await asyncio.sleep(0.05)  # what was sent before arrives
    before = len(upstream.asked)
    await asyncio.sleep(0.1)
    assert len(upstream.asked) == before
    assert asking.health["udp_sockets"] == 0


async def test_upstreams_may_speak_ipv6(make_asking, make_upstream):
    def script(ask):
        return ask.reply(tc=True) if ask.transport == "udp" else good(ask)

    asking = await make_asking(await make_upstream(script, host="::1"))
    assert (await asking("www.example")).data == [GOOD]


async def test_the_same_upstream_in_two_groups_is_one(make_asking, make_upstream):
    upstream = await make_upstream(good)
    asking = await make_asking(upstream, upstream, zones={"school.example": [upstream]})
    await asking("www.example")
    await asking("www.school.example")
    assert asking.health["upstream_0_queries"] == 2
    assert "upstream_1_queries" not in asking.health

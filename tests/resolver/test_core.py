"""What is kept and how it is given out again: TTLs, negative answers, AD, stale answers."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

GOOD, NEW = "198.51.100.1", "198.51.100.2"
DAY = 86_400
QUICK = {"deadline": 0.3, "stale_after": 0.2, "fetch_timeout": 0.4}


def good(ask):
    return ask.reply(f"{ask.name} 60 IN A {GOOD}")


def silent(_ask):
    return None


async def test_a_second_question_is_answered_from_the_cache_and_ttls_count_down(ask, upstream, clock):
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    assert (await ask("www.example")).ttls == [60]
    clock.shift = 20
    assert 36 < ask.now("www.example").ttls[0] <= 40
    clock.shift = 58.5
    assert ask.now("www.example").ttls[0] == 1
    clock.shift = 61
    assert ask.now("www.example") is None
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("ttl", [1, 2, 5, 60, 3600])
async def test_the_same_bytes_may_be_reused_while_they_never_say_more_than_is_left(ask, upstream, ttl):
    """TTLs fall in steps: within one the bytes stay, and what they say is what is left at its end."""
    upstream.answer("www.example.", f"www.example. {ttl} IN A {GOOD}")
    await ask("www.example")
    core = ask.resolver.core
    ((_, entry),) = core.cache
    said = ttl
    for part in range(200):
        age = ttl * part / 200
        core.clock = lambda age=age: entry.at + age
        answered = ask.now("www.example")
        keep = answered.reply.keep
        assert 0 < keep <= min(60, ttl - age) + 1e-6
        assert 1 <= answered.ttls[0] <= said
        assert answered.ttls[0] < ttl - (age + keep) + 1.001  # whole seconds, rounded up
        said = answered.ttls[0]
    core.clock = lambda: entry.at + ttl
    assert ask.now("www.example") is None


async def test_a_life_that_is_a_hair_short_in_binary_counts_as_whole(ask, upstream):
    at = next(at for at in (0.1 * part for part in range(10_000)) if (at + 3600) - at < 3600)
    upstream.answer("www.example.", f"www.example. 3600 IN A {GOOD}")
    await ask("www.example")
    core = ask.resolver.core
    ((key, entry),) = core.cache
    core.cache.put(key, entry._replace(at=at, expires=at + 3600, dies=at + 7200))
    core.clock = lambda: at + 3546
    assert ask.now("www.example").ttls == [1]  # and for 54 seconds: the last step of its life


@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS"])
async def test_2308_a_missing_name_is_kept_for_every_type(ask, upstream, qtype):
    assert (await ask("gone.example", "A")).rcode == "NXDOMAIN"
    assert ask.now("gone.example", qtype).rcode == "NXDOMAIN"
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    ("soa_ttl", "minimum", "kept"),
    [(300, 60, 60), (60, 300, 60), (99_999, 99_999, 3600), (0, 60, 0), (60, 0, 0)],
)
async def test_2308_negative_answers_last_the_lesser_of_soa_ttl_and_minimum_capped(  # noqa: PLR0917
    ask, upstream, clock, soa_ttl, minimum, kept
):
    soa = f"example. {soa_ttl} IN SOA ns.example. h.example. 1 2 3 4 {minimum}"
    upstream.script = lambda ask: ask.reply(authority=(soa,))
    answered = await ask("www.example")
    assert (answered.rcode, answered.data) == ("NOERROR", [])
    if kept:
        assert answered.ttls == [kept]
        clock.shift = kept - 2
        assert ask.now("www.example") is not None
    clock.shift = kept + 1
    assert ask.now("www.example") is None


async def test_2308_without_soa_nothing_is_kept(ask, upstream):
    upstream.script = lambda ask: ask.reply(rcode="NXDOMAIN")
    assert (await ask("www.example")).rcode == "NXDOMAIN"
    assert ask.now("www.example") is None


async def test_2308_an_soa_of_a_strange_zone_does_not_count(ask, upstream):
    upstream.script = lambda ask: ask.missing(zone="other.test.")
    await ask("www.example")
    assert ask.now("www.example") is None


async def test_8020_below_a_missing_name_nothing_is_asked(ask, upstream):
    await ask("gone.example")
    answered = ask.now("a.b.gone.example", "TXT")
    assert (answered.rcode, answered.outcome) == ("NXDOMAIN", "allowed")
    assert answered.ttls[0] <= 60
    assert len(upstream.asked) == 1
    assert ask.now("a.b.gone.example", "TXT", want_dnssec=True) is None
    assert ask.health["nxdomain_cuts"] == 1


async def test_8020_can_be_switched_off(make_asking, upstream):
    asking = await make_asking(upstream, nxdomain_cut=False)
    await asking("gone.example")
    assert asking.now("www.gone.example") is None


async def test_8020_an_exact_answer_goes_before_a_missing_parent(ask, upstream):
    upstream.answer("www.gone.example.", f"www.gone.example. 60 IN A {GOOD}")
    await ask("www.gone.example")
    assert (await ask("gone.example")).rcode == "NXDOMAIN"
    assert ask.now("www.gone.example").data == [GOOD]


async def test_8020_a_block_is_no_cut(ask, upstream, make_view):
    """A name blocked here is not a missing name: another view still gets what is below it."""
    upstream.answer("www.casino.example.", f"www.casino.example. 60 IN A {GOOD}")
    assert ask.now("casino.example").rcode == "NXDOMAIN"
    assert (await ask("www.casino.example", view=make_view(blocked=()))).data == [GOOD]


async def test_2181_ttl_0_is_given_out_but_not_reused(ask, upstream):
    upstream.answer("www.example.", f"www.example. 0 IN A {GOOD}")
    answered = await ask("www.example")
    assert (answered.data, answered.ttls, answered.reply.keep) == ([GOOD], [0], 0)
    assert ask.now("www.example") is None


async def test_2181_a_ttl_with_the_high_bit_counts_as_0(ask, upstream):
    def script(ask):
        wire = bytearray(good(ask).to_wire())
        at = wire.index((60).to_bytes(4, "big"))
        wire[at] = 0x80
        return bytes(wire)

    upstream.script = script
    assert (await ask("www.example")).ttls == [0]
    assert ask.now("www.example") is None


@pytest.mark.parametrize("max_ttl", [100, DAY])
async def test_ghost_domains_a_huge_ttl_is_capped(make_asking, upstream, clock, max_ttl):
    asking = await make_asking(upstream, max_ttl=max_ttl)
    upstream.answer("www.example.", f"www.example. 2147483647 IN A {GOOD}")
    assert (await asking("www.example")).ttls == [max_ttl]
    clock.shift = max_ttl + 1
    assert asking.now("www.example") is None


async def test_ghost_domains_a_hit_never_extends_an_entry(ask, upstream, clock):
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    await ask("www.example")
    for second in range(1, 60, 7):
        clock.shift = second
        assert ask.now("www.example").data == [GOOD]
    clock.shift = 61
    assert ask.now("www.example") is None


async def test_a_shortest_ttl_may_be_set_but_not_for_ttl_0(make_asking, upstream, clock):
    asking = await make_asking(upstream, min_ttl=30)
    upstream.answer("short.example.", f"short.example. 5 IN A {GOOD}")
    upstream.answer("none.example.", f"none.example. 0 IN A {GOOD}")
    await asking("short.example")
    await asking("none.example")
    clock.shift = 20
    assert asking.now("short.example").ttls == [0]
    assert asking.now("none.example") is None
    clock.shift = 31
    assert asking.now("short.example") is None


async def test_do_and_cd_are_part_of_the_key(ask, upstream):
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    await ask("www.example")
    assert ask.now("www.example", want_dnssec=True) is None
    await ask("www.example", want_dnssec=True)
    await ask("www.example", flags=0x0110)
    assert len(upstream.asked) == 3
    assert ask.now("www.example", want_dnssec=True).data == [GOOD]


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("asks", [{}, {"flags": 0x0120}, {"want_dnssec": True}])
async def test_6840_ad_only_from_a_trusted_upstream_to_who_asks_for_it(
    make_asking, make_upstream, trusted, asks
):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 60 IN A {GOOD}", ad=True))
    asking = await make_asking(upstream, trusted_ad=trusted)
    for _ in range(2):  # fetched, then from the cache
        assert (await asking("www.example", **asks)).has("AD") == (trusted and bool(asks))


async def test_no_ad_on_what_is_made_here(make_asking, upstream):
    asking = await make_asking(upstream, trusted_ad=True)
    for name in ("casino.example", "localhost", "x.invalid", "mask.icloud.com"):
        assert not asking.now(name, flags=0x0120, want_dnssec=True).has("AD")


async def test_only_the_chain_is_kept(ask, upstream):
    upstream.script = lambda ask: ask.reply(
        f"{ask.name} 60 IN A {GOOD}",
        "bank.example. 60 IN A 203.0.113.66",
        authority=("example. 60 IN NS ns.evil.example.",),
        additional=("ns.evil.example. 60 IN A 203.0.113.66",),
    )
    answered = await ask("www.example")
    assert answered.data == [GOOD]
    assert (answered.message.authority, answered.message.additional) == ([], [])
    assert ask.now("www.example").data == [GOOD]
    assert ask.now("bank.example") is None


@pytest.mark.parametrize(
    ("steps", "rcode"), [(11, "NOERROR"), (12, "NOERROR"), (13, "SERVFAIL"), (40, "SERVFAIL")]
)
async def test_a_chain_has_at_most_12_aliases(ask, upstream, steps, rcode):
    owners = ["www.example.", *(f"n{number}.example." for number in range(steps))]
    chain = [f"{one} 60 IN CNAME {two}" for one, two in itertools.pairwise(owners)]
    upstream.script = lambda ask: ask.reply(*chain, f"{owners[-1]} 60 IN A {GOOD}")
    answered = await ask("www.example")
    assert answered.rcode == rcode
    assert answered.codes == ([24] if rcode == "SERVFAIL" else [])


async def test_a_loop_of_aliases_is_a_failure(ask, upstream):
    upstream.script = lambda ask: ask.reply(
        "www.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME www.example."
    )
    assert (await ask("www.example")).rcode == "SERVFAIL"
    assert ask.health["bad_chains"] == 1


async def test_the_clock_of_the_wall_does_not_matter(ask, upstream, monkeypatch):
    upstream.answer("www.example.", f"www.example. 600 IN A {GOOD}")
    await ask("www.example")
    year = 365 * DAY
    real = time.time
    for jump in (year, -year):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        assert ask.now("www.example").ttls[0] > 500


@pytest.fixture
async def aged(make_asking, upstream, clock):
    """A resolver that knows two answers, past their time, before an upstream that fell silent."""
    asking = await make_asking(upstream, **QUICK)
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    await asking("www.example")
    await asking("gone.example")
    clock.shift = 1000
    upstream.script = silent
    return asking


async def test_8767_a_stale_answer_when_nothing_comes(aged):
    answered = await aged("www.example")
    assert (answered.outcome, answered.rcode, answered.data) == ("stale", "NOERROR", [GOOD])
    assert answered.ttls == [30]
    assert answered.codes == [3]
    assert answered.reply.keep == 0
    assert aged.health["stale_answers"] == 1


async def test_8767_a_stale_nxdomain_says_so(aged):
    answered = await aged("gone.example")
    assert (answered.outcome, answered.rcode, answered.codes) == ("stale", "NXDOMAIN", [19])


async def test_8767_the_fetch_goes_on_behind_a_stale_answer(make_asking, upstream, clock, until):
    asking = await make_asking(upstream, deadline=0.3, stale_after=0.1, fetch_timeout=5)
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    await asking("www.example")
    clock.shift = 1000
    release = asyncio.Event()

    async def slow(ask):
        await release.wait()
        return ask.reply(f"{ask.name} 60 IN A {NEW}")

    upstream.script = slow
    assert (await asking("www.example")).data == [GOOD]
    release.set()
    await until(lambda: not asking.health["flights"])
    answered = asking.now("www.example")
    assert (answered.outcome, answered.data) == ("allowed", [NEW])


async def test_8767_a_fresh_answer_in_time_is_never_replaced_by_a_stale_one(aged, upstream):
    upstream.script = lambda ask: ask.reply(f"{ask.name} 60 IN A {NEW}")
    answered = await aged("www.example")
    assert (answered.outcome, answered.data, answered.codes) == ("allowed", [NEW], [])


async def test_8767_stale_at_once_while_the_failure_is_remembered(aged, upstream, until):
    await aged("www.example")
    await until(lambda: not aged.health["flights"])
    before = len(upstream.asked)
    assert aged.now("www.example").outcome == "stale"
    assert len(upstream.asked) == before


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_8767_stale_when_the_upstream_fails(aged, upstream, rcode):
    upstream.script = lambda ask: ask.reply(rcode=rcode)
    assert (await aged("www.example")).outcome == "stale"


async def test_bogus_is_never_covered_by_a_stale_answer(aged, upstream):
    upstream.script = lambda ask: ask.reply(rcode="SERVFAIL", ede=(6, "bogus"))
    answered = await aged("www.example")
    assert (answered.rcode, answered.codes) == ("SERVFAIL", [6])
    assert aged.now("www.example").rcode == "SERVFAIL"


async def test_8767_no_longer_than_the_limit(aged, clock):
    clock.shift = 60 + DAY + 1
    assert (await aged("www.example")).rcode == "SERVFAIL"


async def test_8767_can_be_switched_off(make_asking, upstream, clock):
    asking = await make_asking(upstream, stale_for=0, **QUICK)
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    await asking("www.example")
    clock.shift = 61
    upstream.script = silent
    assert (await asking("www.example")).outcome == "failed"


async def test_policy_is_applied_again_on_stale_answers(aged, make_view):
    strict = make_view(block=("www.example",))
    assert (await aged("www.example", view=strict)).outcome == "blocked"


async def test_targets_are_decided_again_on_stale_answers(make_asking, upstream, clock, make_view):
    asking = await make_asking(upstream, **QUICK)
    upstream.answer(
        "www.example.", "www.example. 60 IN CNAME casino.example.", f"casino.example. 60 IN A {GOOD}"
    )
    teachers = make_view(blocked=())
    await asking("www.example", view=teachers)
    clock.shift = 1000
    upstream.script = silent
    assert GOOD in (await asking("www.example", view=teachers)).data
    assert (await asking("www.example")).outcome == "blocked"


async def test_private_addresses_are_dropped_from_stale_answers(make_asking, upstream, clock, make_view):
    asking = await make_asking(upstream, **QUICK)
    upstream.answer("nas.example.", "nas.example. 60 IN A 10.0.0.1")
    open_view = make_view(rebinding_allow=frozenset((b"\x03nas\x07example\x00",)))
    assert (await asking("nas.example", view=open_view)).data == ["10.0.0.1"]
    clock.shift = 1000
    upstream.script = silent
    assert (await asking("nas.example", view=open_view)).outcome == "stale"
    assert (await asking("nas.example")).data == []


async def test_9520_a_failure_is_remembered(make_asking, make_upstream):
    upstream = await make_upstream(lambda ask: ask.reply(rcode="SERVFAIL", ede=(9, "no key")))
    asking = await make_asking(upstream)
    await asking("www.example")
    again = asking.now("www.example")
    assert (again.rcode, again.errors) == ("SERVFAIL", [(9, "no key")])
    assert len(upstream.asked) == 1


async def test_9520_and_forgotten_after_a_while(make_asking, make_upstream, clock):
    upstream = await make_upstream(lambda ask: ask.reply(rcode="SERVFAIL"))
    asking = await make_asking(upstream)
    await asking("www.example")
    clock.shift = 1.1
    assert asking.now("www.example") is None
    upstream.script = good
    assert (await asking("www.example")).data == [GOOD]


async def test_rd_0_gets_what_is_cached_and_nothing_else(ask, upstream):
    upstream.answer("www.example.", f"www.example. 60 IN A {GOOD}")
    assert (await ask("www.example", rd=False)).rcode == "REFUSED"
    assert not upstream.asked
    await ask("www.example")
    answered = await ask("www.example", rd=False)
    assert (answered.data, answered.has("RD"), answered.has("RA")) == ([GOOD], False, True)


async def test_8767_rd_0_gets_no_stale_answer_and_starts_no_fetch(aged, upstream):
    before = len(upstream.asked)
    assert (await aged("www.example", rd=False)).rcode == "REFUSED"
    assert len(upstream.asked) == before

"""Slow, dead, flapping, unwilling and lying upstreams: another one answers, and tries are bounded."""

from __future__ import annotations

import asyncio

import pytest

from filterd.resolver import fetch

GOOD, OTHER = "198.51.100.1", "198.51.100.2"
QUICK = {"deadline": 0.5, "stale_after": 0.4, "fetch_timeout": 0.6}


def good(ask):
    return ask.reply(f"{ask.name} 300 IN A {GOOD}")


def other(ask):
    return ask.reply(f"{ask.name} 300 IN A {OTHER}")


def silent(_ask):
    return None


def failing(rcode):
    return lambda ask: ask.reply(rcode=rcode)


async def test_another_upstream_is_asked_when_the_first_is_silent(make_asking, make_upstream):
    first, second = await make_upstream(silent), await make_upstream(good)
    asking = await make_asking(first, second)
    assert (await asking("www.example")).data == [GOOD]
    assert len(first.asked) == 1


async def test_another_upstream_is_asked_at_once_when_the_first_port_is_closed(
    make_asking, make_upstream, closed_port
):
    asking = await make_asking(closed_port, await make_upstream(good))
    assert (await asking("www.example")).data == [GOOD]
    assert asking.health["upstream_0_lost"] == 1


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "NOTAUTH"])
async def test_another_upstream_is_asked_when_the_first_fails(make_asking, make_upstream, rcode):
    first, second = await make_upstream(failing(rcode)), await make_upstream(good)
    asking = await make_asking(first, second)
    answered = await asking("www.example")
    assert (answered.rcode, answered.data) == ("NOERROR", [GOOD])
    assert len(first.asked) == 1


async def test_nxdomain_is_an_answer_not_a_failure(make_asking, make_upstream):
    first, second = await make_upstream(lambda ask: ask.missing()), await make_upstream(good)
    asking = await make_asking(first, second)
    assert (await asking("www.example")).rcode == "NXDOMAIN"
    assert not second.asked


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP"])
async def test_a_failure_of_all_is_passed_on_as_it_is(make_asking, make_upstream, rcode):
    asking = await make_asking(await make_upstream(failing(rcode)), await make_upstream(failing(rcode)))
    answered = await asking("www.example")
    assert (answered.rcode, answered.outcome) == (rcode, "failed")


async def test_servfail_and_its_extended_error_are_never_rewritten(make_asking, make_upstream):
    asking = await make_asking(
        await make_upstream(lambda ask: ask.reply(rcode="SERVFAIL", ede=(22, "none left")))
    )
    answered = await asking("www.example")
    assert answered.rcode == "SERVFAIL"
    assert answered.errors == [(22, "none left")]
    assert not answered.message.authority


async def test_bogus_is_final_and_no_other_upstream_papers_over_it(make_asking, make_upstream):
    bogus = await make_upstream(lambda ask: ask.reply(rcode="SERVFAIL", ede=(6, "signature expired")))
    lenient = await make_upstream(good)
    asking = await make_asking(bogus, lenient)
    answered = await asking("www.example")
    assert answered.rcode == "SERVFAIL"
    assert answered.errors == [(6, "signature expired")]
    assert not lenient.asked
    assert asking.health["fetch_bogus"] == 1


async def test_9520_at_most_three_tries_per_upstream(make_asking, make_upstream, monkeypatch):
    monkeypatch.setattr(fetch, "LONGEST_WAIT", 0.05)  # the pauses between tries, not their number
    first, second = await make_upstream(silent), await make_upstream(silent)
    asking = await make_asking(first, second, fetch_timeout=1, deadline=1, stale_after=1)
    assert (await asking("www.example")).rcode == "SERVFAIL"
    for upstream in (first, second):
        assert [name for name, *_ in upstream.questions if name != "."] == ["www.example."] * 3


async def test_a_slow_answer_to_an_early_try_still_counts(make_asking, make_upstream):
    async def script(ask):
        if len(ask.upstream.asked) > 1:
            return None
        await asyncio.sleep(0.9)  # well after the second try was sent
        return good(ask)

    upstream = await make_upstream(script)
    asking = await make_asking(upstream)
    assert (await asking("www.example")).data == [GOOD]
    assert len(upstream.asked) > 1


async def test_hedging_the_second_upstream_answers_while_the_first_is_slow(make_asking, make_upstream):
    async def slow(ask):
        await asyncio.sleep(5)
        return other(ask)

    first, second = await make_upstream(good), await make_upstream(good)
    asking = await make_asking(first, second)
    for number in range(4):  # both get measured
        await asking(f"n{number}.example")
    first.script = second.script = slow
    quick = asking.resolver.forwarder.upstreams[1]
    quick.srtt, asking.resolver.forwarder.upstreams[0].srtt = 0.02, 0.001
    second.script = good
    assert (await asking("www.example")).data == [GOOD]
    assert (len(first.asked) > 0, second.questions[-1][0]) == (True, "www.example.")


async def test_an_upstream_that_is_busy_with_a_name_is_not_pressed(make_asking, make_upstream):
    async def script(ask):
        if ask.name == "slow.example.":
            await asyncio.sleep(0.15)
        return good(ask)

    upstream = await make_upstream(script)
    asking = await make_asking(upstream)
    for number in range(20):  # a fast upstream: its usual time is a few milliseconds
        await asking(f"n{number}.example")
    assert (await asking("slow.example")).data == [GOOD]
    assert [name for name, *_ in upstream.questions].count("slow.example.") == 1


async def test_a_flapping_upstream_costs_no_answer(make_asking, make_upstream):
    def flapping(ask):
        return None if len(ask.upstream.asked) % 10 < 7 else good(ask)

    asking = await make_asking(await make_upstream(flapping), await make_upstream(good))
    for number in range(40):
        assert (await asking(f"n{number}.example")).data == [GOOD]


async def test_an_upstream_that_refuses_everything_goes_last(make_asking, make_upstream):
    first, second = await make_upstream(failing("REFUSED")), await make_upstream(good)
    asking = await make_asking(first, second)
    for number in range(30):
        assert (await asking(f"n{number}.example")).data == [GOOD]
    assert len(first.asked) < 10


async def test_no_upstream_at_all(make_asking):
    answered = await (await make_asking())("www.example")
    assert (answered.rcode, answered.outcome, answered.codes) == ("SERVFAIL", "failed", [22])


async def test_all_dead_servfail_with_22_and_blocking_goes_on(make_asking, dead_port):
    asking = await make_asking(dead_port, **QUICK)
    answered = await asking("www.example")
    assert (answered.rcode, answered.outcome, answered.codes) == ("SERVFAIL", "failed", [22])
    assert asking.now("casino.example").outcome == "blocked"
    assert asking.now("localhost").data == ["127.0.0.1"]


async def test_a_closed_port_servfail_with_23(make_asking, closed_port):
    answered = await (await make_asking(closed_port))("www.example")
    assert (answered.rcode, answered.codes) == ("SERVFAIL", [23])


async def test_a_fault_while_asking_ends_the_fetch(make_asking, make_upstream, monkeypatch):
    asking = await make_asking(await make_upstream(good))
    monkeypatch.setattr(asking.resolver.forwarder, "new", lambda *_, **__: 1 / 0)
    assert (await asking("www.example")).rcode == "SERVFAIL"
    monkeypatch.undo()
    assert asking.health["flights"] == 0
    assert (await asking("other.example")).data == [GOOD]

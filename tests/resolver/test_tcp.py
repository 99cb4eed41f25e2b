"""Upstreams over TCP: for answers that do not fit, over kept connections, in any order."""

from __future__ import annotations

import asyncio
import random

import dns.rrset
import pytest

from filterd.resolver import tcp

TRUE = "198.51.100.1"
LARGE = " | ".join(f'"{number:02d}{"x" * 200}"' for number in range(30))


def cut_over_udp(ask):
    if ask.transport == "udp":
        return ask.reply(f"{ask.name} 300 IN A 203.0.113.66", tc=True)
    return ask.reply(f"{ask.name} 300 IN A {TRUE}")


async def test_a_truncated_answer_is_asked_for_again_over_tcp_and_never_used(make_asking, make_upstream):
    upstream = await make_upstream(cut_over_udp)
    asking = await make_asking(upstream)
    assert (await asking("cut.example")).data == [TRUE]
    assert asking.now("cut.example").data == [TRUE]
    assert [ask.transport for ask in upstream.asked] == ["udp", "tcp"]


async def test_one_connection_serves_many_questions(make_asking, make_upstream):
    upstream = await make_upstream(cut_over_udp)
    asking = await make_asking(upstream)
    answers = await asyncio.gather(*(asking(f"n{number}.example") for number in range(40)))
    assert {tuple(answered.data) for answered in answers} == {(TRUE,)}
    assert upstream.connections == 1


async def test_answers_may_come_in_any_order(make_asking, make_upstream):
    async def script(ask):
        if ask.transport == "udp":
            return ask.reply(tc=True)
        await asyncio.sleep(random.Random(ask.name).random() / 10)
        return ask.reply(f'{ask.name} 300 IN TXT "{ask.name}"')

    asking = await make_asking(await make_upstream(script))
    answers = await asyncio.gather(*(asking(f"n{number}.example", "TXT") for number in range(20)))
    assert [answered.data for answered in answers] == [[f'"n{number}.example."'] for number in range(20)]


async def test_large_answers_come_whole(make_asking, make_upstream):
    upstream = await make_upstream(
        lambda ask: (
            ask.reply(tc=True) if ask.transport == "udp" else ask.reply(f"{ask.name} 300 IN TXT {LARGE}")
        )
    )
    asking = await make_asking(upstream)
    answered = await asking("large.example", "TXT", transport="tcp")
    assert len(answered.data) == 30
    assert len(answered.reply.packet) > 6000


async def test_a_closed_connection_is_opened_anew(make_asking, make_upstream):
    upstream = await make_upstream(cut_over_udp)
    asking = await make_asking(upstream)
    await asking("first.example")
    for writer in list(upstream._writers):
        writer.close()
    await asyncio.sleep(0.05)
    assert (await asking("second.example")).data == [TRUE]
    assert upstream.connections == 2


async def test_an_idle_connection_is_closed(make_asking, make_upstream, monkeypatch, until):
    monkeypatch.setattr(tcp, "IDLE", 0.05)
    upstream = await make_upstream(cut_over_udp)
    asking = await make_asking(upstream)
    await asking("first.example")
    await until(lambda: not upstream._writers)
    assert (await asking("second.example")).data == [TRUE]


async def test_an_upstream_that_drops_every_connection_is_asked_three_times(make_asking, make_upstream):
    upstream = await make_upstream(cut_over_udp)
    upstream.on_tcp = False
    asking = await make_asking(upstream)
    answered = await asking("cut.example")
    assert answered.rcode == "SERVFAIL"
    assert answered.codes == [23]
    assert upstream.connections == 3


async def test_cut_short_even_over_tcp_is_a_failure(make_asking, make_upstream):
    asking = await make_asking(await make_upstream(lambda ask: ask.reply(tc=True)))
    assert (await asking("cut.example")).rcode == "SERVFAIL"


def wrong_id(ask):
    reply = ask.reply(f"{ask.name} 300 IN A 203.0.113.66")
    reply.id ^= 1
    return reply


def wrong_question(ask):
    reply = ask.reply(f"{ask.name} 300 IN A 203.0.113.66")
    reply.question = [dns.rrset.from_text("other.example.", 0, "IN", "A")]
    return reply


@pytest.mark.parametrize("lie", [wrong_id, wrong_question])
async def test_a_wrong_reply_is_dropped_and_the_wait_goes_on(make_asking, make_upstream, lie):
    def script(ask):
        if ask.transport == "udp":
            return ask.reply(tc=True)
        ask.send(lie(ask))
        return ask.reply(f"{ask.name} 300 IN A {TRUE}")

    asking = await make_asking(await make_upstream(script))
    assert (await asking("wrong.example")).data == [TRUE]
    assert asking.health["spoof_drops"] == 1


@pytest.mark.parametrize("garbage", [b"\x00\x01", b"\xff" * 100, b""])
async def test_garbage_on_a_stream_ends_in_a_failure_not_in_a_fault(make_asking, make_upstream, garbage):
    asking = await make_asking(
        await make_upstream(lambda ask: ask.reply(tc=True) if ask.transport == "udp" else garbage),
        deadline=0.5,
        stale_after=0.4,
        fetch_timeout=0.6,
    )
    assert (await asking("garbage.example")).rcode == "SERVFAIL"
    assert asking.health["faults"] == 0


async def test_a_connection_without_answers_is_given_up(make_asking, make_upstream, monkeypatch, until):
    monkeypatch.setattr(tcp, "STALLED", 0.01)
    silent = True

    def script(ask):
        if ask.transport == "udp":
            return ask.reply(tc=True)
        return None if silent else ask.reply(f"{ask.name} 300 IN A {TRUE}")

    upstream = await make_upstream(script)
    asking = await make_asking(upstream, deadline=0.2, stale_after=0.1, fetch_timeout=0.2)
    assert (await asking("first.example")).rcode == "SERVFAIL"
    await until(lambda: not asking.health["flights"])
    silent = False
    assert (await asking("second.example")).data == [TRUE]
    assert upstream.connections == 2


async def test_questions_on_one_connection_are_bounded(make_asking, make_upstream, monkeypatch):
    monkeypatch.setattr(tcp, "MAX_PIPELINED", 3)

    async def script(ask):
        if ask.transport == "udp":
            return ask.reply(tc=True)
        await asyncio.sleep(0.1)
        return ask.reply(f"{ask.name} 300 IN A {TRUE}")

    asking = await make_asking(await make_upstream(script))
    answers = await asyncio.gather(*(asking(f"n{number}.example") for number in range(6)))
    assert sorted(answered.rcode for answered in answers) == ["NOERROR"] * 3 + ["SERVFAIL"] * 3

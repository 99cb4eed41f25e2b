"""Slow, flapping, lying, truncating upstreams beside a good one: nobody waits long, nothing false is kept."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import _figures
import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from _ask import ask
from _scripted_upstream import ScriptedUpstream, honest, truth

NAMES = 60
VICTIM = dns.name.from_text("victim.example")


async def right(talk):
    talk.say(honest(talk.query))


async def slow(talk):
    await asyncio.sleep(1.2)
    talk.say(honest(talk.query))


def make_flapping():
    """There for ten questions, gone for ten."""
    counter = itertools.count()

    async def flapping(talk):
        if next(counter) // 10 % 2:
            talk.say(honest(talk.query))

    return flapping


async def lying(talk):
    """Tell what was not asked with the right answer; over UDP, as a forger could, before it as well."""
    query = talk.query
    name = query.question[0].name
    if name == VICTIM:
        talk.say(honest(query))
        return
    if not talk.stream:
        forge(talk)
    reply = honest(query)
    poison = dns.rrset.from_text("victim.example.", 300, "IN", "A", "203.0.113.66")
    reply.answer.append(poison)
    reply.additional.append(poison)
    reply.authority.append(dns.rrset.from_text("example.", 300, "IN", "NS", "victim.example."))
    talk.say(reply)


def forge(talk):
    query = talk.query
    lie = honest(query)
    lie.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", "203.0.113.66")]
    lie.id = query.id ^ 1
    talk.say(lie)
    other = dns.message.make_query("victim.example", "A", id=query.id)
    wrong_question = dns.message.make_response(other)
    wrong_question.answer = [dns.rrset.from_text("victim.example.", 300, "IN", "A", "203.0.113.66")]
    talk.say(wrong_question)
    talk.say(b"\x00" * 40)
    talk.say(query.to_wire())  # the question itself, QR=0


async def truncating(talk):
    """Cut everything short, over TCP too."""
    reply = dns.message.make_response(talk.query)
    reply.flags |= dns.flags.TC
    talk.say(reply)


async def truncating_udp(talk):
    """Everything is too large for UDP."""
    if talk.stream:
        talk.say(honest(talk.query))
    else:
        await truncating(talk)


BAD = {
    "slow": lambda: slow,
    "flapping": make_flapping,
    "lying": lambda: lying,
    "truncating": lambda: truncating,
    "truncating over UDP": lambda: truncating_udp,
}


@pytest.mark.parametrize("kind", BAD)
def test_beside_a_good_upstream_every_answer_is_right(start, kind):
    with ScriptedUpstream(BAD[kind]()) as bad, ScriptedUpstream(right) as good:
        product = start({"upstreams": [bad.address, good.address]})
        waits = []
        for number in range(NAMES):
            name = f"n{number}.upstreams.example"
            began = time.monotonic()
            assert ask(product.v4, name).data == [truth(name)], name
            waits.append(time.monotonic() - began)
        assert ask(product.v4, "victim.example").data == [truth("victim.example")]
        assert bad.asked, "the bad one was never asked: nothing was tested"
    waits.sort()
    _figures.note(f"{kind} upstream beside a good one", p50_s=waits[NAMES // 2], p99_s=waits[-1])


@pytest.mark.parametrize("kind", ["slow", "lying", "truncating over UDP"])
def test_alone_it_is_borne(start, kind):
    """What can be answered is answered right; many wait together and no lie is kept."""
    with ScriptedUpstream(BAD[kind]()) as bad:
        product = start({"upstreams": [bad.address]})
        names = [f"n{number}.alone.example" for number in range(40)]
        answers = {}

        def look_up(name):
            answers[name] = ask(product.v4, name).data

        threads = [threading.Thread(target=look_up, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == {name: [truth(name)] for name in names}
        assert ask(product.v4, "victim.example").data == [truth("victim.example")]


def test_alone_and_useless_it_is_told_as_a_failure(start):
    with ScriptedUpstream(truncating) as bad:
        product = start({"upstreams": [bad.address]})
        answer = ask(product.v4, "nothing.example")
        assert answer.rcode == "SERVFAIL"
        assert not answer.data
        assert ask(product.v4, "1xbet.com").blocked

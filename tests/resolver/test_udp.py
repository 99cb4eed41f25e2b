"""Lies over UDP: what does not fit is dropped, counted, and the wait goes on (RFC 5452, TuDoor)."""

from __future__ import annotations

import asyncio
import errno
import math
import random
import resource
from collections import Counter

import dns.message
import dns.name
import dns.rrset
import pytest

from filterd.resolver import udp
from filterd.resolver.asked import Asked
from filterd.resolver.dice import Dice
from filterd.resolver.udp import MAX_WRONG, UdpPorts
from filterd.resolver.upstream import Upstream
from filterd.wire.answer import parse_answer

TRUE, FORGED = "198.51.100.1", "203.0.113.66"
NAME = "www.spoof.example"


def honest(ask):
    return ask.reply(f"{ask.name} 300 IN A {TRUE}")


def forged(ask):
    return ask.reply(f"{ask.name} 300 IN A {FORGED}")


def wrong_id(ask):
    reply = forged(ask)
    reply.id = (reply.id + 1) % 65536
    return reply


def wrong_question(ask):
    reply = forged(ask)
    reply.question = [dns.rrset.from_text("other.example.", 0, "IN", "A")]
    return reply


def wrong_type(ask):
    reply = forged(ask)
    reply.question = [dns.rrset.from_text(ask.name, 0, "IN", "AAAA")]
    return reply


def wrong_class(ask):
    reply = forged(ask)
    reply.question = [dns.rrset.from_text(ask.name, 0, "CH", "A")]
    return reply


def no_question(ask):
    reply = forged(ask)
    reply.question = []
    return reply


def two_questions(ask):
    reply = forged(ask)
    reply.question.append(dns.rrset.from_text("other.example.", 0, "IN", "A"))
    return reply


def not_a_reply(ask):
    return ask.raw


def other_opcode(ask):
    wire = bytearray(forged(ask).to_wire())
    wire[2] |= 0x28
    return bytes(wire)


def header_only(ask):
    return forged(ask).to_wire()[:12]


def one_byte(_ask):
    return b"\x00"


def garbage(_ask):
    return random.Random(7).randbytes(400)


LIES = [
    wrong_id,
    wrong_question,
    wrong_type,
    wrong_class,
    no_question,
    two_questions,
    not_a_reply,
    other_opcode,
    header_only,
    one_byte,
    garbage,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_5452_a_wrong_reply_is_dropped_and_the_right_one_taken(make_asking, make_upstream, lie):
    def script(ask):
        ask.send(lie(ask))
        return honest(ask)

    upstream = await make_upstream(script)
    asking = await make_asking(upstream)
    answered = await asking(NAME)
    assert answered.data == [TRUE]
    assert asking.health["spoof_drops"] == 1
    assert asking.now(NAME).data == [TRUE]
    assert len(upstream.asked) == 1


def cut_record(ask):
    return honest(ask).to_wire()[:-3]


def more_counted(ask):
    wire = bytearray(honest(ask).to_wire())
    wire[7] = 9
    return bytes(wire)


def pointer_loop(ask):
    wire = bytearray(honest(ask).to_wire())
    end = 12 + len(ask.message.question[0].name.to_wire()) + 4
    wire[end : end + 2] = (0xC000 | end).to_bytes(2, "big")
    return bytes(wire)


@pytest.mark.parametrize("lie", [cut_record, more_counted, pointer_loop], ids=lambda lie: lie.__name__)
async def test_a_malformed_reply_is_dropped_and_the_wait_goes_on(make_asking, make_upstream, lie):
    def script(ask):
        ask.send(lie(ask))
        return honest(ask)

    asking = await make_asking(await make_upstream(script))
    assert (await asking(NAME)).data == [TRUE]
    assert asking.health["malformed_replies"] == 1


async def test_a_reply_from_another_source_is_never_seen(make_asking, make_upstream):
    async def script(ask):
        ask.send_from_elsewhere(forged(ask), ask.peer)
        await asyncio.sleep(0.02)
        return honest(ask)

    asking = await make_asking(await make_upstream(script))
    assert (await asking(NAME)).data == [TRUE]
    assert asking.health["spoof_drops"] == 0  # the kernel let nothing through: the socket is connected


async def test_a_flood_of_wrong_replies_moves_the_question_to_tcp(make_asking, make_upstream):
    def script(ask):
        if ask.transport == "tcp":
            return honest(ask)
        for _ in range(MAX_WRONG):
            ask.send(wrong_id(ask))
        return forged(ask)  # even a reply that fits comes too late now

    asking = await make_asking(await make_upstream(script))
    assert (await asking(NAME)).data == [TRUE]
    assert asking.health["doubted"] == 1
    assert asking.health["spoof_drops"] == MAX_WRONG


async def test_0x20_an_upstream_that_loses_the_case_is_asked_over_tcp(make_asking, make_upstream):
    def script(ask):
        if ask.transport == "tcp":
            return honest(ask)
        reply = forged(ask)
        reply.question[0].name = dns.name.from_text(ask.name)
        return reply

    upstream = await make_upstream(script)
    asking = await make_asking(upstream)
    assert (await asking("a-long-name-with-many-letters.example")).data == [TRUE]
    assert [ask.transport for ask in upstream.asked] == ["udp", "tcp"]


async def test_0x20_can_be_switched_off(make_asking, make_upstream):
    upstream = await make_upstream(honest)
    asking = await make_asking(upstream, use_0x20=False)
    await asking("a-long-name-with-many-letters.example")
    assert upstream.asked[0].message.question[0].name.to_text() == "a-long-name-with-many-letters.example."


async def test_ids_ports_and_case_are_random(make_asking, make_upstream):
    upstream = await make_upstream()
    seen = []

    def script(ask):
        seen.append((ask.message.id, ask.peer[1], ask.message.question[0].name.to_text()))
        return honest(ask)

    upstream.script = script
    asking = await make_asking(upstream)
    for number in range(300):
        await asking(f"abcdefghijklmnop{number}.example")
    for position, spread in ((0, 65536), (1, 28000)):
        values = Counter(entry[position] for entry in seen)
        expected = 300 - 300 * 300 / (2 * spread)  # birthday bound on distinct values
        assert len(values) > expected - 12
    steps = {seen[number + 1][1] - seen[number][1] for number in range(299)}
    assert len(steps) > 200  # ports do not just count up
    letters = "".join(entry[2] for entry in seen)
    upper = sum(letter.isupper() for letter in letters)
    total = sum(letter.isalpha() for letter in letters)
    assert abs(upper / total - 0.5) < 4 * 0.5 / math.sqrt(total)


async def test_queries_of_one_moment_share_a_port_each_with_its_own_id(make_asking, make_upstream):
    seen = []

    def script(ask):
        seen.append((ask.peer[1], ask.message.id))
        return honest(ask)

    asking = await make_asking(await make_upstream(script))
    answers = await asyncio.gather(*(asking(f"n{number}.example") for number in range(200)))
    assert {tuple(answered.data) for answered in answers} == {(TRUE,)}
    assert 200 / 64 <= len({port for port, _ in seen}) < 200
    assert len(set(seen)) == len(seen) >= 200  # on a busy machine some are asked again, with another id
    before = {port for port, _ in seen}
    await asking("later.example")
    assert seen[-1][0] not in before  # a port serves one moment only


async def test_wrong_replies_at_a_shared_port_move_all_its_questions_to_tcp(make_asking, make_upstream):
    def script(ask):
        if ask.transport == "tcp":
            return honest(ask)
        for number in range(MAX_WRONG):
            reply = forged(ask)
            reply.id = (reply.id + 1 + number * 997) % 65536
            ask.send(reply)
        return None

    upstream = await make_upstream(script)
    asking = await make_asking(upstream)
    answers = await asyncio.gather(*(asking(f"n{number}.example") for number in range(5)))
    assert {tuple(answered.data) for answered in answers} == {(TRUE,)}
    assert asking.health["doubted"] == 5


async def test_late_answers_at_a_shared_port_are_no_attack(make_asking, make_upstream):
    """Many questions of one moment, answered meanwhile by another upstream: its late answers are harmless."""

    async def slow(ask):
        await asyncio.sleep(1.0 if ask.name == "last.example." else 0.7)
        return honest(ask)

    def second_script(ask):
        return None if ask.name == "last.example." else honest(ask)

    asking = await make_asking(await make_upstream(slow), await make_upstream(second_script))
    answers = await asyncio.gather(
        *(asking(name) for name in ["last.example", *(f"n{number}.example" for number in range(30))])
    )
    assert {tuple(answered.data) for answered in answers} == {(TRUE,)}
    assert asking.health["late_replies"] >= 30
    assert (asking.health["doubted"], asking.health["spoof_drops"]) == (0, 0)


async def test_every_socket_is_closed_when_its_question_ends(make_asking, make_upstream):
    asking = await make_asking(await make_upstream(honest))
    await asyncio.gather(*(asking(f"n{number}.example") for number in range(50)))
    assert asking.health["udp_sockets"] == 0


RICH = (
    "{name} 300 IN CNAME b.fuzz.example.",
    "b.fuzz.example. 300 IN HTTPS 1 c.fuzz.example. alpn=h2 ipv4hint=198.51.100.1 ipv6hint=2001:db8::1",
    "b.fuzz.example. 300 IN A 198.51.100.1 | 198.51.100.2",
    "fuzz.example. 300 IN DNAME other.example.",
    'b.fuzz.example. 300 IN TXT "x" "y"',
)


def mutated(rng, wire, start):
    """Return a reply with some bytes changed, cut or added behind its question."""
    wire = bytearray(wire)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(start, len(wire))
        kind = rng.randrange(4)
        if kind == 0:
            wire[at] = rng.randrange(256)
        elif kind == 1:
            wire[at] = rng.choice((0, 0xC0, 0xFF, 0x3F, 0x40))
        elif kind == 2:
            del wire[at : at + rng.randrange(1, 12)]
        else:
            wire[at:at] = rng.randbytes(rng.randrange(1, 12))
        if len(wire) <= start:
            break
    wire[6 : 6 + 6] = rng.choice((wire[6:12], rng.randbytes(6), b"\x00\x03\x00\x01\x00\x01"))
    return bytes(wire)


@pytest.mark.parametrize("seed", range(4))
async def test_no_mutated_reply_makes_a_fault_or_ends_anything(make_asking, make_upstream, seed):
    rng = random.Random(seed)

    def script(ask):
        soa = "example. 300 IN SOA ns.example. h.example. 1 2 3 4 300"
        wire = ask.reply(*(text.format(name=ask.name) for text in RICH), authority=(soa,)).to_wire()
        end = 12 + len(ask.message.question[0].name.to_wire()) + 4
        ask.send(mutated(rng, wire, end))
        return honest(ask)

    asking = await make_asking(await make_upstream(script), rebinding=False)
    for number in range(150):
        qtype = rng.choice(("A", "HTTPS", "TXT", "CNAME", "ANY"))
        request = asking.request_for(f"n{number}.fuzz.example", qtype, transport="tcp")
        for reply in (await asking.resolver.resolve(request), asking.resolver.resolve_now(request)):
            if reply is not None:  # data of a record may be nonsense, but the message is in order
                assert parse_answer(reply.packet).name == request.query.name
    assert asking.health["faults"] == 0
    assert asking.health["flights"] == asking.health["udp_sockets"] == 0


class Silent:
    """A sink that only remembers."""

    def __init__(self):
        self.events = []

    def replied(self, _asked, answer):
        self.events.append(answer)

    def failed(self, _asked, error):
        self.events.append(error)

    def doubted(self, _asked):
        self.events.append("doubted")


def query(address, sink):
    return Asked(Upstream(address, 0), sink, b"\x01a\x00\x00\x01\x00\x01", cd=False, do=False)


async def test_sockets_are_bounded(dead_port, clock):
    ports = UdpPorts(clock, limit=2, dice=Dice())
    ports.open(asyncio.get_running_loop())
    try:
        for _ in range(2):
            ports.ask(query(dead_port, Silent()))
        with pytest.raises(OSError) as caught:
            ports.ask(query(dead_port, Silent()))
        assert caught.value.errno == errno.ENOBUFS
        assert ports.refused_sockets == 1
        assert len(ports) == 2
    finally:
        ports.close()
    assert len(ports) == 0


async def test_a_closed_port_is_told_at_once(closed_port, clock, until):
    ports = UdpPorts(clock, limit=2, dice=Dice())
    ports.open(asyncio.get_running_loop())
    sink = Silent()
    try:
        ports.ask(query(closed_port, sink))
        await until(lambda: sink.events)
    finally:
        ports.close()
    assert isinstance(sink.events[0], ConnectionRefusedError)
    assert len(ports) == 0


async def test_without_descriptors_a_lookup_fails_and_the_next_one_works(make_asking, make_upstream):
    asking = await make_asking(await make_upstream(honest))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        starved = await asking("first.example")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (starved.rcode, starved.outcome) == ("SERVFAIL", "failed")
    assert asking.health["fetch_local"] == 1
    assert asking.health["upstream_0_lost"] == 0  # not the upstream's fault
    assert (await asking("second.example")).data == [TRUE]


async def test_a_fault_in_the_reader_ends_one_question_not_the_loop(make_asking, make_upstream, monkeypatch):
    asking = await make_asking(await make_upstream(honest), deadline=0.2, stale_after=0.1)
    real = udp.parse_answer
    monkeypatch.setattr(udp, "parse_answer", lambda _packet: 1 / 0)
    assert (await asking("first.example")).rcode == "SERVFAIL"
    monkeypatch.setattr(udp, "parse_answer", real)
    assert (await asking("second.example")).data == [TRUE]

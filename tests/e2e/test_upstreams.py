"""Upstreams that are gone, silent, wrong or back again (dns.md, "Faults")."""

from __future__ import annotations

import time

import dns.edns
import dns.message
import dns.rcode
import dns.rrset
import pytest
from _ask import ask, dig, question, read, udp
from _load import Load
from _programs import Server, free_port, until
from _stub import Stub, address

FREE = "198.51.100.7"


def silent(_query):
    return None


@pytest.fixture
def start_before(start, papers):
    def begin(*upstreams, **more):
        return start(papers.config(*upstreams, **more))

    return begin


def still_answers(filterd):
    """What needs no upstream is answered; dig gives up after a second."""
    for name in ("casino.example", "www.casino.example"):
        assert dig(filterd.v4, "+time=1", name).status == "NXDOMAIN"
    assert dig(filterd.v4, "+time=1", "+short", "localhost").text.strip() == "127.0.0.1"
    assert dig(filterd.v4, "+time=1", "use-application-dns.net").status == "NXDOMAIN"


@pytest.mark.parametrize("kind", ["silent", "closed"])
def test_without_any_upstream_blocking_goes_on_and_the_rest_fails_in_time(start_before, stub, kind):
    stub.behaviour = silent
    filterd = start_before(stub.server if kind == "silent" else Server("127.0.0.1", free_port()))
    took = []
    for number in range(4):
        began = time.monotonic()
        answer = ask(filterd.v4, f"name{number}.example")
        took.append(time.monotonic() - began)
        assert answer.rcode == "SERVFAIL"
        assert [code for code, _ in answer.errors] in ([22], [23]), "RFC 8914: nobody could be reached"
        still_answers(filterd)
    if kind == "silent":
        assert answer.errors[0][0] == 22
    assert min(took) < 2.0


def test_many_clients_wait_together_for_a_silent_upstream(start_before, stub):
    stub.behaviour = silent
    filterd = start_before(stub.server)
    with udp(filterd.v4) as sock:
        for number in range(100):
            query = question(f"name{number}.example")
            query.id = number
            sock.send(query.to_wire())
        still_answers(filterd)
        sock.settimeout(20)
        answers = [read(sock.recv(65_535)) for _ in range(100)]
    assert {answer.rcode for answer in answers} == {"SERVFAIL"}
    assert {answer.message.id for answer in answers} == set(range(100))


def test_stale_answers_are_given_while_the_upstream_is_gone(start_before, make_unbound):
    """RFC 8767: TTL 30, EDE 3; and the policy is applied to them as well."""
    upstream = make_unbound()
    filterd = start_before(upstream.server)
    assert ask(filterd.v4, "short.example").data == ["198.51.100.41"]
    assert ask(filterd.v4, "mektep.example").rcode == "NOERROR"
    upstream.stop()
    time.sleep(1.2)  # its TTL is one second
    for _ in range(3):
        answer = ask(filterd.v4, "short.example")
        assert answer.data == ["198.51.100.41"]
        assert answer.ttls == [30]
        assert [code for code, _ in answer.errors] == [3]
    fresh = ask(filterd.v4, "mektep.example")
    assert fresh.data == ["198.51.100.1", "198.51.100.2"]
    assert not fresh.errors
    assert ask(filterd.v4, "never.seen.example").rcode == "SERVFAIL"


def test_a_stale_answer_is_blocked_by_a_policy_that_came_later(start, papers, make_unbound):
    upstream = make_unbound()
    filterd = start(papers.config(upstream.server))
    assert ask(filterd.v4, "short.example").data
    upstream.stop()
    papers.write_school(names={"allow": [], "block": [{"name": "short.example", "reason": "A test"}]})
    filterd.reload()
    time.sleep(1.2)
    assert ask(filterd.v4, "short.example").blocked


def test_fail_over_loses_no_answer(start_before, make_unbound):
    """New names all the while, so that the cache helps nobody."""
    one, two = make_unbound(), make_unbound()
    filterd = start_before(one.server, two.server)
    with Load(filterd.v4, lambda number: f"n{number}.flood.example", lambda _: {FREE}, rate=150) as asking:
        asking.more(200)
        one.stop()
        asking.more(300)
        asking.stop().clean()


def test_an_upstream_that_comes_back_is_used_again(start_before, make_unbound):
    upstream = make_unbound()
    filterd = start_before(upstream.server)
    assert ask(filterd.v4, "a.flood.example").data == [FREE]
    upstream.stop()
    for number in range(6):
        assert ask(filterd.v4, f"gone{number}.flood.example").rcode == "SERVFAIL"
    make_unbound(port=upstream.port)
    until(lambda: ask(filterd.v4, f"b{time.monotonic_ns()}.flood.example").data == [FREE], "the upstream")
    until(lambda: ask(filterd.v4, "gone0.flood.example").data == [FREE], "the end of the remembered failure")


def test_an_upstream_that_starts_later_is_used(start_before, make_unbound):
    port = free_port()
    filterd = start_before(Server("127.0.0.1", port))
    still_answers(filterd)
    make_unbound(port=port)
    until(lambda: ask(filterd.v4, f"b{time.monotonic_ns()}.flood.example").data == [FREE], "the upstream")


def failing(rcode, *options):
    def fails(query):
        reply = dns.message.make_response(query, recursion_available=True)
        reply.set_rcode(dns.rcode.from_text(rcode))
        if options:
            reply.use_edns(0, 0, 1232, options=options)
        return reply

    return fails


def liar(query):
    """Answer rightly, with gifts: records nobody asked for, and data of another name."""
    reply = address(query)
    reply.answer.append(dns.rrset.from_text("bank.example.", 86400, "IN", "A", "203.0.113.99"))
    reply.authority.append(dns.rrset.from_text("example.", 86400, "IN", "NS", "ns.evil.example."))
    reply.additional.append(dns.rrset.from_text("ns.evil.example.", 86400, "IN", "A", "203.0.113.98"))
    return reply


def loop(query):
    reply = dns.message.make_response(query, recursion_available=True)
    name = query.question[0].name
    reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", "b.example."))
    reply.answer.append(dns.rrset.from_text("b.example.", 60, "IN", "CNAME", name.to_text()))
    return reply


def forger(query):
    """Answer rightly, and before that wrongly: another id, another question, no question."""
    right = address(query)
    wrong = [dns.message.make_response(query, recursion_available=True) for _ in range(3)]
    for reply in wrong:
        name = query.question[0].name
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "203.0.113.1"))
    wrong[0].id ^= 1
    wrong[1].question = dns.message.make_query("other.example", "A").question
    wrong[2].question = []
    return [*wrong, right]


BEHAVIOURS = {
    "servfail": failing("SERVFAIL"),
    "refused": failing("REFUSED"),
    "notimp": failing("NOTIMP"),
    "bogus": failing("SERVFAIL", dns.edns.EDEOption(6, "bogus")),
    "liar": liar,
    "loop": loop,
    "forger": forger,
    "plain": address,
}


@pytest.fixture(scope="module")
def stubs():
    found = {kind: Stub(behaviour) for kind, behaviour in BEHAVIOURS.items()}
    yield found
    for one in found.values():
        one.close()


@pytest.fixture(scope="module")
def odd(shared_start, shared_papers, unbound, stubs):
    """A filter with a zone for each kind of upstream: ``refused.example`` goes to the one that refuses."""
    zones = {f"{kind}.example": [f"127.0.0.1:{one.server.port}"] for kind, one in stubs.items()}
    for kind in ("servfail", "refused", "notimp", "bogus"):
        zones[f"{kind}.example"].append(f"127.0.0.1:{stubs['plain'].server.port}")
    return shared_start(shared_papers.config(unbound.server, zones=zones))


@pytest.mark.parametrize("kind", ["servfail", "refused", "notimp"])
def test_an_upstream_that_is_unwilling_leaves_the_question_to_another(odd, stubs, kind):
    for number in range(10):
        assert ask(odd.v4, f"n{number}.{kind}.example").data == ["198.51.100.99"]
    assert stubs[kind].asked


def test_failed_validation_is_never_turned_into_anything_else(odd):
    """Although another upstream would have had an answer."""
    answer = ask(odd.v4, "www.bogus.example")
    assert answer.rcode == "SERVFAIL"
    assert answer.errors == [(6, "bogus")]


def test_5452_what_was_not_asked_for_is_neither_given_nor_kept(odd, stubs):
    for _ in range(3):
        answer = ask(odd.v4, "www.liar.example")
        assert answer.data == ["198.51.100.99"]
        assert not answer.message.authority
        assert not answer.message.additional
    assert stubs["liar"].names == ["www.liar.example."]
    assert ask(odd.v4, "bank.example").rcode == "NXDOMAIN", "what the upstream of all other names says"


def test_5452_replies_that_do_not_fit_are_dropped_and_the_wait_goes_on(odd):
    for number in range(10):
        assert ask(odd.v4, f"f{number}.forger.example").data == ["198.51.100.99"]


def test_one_question_under_way_for_many_who_ask(odd, stubs):
    with udp(odd.v4) as sock:
        sock.settimeout(20)
        for number in range(50):
            query = question("wait400.same.plain.example")
            query.id = number
            sock.send(query.to_wire())
        answers = [read(sock.recv(65_535)) for _ in range(50)]
    assert {answer.message.id for answer in answers} == set(range(50))
    assert all(answer.data == ["198.51.100.99"] for answer in answers)
    asked = stubs["plain"].names.count("wait400.same.plain.example.")
    assert 1 <= asked <= 3, "one, and its repetitions while the answer took its time"


def test_a_chain_without_end_is_no_answer(odd):
    assert ask(odd.v4, "a.loop.example").rcode == "SERVFAIL"


def test_0x20_questions_go_out_in_mixed_case_and_come_back_as_asked(odd, stubs):
    name = "a-name-with-letters-enough-to-be-mixed.plain.example"
    ask(odd.v4, name)
    texts = [query.question[0].name.to_text() for query in list(stubs["plain"].asked)]
    (text,) = [text for text in texts if text.lower() == f"{name}."]
    assert text not in (text.lower(), text.upper())

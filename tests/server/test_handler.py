"""Admission, limits and accounting; each answer is read by dnspython."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from filterd.resolver.request import Request
from filterd.server.settings import RateLimit

LOOPBACK = "127.0.0.1"


def ask(handler, clients, text, qtype="A", *, client=LOOPBACK, transport="udp", **options):
    query = dns.message.make_query(text, qtype, **options)
    answer = handler.handle(query.to_wire(), clients.get(client, 0.0), transport)
    return dns.message.from_wire(answer) if isinstance(answer, bytes) else answer


def test_a_blocked_lookup_is_answered_counted_and_recorded(make_handler):
    handler, clients = make_handler()
    answer = ask(handler, clients, "www.1xbet.com", use_edns=0)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert handler.recorder.take_counts() == {("guests", "guest", "gambling", "blocked"): 1}
    ((address, mac, view, name, qtype, verdict),) = handler.recorder.take()
    assert (address, mac, view.group, qtype) == (bytes((127, 0, 0, 1)), None, "guests", 1)
    assert name == b"\x03www\x051xbet\x03com\x00"
    assert (verdict.category, verdict.list_id) == ("gambling", "local-gambling")


def test_an_allowed_lookup_is_a_count_and_never_a_name(make_handler):
    handler, clients = make_handler()
    answer = ask(handler, clients, "lms.example")
    assert answer.answer[0][0].address == "192.0.2.7"
    assert handler.recorder.take() == []
    assert handler.recorder.take_counts() == {("guests", "guest", "", "allowed"): 1}


def test_looking_for_help_is_not_counted_under_a_category(make_handler):
    """Help-seeking is never a flag (school.md)."""
    handler, clients = make_handler()
    ask(handler, clients, "allow-help.canary.filterd.test")
    assert handler.recorder.take_counts() == {("guests", "guest", "", "allowed"): 1}


def test_a_lookup_that_needs_an_upstream_is_handed_back(make_handler):
    handler, clients = make_handler()
    assert isinstance(ask(handler, clients, "kundelik.kz"), Request)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_5358_a_client_outside_the_acl_is_refused_on_every_transport(make_handler, transport):
    handler, clients = make_handler()
    for name in ("lms.example", "1xbet.com"):
        answer = ask(handler, clients, name, client="8.8.8.8", transport=transport)
        assert answer.rcode() == dns.rcode.REFUSED
    assert handler.counters["refused_acl"] == 2
    assert handler.recorder.take() == []


def test_amplification_over_the_limit_answers_are_empty_with_tc_or_missing(make_handler):
    handler, clients = make_handler(rate=RateLimit(per_second=1, burst=5, slip=2))
    answers = [ask(handler, clients, "1xbet.com") for _ in range(11)]
    assert [a is None for a in answers[5:]] == [True, False] * 3
    slipped = [a for a in answers[5:] if a is not None]
    assert all(a.flags & dns.flags.TC and not a.authority for a in slipped)
    assert (handler.counters["rate_dropped"], handler.counters["rate_slipped"]) == (3, 3)


def test_the_limit_does_not_hold_on_tcp_where_the_address_is_proved(make_handler):
    handler, clients = make_handler(rate=RateLimit(per_second=1, burst=1))
    for _ in range(5):
        assert ask(handler, clients, "1xbet.com", transport="tcp").rcode() == dns.rcode.NXDOMAIN


def test_9018_a_client_with_our_cookie_is_not_limited(make_handler):
    handler, clients = make_handler(rate=RateLimit(per_second=1, burst=1))
    mine = dns.edns.CookieOption(b"12345678", b"")
    answer = ask(handler, clients, "1xbet.com", use_edns=0, options=[mine])
    (cookie,) = (option for option in answer.options if option.otype == dns.edns.COOKIE)
    assert cookie.client == b"12345678"
    assert len(cookie.server) == 16
    for _ in range(5):
        assert ask(handler, clients, "1xbet.com", use_edns=0, options=[cookie]) is not None
    assert ask(handler, clients, "1xbet.com", client="127.0.0.2", use_edns=0, options=[cookie]) is not None
    assert ask(handler, clients, "1xbet.com", client="127.0.0.2", use_edns=0, options=[cookie]) is None, (
        "the cookie of another address is worth nothing"
    )


def test_7828_keepalive_is_answered_on_streams_only(make_handler):
    handler, clients = make_handler()
    keepalive = dns.edns.GenericOption(11, b"")
    over_tcp = ask(handler, clients, "1xbet.com", transport="tcp", use_edns=0, options=[keepalive])
    over_udp = ask(handler, clients, "1xbet.com", use_edns=0, options=[keepalive])
    assert [option.to_wire() for option in over_tcp.options if option.otype == 11] == [(100).to_bytes(2)]
    assert [option for option in over_udp.options if option.otype == 11] == []


def test_what_is_malformed_is_refused_and_counted(make_handler):
    handler, clients = make_handler()
    query = dns.message.make_query("lms.example", "A")
    query.set_opcode(dns.opcode.STATUS)
    answer = handler.handle(query.to_wire(), clients.get(LOOPBACK, 0.0), "udp")
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP
    assert handler.handle(b"short", clients.get(LOOPBACK, 0.0), "udp") is None
    assert handler.counters["queries_malformed"] == 1
    assert handler.counters["packets_ignored"] == 1


def test_one_client_cannot_take_all_the_waiting_places(make_handler):
    handler, clients = make_handler(in_flight_per_client=2)
    greedy = clients.get("10.0.0.1", 0.0)
    greedy.in_flight = 2
    answer = ask(handler, clients, "kundelik.kz", client="10.0.0.1")
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert handler.counters["refused_in_flight"] == 1
    assert isinstance(ask(handler, clients, "kundelik.kz", client="10.0.0.2"), Request)


def test_all_upstreams_dead_is_a_servfail_with_a_reason_and_blocking_goes_on(make_handler):
    handler, clients = make_handler()
    client = clients.get(LOOPBACK, 0.0)
    request = ask(handler, clients, "kundelik.kz", use_edns=0)
    replies = []
    handler.finish(request, client, replies.append)
    (reply,) = replies
    answer = dns.message.from_wire(reply)
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert {option.code for option in answer.options if option.otype == dns.edns.EDE} == {22}
    assert ask(handler, clients, "1xbet.com").rcode() == dns.rcode.NXDOMAIN
    assert client.in_flight == 0


def test_health_has_counters_and_latency(make_handler):
    handler, clients = make_handler()
    ask(handler, clients, "1xbet.com")
    health = handler.health()
    assert health["answer_seconds_count"] == 1
    assert health["answer_seconds_le_5000000us"] == 1

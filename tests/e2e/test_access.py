"""Who is served: ACL, rate limit with TC slip, the address that answers."""

from __future__ import annotations

import dns.edns
import pytest
from _ask import ask, dig, question, read, stream, udp
from _programs import Server, free_port

OUTSIDER = "127.9.9.9"


@pytest.mark.parametrize("name", ["mektep.example", "casino.example", "localhost", "missing.example"])
@pytest.mark.parametrize("tcp", [False, True])
def test_5358_a_client_outside_the_acl_is_refused_on_every_transport(school, name, tcp):
    for _ in range(4):  # nothing is remembered that would serve it
        answer = ask(school.v4, name, tcp=tcp, source=OUTSIDER)
        assert answer.rcode == "REFUSED"
        assert not answer.message.answer
        assert not answer.message.authority
        assert not answer.errors


def test_dig_from_outside(school):
    assert dig(school.v4, "-b", OUTSIDER, "mektep.example").status == "REFUSED"
    assert dig(school.v4, "-b", OUTSIDER, "+tcp", "mektep.example").status == "REFUSED"


def test_a_refusal_is_no_amplifier(school):
    query = question("mektep.example", edns=False).to_wire()
    with udp(school.v4, source=OUTSIDER) as sock:
        sock.settimeout(10)
        sock.send(query)
        assert len(sock.recv(65_535)) <= len(query)


def test_wildcard_sockets_answer_from_the_address_asked(start, papers, unbound):
    """RFC 2181 section 4.1; the sockets here are connected, another source would not be heard."""
    port = free_port()
    filterd = start(papers.config(unbound.server, listen=[f"0.0.0.0:{port}", f"[::]:{port}"]))
    filterd.port = port
    for host in ("127.0.0.1", "127.0.0.5", "127.0.200.9", "127.1.2.3", "::1"):
        with udp(Server(host, port)) as sock:
            sock.settimeout(10)
            for round_ in range(4):  # fetched, from the cache, from memory
                for name in ("mektep.example", "casino.example", f"x{round_}.flood.example"):
                    sock.send(question(name).to_wire())
                    assert read(sock.recv(65_535)).rcode in ("NOERROR", "NXDOMAIN")
        assert ask(Server(host, port), "mektep.example", tcp=True).data
    assert dig(Server("127.0.0.9", port), "casino.example").status == "NXDOMAIN"


def flood(server, count, **more):
    """Send queries as fast as possible from one socket and return the answers that come."""
    answers = []
    with udp(server, source="127.0.0.9") as sock:
        for number in range(count):
            query = question("casino.example", **more)
            query.id = number
            sock.send(query.to_wire())
            if number % 50 == 49:  # as many as the socket's buffer surely holds
                answers += _come(sock)
    return answers


def _come(sock):
    sock.settimeout(0.5)
    answers = []
    while True:
        try:
            answers.append(read(sock.recv(65_535)))
        except TimeoutError:
            return answers


def test_a_client_over_its_rate_is_slipped_or_dropped_and_nobody_else(start, papers, unbound):
    filterd = start(papers.config(unbound.server, limits={"queries_per_second": 1, "burst": 20}))
    answers = flood(filterd.v4, 200)
    whole = [answer for answer in answers if not answer.truncated]
    slipped = [answer for answer in answers if answer.truncated]
    assert 20 <= len(whole) <= 40, "the burst, and one a second"
    assert 80 <= len(slipped) <= 90, "one of two over the limit"
    assert all(not answer.message.answer and not answer.message.authority for answer in slipped)
    assert ask(filterd.v4, "casino.example", source="127.0.0.10").blocked, "another client is not touched"
    assert ask(filterd.v4, "casino.example", source="127.0.0.9", tcp=True).blocked, "TCP proves the address"


def test_a_server_cookie_proves_the_address_too(start, papers, unbound):
    """RFC 7873 section 5.2.4: who holds our cookie is not spoofed and is not limited."""
    filterd = start(papers.config(unbound.server, limits={"queries_per_second": 1, "burst": 20}))
    client = b"12345678"
    first = ask(
        filterd.v4,
        question("casino.example", options=[dns.edns.CookieOption(client, b"")]),
        source="127.0.0.9",
    )
    (ours,) = [option for option in first.message.options if isinstance(option, dns.edns.CookieOption)]
    with_ours = flood(filterd.v4, 200, options=[dns.edns.CookieOption(client, ours.server)])
    assert len(with_ours) == 200
    assert not any(answer.truncated for answer in with_ours)
    forged = flood(filterd.v4, 200, options=[dns.edns.CookieOption(client, b"\x01" + bytes(15))])
    assert len([answer for answer in forged if not answer.truncated]) < 40


def test_a_flood_of_connections_from_outside_leaves_the_school_served(school):
    for _ in range(50):
        with stream(school.v4, source=OUTSIDER):
            pass
    assert ask(school.v4, "mektep.example", tcp=True).data

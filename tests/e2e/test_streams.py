"""DNS over TCP (RFC 7766, 7858): pipelining, order, limits; by kdig, dig and plain sockets."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest
from _ask import ask, check, dig, framed, kdig, question, read, receive, stream
from _world import LARGE


def ask_on(sock, *queries):
    """Send queries in one segment and return the answers by id."""
    sock.sendall(b"".join(framed(query.to_wire()) for query in queries))
    answers = {}
    for _ in queries:
        answer = read(receive(sock))
        assert answer.message.id not in answers, "each is answered once"
        answers[answer.message.id] = answer
    for query in queries:
        check(query, answers[query.id], tcp=True)
    return [answers[query.id] for query in queries]


def test_kdig_and_dig_over_tcp(school):
    assert kdig(school.v4, "+tcp", "+short", "mektep.example", "AAAA").text.strip() == "2001:db8:1::1"
    assert kdig(school.v4, "+tcp", "casino.example").status == "NXDOMAIN"
    assert "TXT" in kdig(school.v4, "+tcp", "large.example", "TXT").text
    several = dig(
        school.v4, "+tcp", "+keepopen", "mektep.example", "onlytxt.example", "TXT", "casino.example"
    )
    assert several.text.count("status: NOERROR") == 2
    assert several.text.count("status: NXDOMAIN") == 1


def test_two_queries_in_a_segment(school):
    with stream(school.v4) as sock:
        first, second = ask_on(sock, question("mektep.example"), question("casino.example", "HTTPS"))
        assert first.data == ["198.51.100.1", "198.51.100.2"]
        assert second.blocked


def test_a_hundred_pipelined_queries(school):
    queries = [question(f"p{number}.{('flood', 'casino')[number % 2]}.example") for number in range(100)]
    for number, query in enumerate(queries):
        query.id = number
    with stream(school.v4) as sock:
        for number, answer in enumerate(ask_on(sock, *queries)):
            assert answer.blocked == bool(number % 2)
            assert answer.data == ([] if number % 2 else ["198.51.100.7"])


def test_more_queries_in_a_segment_than_may_wait_for_the_upstream(school):
    """They are paced, not refused: 200 lookups of a client may be under way, 64 of a connection."""
    queries = [question(f"wait100.{number}.slow.example") for number in range(250)]
    for number, query in enumerate(queries):
        query.id = number
    with stream(school.v4) as sock:
        assert all(answer.data == ["198.51.100.99"] for answer in ask_on(sock, *queries))


def test_an_answer_does_not_wait_for_those_asked_before(school):
    """RFC 7766 section 7: answers out of order."""
    slow, fast = question("wait700.slow.example"), question("casino.example")
    with stream(school.v4) as sock:
        sock.sendall(framed(slow.to_wire()) + framed(fast.to_wire()))
        assert read(receive(sock)).message.id == fast.id
        assert read(receive(sock)).message.id == slow.id


def test_a_query_that_dribbles_in_byte_by_byte(school):
    query = question("mektep.example")
    with stream(school.v4) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(query.to_wire()):
            sock.sendall(bytes((byte,)))
            time.sleep(0.003)
        check(query, read(receive(sock)), tcp=True)


def test_a_message_cut_in_two_across_segments(school):
    one, two = question("mektep.example"), question("casino.example")
    data = framed(one.to_wire()) + framed(two.to_wire())
    for at in (1, 2, 3, 30, len(framed(one.to_wire())), len(framed(one.to_wire())) + 1, len(data) - 1):
        with stream(school.v4) as sock:
            sock.sendall(data[:at])
            time.sleep(0.01)
            sock.sendall(data[at:])
            assert {read(receive(sock)).message.id, read(receive(sock)).message.id} == {one.id, two.id}


def test_a_client_that_closes_its_side_still_gets_its_answers(school):
    slow, fast = question("wait300.slow.example"), question("casino.example")
    with stream(school.v4) as sock:
        sock.sendall(framed(slow.to_wire()) + framed(fast.to_wire()))
        sock.shutdown(socket.SHUT_WR)
        assert {read(receive(sock)).message.id, read(receive(sock)).message.id} == {slow.id, fast.id}
        assert sock.recv(1) == b""


def test_an_idle_connection_is_closed(school):
    with stream(school.v4) as sock:
        ask_on(sock, question("mektep.example"))
        assert sock.recv(1) == b""
    with stream(school.v4) as sock:
        assert sock.recv(1) == b"", "one that never asked as well"


def test_half_a_message_does_not_hold_a_connection_for_ever(school):
    with stream(school.v4, timeout=30) as sock:
        sock.sendall(framed(question("mektep.example").to_wire())[:-1])
        assert sock.recv(1) == b""


def test_a_connection_that_waits_for_an_upstream_is_not_idle(school):
    """The idle time of this filter is one second; the upstream takes longer."""
    with stream(school.v4) as sock:
        (answer,) = ask_on(sock, question("wait1500.slow.example"))
        assert answer.data == ["198.51.100.99"]


def test_a_connection_has_so_many_queries(school):
    with stream(school.v4) as sock:
        query = question("casino.example").to_wire()
        sock.sendall(framed(query) * 1200)
        answered = 0
        for _ in range(1000):
            answered += bool(receive(sock))
        with pytest.raises(EOFError):
            receive(sock)
    assert answered == 1000


def test_a_client_has_so_many_connections(school):
    """Eight in this filter's configuration; each DNS process counts its own."""
    with ExitStack() as stack:
        socks = [stack.enter_context(stream(school.v4, source="127.0.0.77")) for _ in range(8 * 4 + 1)]
        query = framed(question("casino.example").to_wire())
        answered = 0
        for sock in socks:
            try:
                sock.sendall(query)
                answered += bool(receive(sock))
            except (EOFError, OSError):
                continue
        assert 8 <= answered <= 8 * school.workers
        assert ask(school.v4, "mektep.example", tcp=True, source="127.0.0.78").data, "others are served"
        assert ask(school.v4, "mektep.example", source="127.0.0.77").data, "and UDP lives"


def test_a_client_that_does_not_read_costs_nobody_else_anything(school):
    with stream(school.v4, timeout=30) as sock:
        query = question("large.example", "TXT")
        sock.sendall(framed(query.to_wire()) * 300)  # 2.4 MB of answers
        for _ in range(20):
            assert ask(school.v4, "mektep.example", tcp=True).data
            assert ask(school.v4, "casino.example").blocked
        for _ in range(300):
            assert len(read(receive(sock)).data) == len(LARGE)


def test_hundreds_of_connections_one_after_another(school):
    for number in range(300):
        assert ask(school.v4, "casino.example", tcp=True, source=f"127.0.0.{number % 250 + 1}").blocked

"""Hypothesis on the live TCP listener: however a stream is cut, each query in it is answered once."""

from __future__ import annotations

import contextlib
import socket

import pytest
from _ask import ask, receive, stream
from _listening import SENTINEL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUESTION = b"\x00\x00\x01\x00\x01"
# The same filter serves all examples: that is the point, not an accident.
live = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module", autouse=True)
def _needs(product):
    """Start the filter before the clock of the first example runs."""
    assert ask(product.v4, "1xbet.com", tcp=True).blocked


@st.composite
def queries(draw):
    """Well-formed queries with ids of their own, for names that are answered here."""
    numbers = draw(st.lists(st.integers(1, 65_535), min_size=1, max_size=30, unique=True))
    names = st.sampled_from((b"\x051xbet\x03com", b"\x09localhost", b"\x01a\x051xbet\x03com", b"\x05local"))
    return [
        number.to_bytes(2, "big") + b"\x01\x00\x00\x01" + bytes(6) + draw(names) + QUESTION
        for number in numbers
    ]


@st.composite
def portions(draw, data):
    """The same bytes in portions of any size."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@live
@given(data=st.data(), asked=queries())
def test_queries_in_any_portions_are_each_answered_once(product, data, asked):
    whole = b"".join(len(one).to_bytes(2, "big") + one for one in asked)
    parts = data.draw(portions(whole))
    with stream(product.v4) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            sock.sendall(part)
        replies = [receive(sock) for _ in asked]
        sock.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            receive(sock)
    by_id = {reply[:2]: reply for reply in replies}
    assert by_id.keys() == {one[:2] for one in asked}
    for one in asked:
        assert by_id[one[:2]][12 : len(one)] == one[12:]


@live
@given(data=st.data(), asked=queries(), rubbish=st.binary(max_size=400))
def test_rubbish_ends_its_connection_and_nothing_else(product, data, asked, rubbish):
    """What was asked before it is answered; then anything may come but an answer to something else."""
    whole = b"".join(len(one).to_bytes(2, "big") + one for one in asked)
    parts = data.draw(portions(whole + rubbish))
    known = {one[:2] for one in asked}
    answered = set()
    with stream(product.v4) as sock:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                answered.add(receive(sock)[:2])
    allowed = {rubbish[at : at + 2] for at in range(len(rubbish))}
    assert answered - known <= allowed
    with stream(product.v4) as other:
        other.sendall(len(SENTINEL).to_bytes(2, "big") + SENTINEL)
        assert receive(other)[:2] == SENTINEL[:2]

"""SVCB records about our own services, read by dnspython (RFC 9460, 9461)."""

from __future__ import annotations

import socket

import dns.message
import dns.rdata
import pytest

from filterd.wire import names
from filterd.wire.query import parse_query
from filterd.wire.svcb import Designation, answer

TARGET = names.from_text("dns.school.kz")
V4, V6 = socket.inet_aton("192.0.2.1"), socket.inet_pton(socket.AF_INET6, "2001:db8::1")


@pytest.mark.parametrize(
    ("designation", "text"),
    [
        (Designation(TARGET, "dot", 853), '1 dns.school.kz. alpn="dot"'),
        (Designation(TARGET, "dot", 8853), '1 dns.school.kz. alpn="dot" port="8853"'),
        (
            Designation(TARGET, "h2", 443, (V4, V6), "/dns-query"),
            '1 dns.school.kz. alpn="h2" ipv4hint="192.0.2.1" ipv6hint="2001:db8::1" key7="/dns-query{?dns}"',
        ),
    ],
)
def test_9461_the_record_as_others_read_it(designation, text):
    data = dns.rdata.from_wire("IN", "SVCB", designation.rdata(1), 0, len(designation.rdata(1)))
    assert data == dns.rdata.from_text("IN", "SVCB", text)


def test_a_reply_with_both():
    message = dns.message.make_query("_dns.Resolver.arpa", "SVCB")
    services = (Designation(TARGET, "h2", 443, (), "/q"), Designation(TARGET, "dot", 853))
    found = dns.message.from_wire(answer(parse_query(message.to_wire()), services, 300, limit=1232))
    assert message.is_response(found)
    (rrset,) = found.answer
    assert rrset.ttl == 300
    assert sorted((item.priority, item.params[1].ids[0]) for item in rrset) == [(1, b"h2"), (2, b"dot")]

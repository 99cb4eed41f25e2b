"""The smallest TTL of a reply, against dnspython (RFC 8484 section 5.1, RFC 2308 section 5)."""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.wire.ttl import smallest_ttl


def reply(*answers, authority=(), rcode=0, opt=True):
    message = dns.message.make_query("www.example", "A", use_edns=0 if opt else -1)
    found = dns.message.make_response(message)
    found.set_rcode(rcode)
    found.answer = [dns.rrset.from_text("www.example.", ttl, "IN", "A", "192.0.2.1") for ttl in answers]
    found.authority = [
        dns.rrset.from_text("example.", ttl, "IN", "SOA", f"ns.example. h.example. 1 2 3 4 {minimum}")
        for ttl, minimum in authority
    ]
    return found.to_wire()


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5))
def test_of_answers(ttls):
    assert smallest_ttl(reply(*ttls)) == min(ttls)


@given(st.integers(0, 86_400), st.integers(0, 86_400), st.sampled_from([0, 3]))
def test_of_a_denial_the_soa_and_its_minimum_count(ttl, minimum, rcode):
    assert smallest_ttl(reply(authority=[(ttl, minimum)], rcode=rcode)) == min(ttl, minimum)


def test_opt_is_no_record_with_a_ttl():
    assert smallest_ttl(reply(300)) == smallest_ttl(reply(300, opt=False)) == 300


def test_nothing_to_say_nothing_to_keep():
    assert smallest_ttl(reply()) == 0


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_failures_are_not_kept(rcode):
    assert smallest_ttl(reply(300, rcode=rcode)) == 0

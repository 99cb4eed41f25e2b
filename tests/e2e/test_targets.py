"""What an answer leads to is checked: CNAME cloaking, DNAME, HTTPS and SVCB targets, private addresses."""

from __future__ import annotations

import pytest
from _ask import ask, dig
from _world import SENIOR, TEACHER


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("name", "rdtype", "rule"),
    [
        ("cloaked.example", "A", "tracker.example"),
        ("cloaked.example", "AAAA", "tracker.example"),
        ("cloaked.example", "TXT", "tracker.example"),
        ("cloaked.example", "CNAME", "tracker.example"),
        ("cloaked.example", "TYPE65280", "tracker.example"),
        ("cloaked2.example", "A", "tracker.example"),
        ("nobody.example", "A", "tracker.example"),  # the target does not even exist
        ("www.dname.example", "A", "casino.example"),
        ("svc.example", "HTTPS", "tracker.example"),
        ("svc.example", "SVCB", "tracker.example"),
    ],
)
def test_an_answer_that_leads_to_a_blocked_name_is_blocked(school, name, rdtype, rule, tcp):
    for _ in range(3):  # fetched, from the cache, from memory
        answer = ask(school.v4, name, rdtype, tcp=tcp)
        assert answer.rcode == "NXDOMAIN"
        assert not answer.message.answer
        assert answer.soa is not None
        assert answer.why.endswith(f"rule: {rule}")


def test_the_cloaked_name_itself_is_told_by_dig(school):
    dug = dig(school.v4, "cloaked.example")
    assert dug.status == "NXDOMAIN"
    assert "category: ads; list: test-ads; rule: tracker.example" in dug.text
    assert "203.0.113" not in dug.text


def test_other_types_of_a_name_with_a_bad_target_are_free(school):
    """A blocked HTTPS target says nothing of the name's other records."""
    assert ask(school.v4, "svc.example", "A").rcode == "NOERROR"


def test_a_clean_target_is_left_alone(school):
    assert ask(school.v4, "cleansvc.example", "HTTPS").data == ['1 cdn.example. alpn="h2"']
    assert len(ask(school.v4, "alias.example").message.answer) == 2


def test_the_policy_of_who_asks_holds_for_the_target_too(school):
    """Also when another group filled the cache."""
    for _ in range(3):
        assert ask(school.v4, "friends.example").blocked
        assert "198.51.100.70" in ask(school.v4, "friends.example", source=TEACHER).data
        assert ask(school.v4, "friends.example", source=SENIOR).why == "rule: block social.example (subtree)"


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("rebind.example", "A"),
        ("rebind6.example", "AAAA"),
        ("rebindmix.example", "A"),
        ("rebindhint.example", "HTTPS"),
    ],
)
def test_private_addresses_in_public_answers_are_dropped(school, name, rdtype, tcp):
    for _ in range(3):
        answer = ask(school.v4, name, rdtype, tcp=tcp)
        assert answer.rcode == "NOERROR"
        assert not answer.data
        assert answer.why == "private address in a public answer"


def test_names_that_may_be_private_are(school):
    assert ask(school.v4, "router.lan.example").data == ["192.168.1.2"]

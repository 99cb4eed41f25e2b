"""The order of the stages and what each of them answers, by the core alone: no socket, no loop."""

from __future__ import annotations

import dns.message
import pytest

from filterd.resolver.core import Core
from filterd.resolver.request import Request
from filterd.resolver.settings import ResolverSettings
from filterd.resolver.stages import FETCH_STAGES, STAGES, run
from filterd.rules.index import Index
from filterd.rules.verdict import Action, Reason
from filterd.wire import names
from filterd.wire.constants import Class, Type
from filterd.wire.query import Query
from filterd.wire.synthesis import BlockAnswer

EVERY_TYPE = ["A", "AAAA", "HTTPS", "SVCB", "ANY", "TXT", "MX", "NS", "SOA", "CNAME", "DS", "TYPE65280"]


class Bare:
    """The core and the request builder."""

    def __init__(self, index, request_for, **settings):
        self.core = Core(ResolverSettings(**settings), index, lambda: 0.0, lambda _name: 0)
        self.request_for = request_for

    def __call__(self, name, qtype="A", **more):
        lookup = self.core.begin(self.request_for(name, qtype, **more))
        reply = run(self.core, lookup, STAGES)
        return reply if reply is None else (reply, dns.message.from_wire(reply.packet))


@pytest.fixture
def bare(index, request_for):
    return Bare(index, request_for)


def test_the_order_is_this():
    assert [stage.id for stage in STAGES] == [
        "refuse_kinds",
        "special_names",
        "canaries",
        "policy",
        "safe_search",
        "local_names",
        "without_lists",
        "any_over_udp",
        "fresh",
        "nxdomain_cut",
        "no_recursion",
        "failed_lately",
    ]
    assert [stage.id for stage in FETCH_STAGES] == ["water_torture", "tunnels"]


def test_every_stage_says_why_it_stands_where_it_stands():
    for stage in (*STAGES, *FETCH_STAGES):
        assert len(stage.why) > 30


@pytest.mark.parametrize("qtype", EVERY_TYPE)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_every_type_of_a_blocked_name_gets_the_same_rcode(bare, qtype, transport):
    reply, message = bare("www.casino.example", qtype, transport=transport)
    assert (reply.outcome, reply.verdict.category) == ("blocked", "gambling")
    assert message.rcode() == 3
    assert message.answer == []
    (soa,) = message.authority
    assert soa.ttl <= 60
    assert not message.flags & 0x0420  # AA, AD
    assert message.flags & 0x0080  # RA
    assert [int(option.code) for option in message.options] == [15]


@pytest.mark.parametrize(("mode", "data"), [("nodata", []), ("null", ["0.0.0.0"]), ("page", ["10.9.9.9"])])
def test_the_view_says_how_a_block_is_answered(bare, make_view, mode, data):
    view = make_view(answer=BlockAnswer(mode, page_v4=(bytes((10, 9, 9, 9)),)))
    _, message = bare("casino.example", view=view)
    assert message.rcode() == 0
    assert [item.to_text() for rrset in message.answer for item in rrset] == data
    for qtype in EVERY_TYPE[2:]:
        _, message = bare("casino.example", qtype, view=view)
        assert (message.rcode(), message.answer) == (0, [])


@pytest.mark.parametrize("edns", [False, True])
def test_8914_an_extended_error_only_where_there_was_an_opt(bare, edns):
    _, message = bare("casino.example", edns=edns)
    assert message.edns == (0 if edns else -1)
    assert bool(message.options) == edns


def test_a_blocked_name_is_blocked_without_rd_and_costs_no_cache(bare):
    reply, _ = bare("casino.example", rd=False)
    assert reply.outcome == "blocked"
    assert bare.core.cache.misses == 0


def test_rd_0_is_refused_when_nothing_is_known(bare):
    reply, message = bare("www.example", rd=False)
    assert (reply.outcome, message.rcode()) == ("refused", 5)
    assert [int(option.code) for option in message.options] == [20]
    assert not message.flags & 0x0100


def test_what_must_be_fetched_passes_all_stages(bare):
    assert bare("www.example") is None


def test_any_over_udp_goes_to_tcp(bare):
    reply, message = bare("www.example", "ANY")
    assert (len(message.answer), bool(message.flags & 0x0200)) == (0, True)
    assert len(reply.packet) < 60
    assert bare("www.example", "ANY", transport="tcp") is None


@pytest.mark.parametrize(
    ("qtype", "qclass"),
    [
        (Type.AXFR, Class.IN),
        (Type.IXFR, Class.IN),
        (Type.TXT, Class.CH),
        (Type.A, Class.ANY),
        (Type.A, Class.NONE),
        (Type.A, Class.HS),
    ],
)
def test_transfers_and_other_classes_are_refused_even_behind_the_parser(bare, view, qtype, qclass):
    name = names.from_text("version.bind")
    request = Request(
        Query(1, True, False, False, name, name, qtype, qclass), b"\x0a\0\0\1", view, "tcp", 65535
    )
    reply = run(bare.core, bare.core.begin(request), STAGES)
    assert dns.message.from_wire(reply.packet).rcode() == 5
    assert (reply.outcome, reply.verdict) == ("refused", None)


@pytest.mark.parametrize("name", ["use-application-dns.net", "mask.icloud.com", "MASK-h2.icloud.com"])
@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS"])
def test_canaries_get_nxdomain_at_once(bare, name, qtype):
    reply, message = bare(name, qtype)
    assert message.rcode() == 3
    assert (reply.outcome, reply.verdict.action, reply.verdict.reason) == (
        "canary",
        Action.REWRITE,
        Reason.CANARY,
    )


def test_canaries_are_exact_and_a_matter_of_settings(index, request_for, bare):
    assert bare("www.use-application-dns.net") is None
    assert Bare(index, request_for, canaries=frozenset())("use-application-dns.net") is None


def test_local_names_answer_after_policy(index, request_for):
    local = {
        names.from_text("moodle.school"): (bytes((10, 0, 0, 5)), bytes(15) + b"\x05"),
        names.from_text("casino.example"): (bytes((10, 0, 0, 6)),),
        names.from_text("printer.internal"): (bytes((10, 0, 0, 7)),),
    }
    bare = Bare(index, request_for, local_names=local)
    reply, message = bare("moodle.school")
    assert (reply.outcome, message.answer[0].to_text()) == ("allowed", "moodle.school. 60 IN A 10.0.0.5")
    _, message = bare("MOODLE.school", "AAAA")
    assert message.answer[0].to_text() == "MOODLE.school. 60 IN AAAA ::5"
    _, message = bare("moodle.school", "MX")
    assert (message.rcode(), message.answer) == (0, [])
    assert bare("casino.example")[0].outcome == "blocked"
    assert bare("printer.internal")[1].answer[0].to_text() == "printer.internal. 60 IN A 10.0.0.7"


def test_made_here_may_be_reused_and_what_counts_may_not(bare):
    assert bare("casino.example")[0].keep > 0
    assert bare("localhost")[0].keep > 0
    assert bare("www.example", rd=False)[0].keep == 0


def test_r21_open_without_lists_goes_on_and_is_counted(request_for):
    bare = Bare(Index.empty(), request_for)
    assert bare("casino.example") is None
    assert bare.core.counts["without_lists"] == 1


@pytest.mark.parametrize("qtype", ["A", "HTTPS", "TXT"])
def test_r21_closed_without_lists_refuses_what_no_rule_opens(request_for, make_view, qtype):
    bare = Bare(
        Index.empty(), request_for, local_names={names.from_text("printer.example"): (b"\x0a\0\0\1",)}
    )
    view = make_view(allow=["diary.example"], block=["game.example"], closed_without_lists=True)
    reply, message = bare("anything.example", qtype, view=view)
    assert (reply.outcome, message.rcode(), reply.keep) == ("failed", 2, 0.0)
    (error,) = [option for option in message.options if option.otype == 15]
    assert error.code == 14
    assert bare("www.diary.example", qtype, view=view) is None
    assert bare("game.example", qtype, view=view)[0].outcome == "blocked"
    assert bare("localhost", qtype, view=view)[0].outcome == "allowed"
    assert bare("printer.example", qtype, view=view)[0].outcome == "allowed"


def test_r21_with_lists_closed_changes_nothing(bare, make_view):
    view = make_view(closed_without_lists=True)
    assert bare("anything.example", view=view) is None
    assert bare("casino.example", view=view)[0].outcome == "blocked"
    assert bare.core.counts["without_lists"] == 0

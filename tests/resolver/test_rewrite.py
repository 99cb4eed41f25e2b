"""Safe search: the target's addresses behind the engine's name, live, checked, and never the engine's own."""

from __future__ import annotations

import asyncio
import itertools

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.resolver import inflight
from filterd.resolver.cache import Entry
from filterd.resolver.core import Core
from filterd.resolver.fetch import Fetched
from filterd.resolver.settings import ResolverSettings
from filterd.resolver.stages import STAGES, run
from filterd.rules.rewrites import Rewrite, Target
from filterd.rules.verdict import Action, Reason, Verdict
from filterd.wire import names
from filterd.wire.answer import parse_answer

ENGINE, OTHER, BOXED, TUBE = "www.engine.example", "other.example", "boxed.example", "www.tube.example"
SAFE, SAFE6, NAKED = "198.51.100.10", "2001:db8::10", "203.0.113.66"
TARGET = "safe.engine.example."
CNAME = f"CNAME {TARGET}"


def rewrite(target, engine="engine"):
    rule = f"safe search {engine}: on ({target.text})"
    return Rewrite(
        engine, "on", target, Verdict(Action.REWRITE, Reason.SAFE_SEARCH, None, None, rule, "baseline")
    )


@pytest.fixture(scope="session")
def pupil(make_view):
    """Two hosts of an engine, one that has a fixed address, one whose target is in a blocked category."""
    engine = rewrite(Target(names.from_text(TARGET)))
    found = {
        ENGINE: engine,
        OTHER: engine,
        BOXED: rewrite(Target(v4=(bytes((213, 180, 193, 56)),)), "boxed"),
        TUBE: rewrite(Target(names.from_text("restricted.casino.example")), "tube"),
    }
    return make_view(rewrites={names.from_text(name): one for name, one in found.items()})


@pytest.fixture
async def engine(make_upstream):
    """An upstream that knows the engine, its safe front end, and ways to both."""
    upstream = await make_upstream()
    for host in (ENGINE, OTHER, BOXED, TUBE):
        upstream.answer(f"{host}.", f"{host}. 300 IN A {NAKED}")
        upstream.answer(f"{host}.", f"{host}. 300 IN HTTPS 1 . ipv4hint={NAKED}", qtype="HTTPS")
    upstream.answer(TARGET, f"{TARGET} 300 IN A {SAFE}")
    upstream.answer(TARGET, f"{TARGET} 300 IN AAAA {SAFE6}", qtype="AAAA")
    for qtype, data in (("A", f"A {NAKED}"), ("AAAA", "AAAA 2001:db8:bad::1")):
        upstream.answer(
            "html.example.", f"html.example. 40 IN CNAME {ENGINE}.", f"{ENGINE}. 300 IN {data}", qtype=qtype
        )
    upstream.answer(
        "boxalias.example.", f"boxalias.example. 40 IN CNAME {BOXED}.", f"{BOXED}. 300 IN A {NAKED}"
    )
    upstream.answer("svc.example.", f"svc.example. 300 IN HTTPS 1 {ENGINE}. ipv4hint={NAKED}", qtype="HTTPS")
    return upstream


@pytest.fixture
async def asking(make_asking, engine):
    return await make_asking(engine)


def records(answered):
    return [
        f"{rrset.name.to_text()} {dns.rdatatype.to_text(rrset.rdtype)} {item.to_text()}"
        for rrset in answered.message.answer
        for item in rrset
    ]


# What an engine's name gets


@pytest.mark.parametrize(("qtype", "address"), [("A", SAFE), ("AAAA", SAFE6)])
async def test_r16_the_safe_front_end_answers(asking, engine, pupil, qtype, address):
    answered = await asking("WWW.engine.EXAMPLE", qtype, view=pupil)
    assert records(answered) == [f"WWW.engine.EXAMPLE. {CNAME}", f"{TARGET} {qtype} {address}"]
    assert answered.ttls == [300, 300]
    assert (answered.outcome, answered.verdict.action) == ("rewritten", Action.REWRITE)
    assert (answered.verdict.reason, answered.verdict.layer) == (Reason.SAFE_SEARCH, "baseline")
    assert answered.errors == [(4, f"safe search engine: on ({TARGET[:-1]})")], "RFC 8914 section 4.5"
    assert [name for name, _, _ in engine.questions] == [TARGET], "the engine itself is not asked about"


@pytest.mark.parametrize(
    "qtype", ["HTTPS", "SVCB", "ANY", "TXT", "MX", "NS", "SOA", "DS", "SRV", "TYPE65280"]
)
@pytest.mark.parametrize("host", [ENGINE, BOXED])
def test_other_types_have_no_data_and_no_hint(pupil, request_for, index, host, qtype):
    """RFC 9460: hints in HTTPS and SVCB would lead past the front end. Nobody is asked."""
    core = Core(ResolverSettings(), index, lambda: 0.0, lambda _name: 0)
    reply = run(core, core.begin(request_for(host, qtype, view=pupil)), STAGES)
    message = dns.message.from_wire(reply.packet)
    assert (message.rcode(), message.answer, reply.outcome) == (0, [], "rewritten")
    (soa,) = message.authority
    assert soa.ttl <= 60
    assert soa[0].mname.to_text() == "filterd.invalid."


async def test_a_question_for_the_alias_gets_it_alone(asking, engine, pupil):
    answered = await asking(ENGINE, "CNAME", view=pupil)
    assert records(answered) == [f"{ENGINE}. {CNAME}"]
    assert not engine.asked


async def test_an_engine_with_a_fixed_address_gets_it(asking, engine, pupil):
    answered = await asking(BOXED, view=pupil)
    assert records(answered) == [f"{BOXED}. A 213.180.193.56"]
    assert (await asking(BOXED, "AAAA", view=pupil)).data == []
    assert not engine.asked


async def test_a_target_without_ipv6_says_so(asking, engine, pupil):
    del engine.records[TARGET, "AAAA"]
    answered = await asking(ENGINE, "AAAA", view=pupil)
    assert (answered.rcode, records(answered)) == ("NOERROR", [f"{ENGINE}. {CNAME}"])
    assert answered.outcome == "rewritten"
    assert len(answered.message.authority) == 1


async def test_who_has_no_safe_search_gets_the_engine(asking, view, pupil):
    assert (await asking(ENGINE, view=view)).data == [NAKED]
    assert (await asking(ENGINE, view=pupil)).data == [SAFE, TARGET]
    assert (await asking(ENGINE, view=view)).data == [NAKED]


# Like any other lookup: cached, coalesced, in date


async def test_the_target_is_looked_up_once_for_all_its_hosts(asking, engine, pupil):
    await asking(ENGINE, view=pupil)
    for name in (ENGINE, OTHER, TARGET):
        answered = asking.now(name, view=pupil)
        assert SAFE in answered.data
    assert len(engine.asked) == 1


async def test_clients_wait_for_the_same_target_together(make_asking, make_upstream, pupil, until):
    release = asyncio.Event()

    async def script(ask):
        await release.wait()
        return ask.reply(f"{ask.name} 300 IN A {SAFE}")

    upstream = await make_upstream(script)
    asking = await make_asking(upstream)
    waiting = [asyncio.ensure_future(asking(name, view=pupil)) for name in (ENGINE, OTHER, TARGET) * 5]
    await until(lambda: asking.health["waiters"] == 15)
    assert asking.health["flights"] == 1
    release.set()
    assert all(SAFE in answered.data for answered in await asyncio.gather(*waiting))


async def test_the_targets_time_counts_down_and_runs_out(asking, engine, pupil, clock):
    await asking(ENGINE, view=pupil)
    clock.shift += 100
    alias, address = asking.now(ENGINE, view=pupil).ttls
    assert alias <= 300
    assert 180 <= address <= 200
    clock.shift += 250
    assert asking.now(ENGINE, view=pupil) is None
    assert (await asking(ENGINE, view=pupil)).ttls == [300, 300]
    assert len(engine.asked) == 2


async def test_a_reply_may_be_given_again_as_long_as_it_says(asking, pupil):
    await asking(ENGINE, view=pupil)
    first, second = (asking.now(ENGINE, view=pupil).reply for _ in range(2))
    assert first.packet[2:] == second.packet[2:]
    assert 0 < first.keep <= 60, "the TTL in it is a step's"
    assert asking.now(BOXED, view=pupil).reply.keep == 60
    assert asking.now(ENGINE, "HTTPS", view=pupil).reply.keep == 60


async def test_a_target_that_is_served_elsewhere_is_asked_for_there(
    make_asking, make_upstream, engine, pupil
):
    """Per-zone forwarding counts by the name that is asked for, and that is the target."""
    inner = await make_upstream()
    inner.answer(TARGET, f"{TARGET} 300 IN A 198.51.100.77")
    asking = await make_asking(engine, zones={"safe.engine.example": [inner]})
    assert "198.51.100.77" in (await asking(ENGINE, view=pupil)).data
    assert not engine.asked


async def test_a_target_may_be_a_local_name(make_asking, engine, pupil):
    local = {names.from_text(TARGET): (bytes((192, 0, 2, 9)),)}
    asking = await make_asking(engine, local_names=local)
    assert records(await asking(ENGINE, view=pupil)) == [f"{ENGINE}. {CNAME}", f"{TARGET} A 192.0.2.9"]
    assert records(await asking(ENGINE, "AAAA", view=pupil)) == [f"{ENGINE}. {CNAME}"]
    assert not engine.asked


async def test_a_local_name_does_not_open_an_engine(make_asking, engine, pupil):
    asking = await make_asking(engine, local_names={names.from_text(ENGINE): (bytes((203, 0, 113, 1)),)})
    assert (await asking(ENGINE, view=pupil)).data == [SAFE, TARGET]


# Failing is safe


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP"])
async def test_a_target_that_cannot_be_resolved_is_servfail(make_asking, make_upstream, pupil, rcode):
    """Never the unfiltered answer, though it is there for the asking."""

    def script(ask):
        return ask.reply(rcode=rcode) if ask.name == TARGET else ask.reply(f"{ask.name} 300 IN A {NAKED}")

    asking = await make_asking(await make_upstream(script))
    assert (await asking("www.example", view=pupil)).data == [NAKED]
    for _ in range(2):
        answered = await asking(ENGINE, view=pupil)
        assert (answered.rcode, answered.data, answered.outcome) == ("SERVFAIL", [], "failed")


async def test_a_silent_upstream_is_servfail(make_asking, dead_port, pupil):
    asking = await make_asking(dead_port, deadline=0.2, stale_after=0.1, fetch_timeout=0.3)
    answered = await asking(ENGINE, view=pupil)
    assert (answered.rcode, answered.codes, answered.outcome) == ("SERVFAIL", [22], "failed")


async def test_a_stale_target_helps_out(make_asking, engine, pupil, clock):
    asking = await make_asking(engine, deadline=0.3, stale_after=0.1, fetch_timeout=0.2)
    await asking(ENGINE, view=pupil)
    engine.script = lambda _ask: None
    clock.shift += 400
    answered = await asking(ENGINE, view=pupil)
    assert records(answered) == [f"{ENGINE}. {CNAME}", f"{TARGET} A {SAFE}"]
    assert (answered.outcome, answered.codes) == ("rewritten", [3])
    assert answered.reply.keep == 0


async def test_a_missing_target_is_missing(asking, engine, pupil):
    """RFC 6604 section 3: the alias is there, its end is not."""
    for qtype in ("A", "AAAA"):
        engine.records.pop((TARGET, qtype))
    answered = await asking(ENGINE, view=pupil)
    assert (answered.rcode, records(answered)) == ("NXDOMAIN", [f"{ENGINE}. {CNAME}"])


async def test_a_missing_parent_of_the_target_says_nothing_about_the_engine(asking, engine, pupil):
    """The NXDOMAIN cut (RFC 8020) is about the target's parent; the alias still stands before it."""
    engine.records.clear()
    assert (await asking("engine.example", view=pupil)).rcode == "NXDOMAIN"
    answered = await asking(ENGINE, view=pupil)
    assert records(answered) == [f"{ENGINE}. {CNAME}"]


async def test_a_private_address_of_a_target_is_dropped(asking, engine, pupil):
    engine.answer(TARGET, f"{TARGET} 300 IN A 192.168.1.1")
    answered = await asking(ENGINE, view=pupil)
    assert (answered.data, answered.outcome, answered.verdict.reason) == ([], "blocked", Reason.REBINDING)


async def test_without_recursion_desired_only_the_cache_is_seen(asking, engine, pupil):
    answered = await asking(ENGINE, view=pupil, rd=False)
    assert (answered.rcode, engine.asked) == ("REFUSED", [])
    await asking(ENGINE, view=pupil)
    assert SAFE in (await asking(ENGINE, view=pupil, rd=False)).data


async def test_ad_is_never_set(make_asking, make_upstream, pupil):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 300 IN A {SAFE}", ad=True))
    asking = await make_asking(upstream, trusted_ad=True)
    assert (await asking("www.example", want_dnssec=True)).has("AD")
    for _ in range(2):
        assert not (await asking(ENGINE, view=pupil, want_dnssec=True)).has("AD")


# Policy goes on speaking


async def test_a_blocked_engine_stays_blocked(asking, pupil, make_view):
    strict = make_view(block=(ENGINE,), rewrites=pupil.rewrites)
    answered = await asking(ENGINE, view=strict)
    assert (answered.rcode, answered.outcome) == ("NXDOMAIN", "blocked")


@pytest.mark.parametrize("qtype", ["A", "AAAA", "CNAME"])
async def test_a_target_that_policy_blocks_is_blocked(asking, engine, pupil, qtype):
    answered = await asking(TUBE, qtype, view=pupil)
    assert (answered.rcode, answered.outcome, answered.verdict.category) == (
        "NXDOMAIN",
        "blocked",
        "gambling",
    )
    assert not engine.asked


async def test_an_engine_that_people_opened_has_its_target_opened_too(asking, engine, pupil, make_view):
    """www.youtube.com by a name rule, while its target stands in a blocked category like all of YouTube."""
    engine.answer("restricted.casino.example.", f"restricted.casino.example. 300 IN A {SAFE}")
    opened = make_view(allow=(TUBE,), rewrites=pupil.rewrites)
    answered = await asking(TUBE, view=opened)
    assert (answered.outcome, SAFE in answered.data) == ("rewritten", True)


async def test_where_a_target_leads_is_checked(asking, engine, pupil):
    engine.answer(TARGET, f"{TARGET} 300 IN CNAME casino.example.", f"casino.example. 300 IN A {SAFE}")
    answered = await asking(ENGINE, view=pupil)
    assert (answered.outcome, answered.verdict.category, answered.data) == ("blocked", "gambling", [])


async def test_a_target_that_leads_back_to_its_engine_is_no_loop(asking, engine, pupil):
    """The front end decides by its own name; where its provider lets that lead is the provider's matter."""
    engine.answer(TARGET, f"{TARGET} 300 IN CNAME {ENGINE}.", f"{ENGINE}. 300 IN A {SAFE}")
    answered = await asking(ENGINE, view=pupil)
    assert (answered.outcome, SAFE in answered.data) == ("rewritten", True)


# An alias of an engine


@pytest.mark.parametrize(("qtype", "address"), [("A", SAFE), ("AAAA", SAFE6)])
async def test_an_alias_of_an_engine_is_no_way_round(asking, engine, pupil, qtype, address):
    """html.duckduckgo.com, say: the engine's servers serve their search by the alias as well."""
    for _ in range(3):  # fetched, then from the cache
        answered = await asking("html.example", qtype, view=pupil)
        assert records(answered) == [f"html.example. {CNAME}", f"{TARGET} {qtype} {address}"]
        assert (answered.outcome, answered.verdict.reason) == ("rewritten", Reason.SAFE_SEARCH)
        assert NAKED not in answered.message.to_text()
    assert engine.questions == [("html.example.", qtype, "udp"), (TARGET, qtype, "udp")]


async def test_an_alias_holds_no_longer_than_it_was_told(asking, pupil, clock):
    await asking("html.example", view=pupil)
    clock.shift += 38.5
    assert asking.now("html.example", view=pupil).reply.keep <= 1.5
    clock.shift += 5
    assert asking.now("html.example", view=pupil) is None


async def test_an_alias_of_an_engine_with_a_fixed_address(asking, pupil, clock):
    assert (await asking("boxalias.example", view=pupil)).data == ["213.180.193.56"]
    clock.shift += 30
    answered = asking.now("boxalias.example", view=pupil)
    assert answered.data == ["213.180.193.56"]
    assert answered.reply.keep <= 10


async def test_a_service_record_of_another_name_does_not_lead_to_an_engine(asking, pupil):
    """Its hints are the engine's addresses (RFC 9460 section 7.3)."""
    answered = await asking("svc.example", "HTTPS", view=pupil)
    assert (answered.rcode, answered.data, answered.outcome) == ("NOERROR", [], "rewritten")


async def test_an_alias_is_free_for_who_has_no_safe_search(asking, view, pupil):
    assert NAKED in (await asking("html.example", view=view)).data
    assert NAKED not in (await asking("html.example", view=pupil)).data
    assert NAKED in (await asking("html.example", view=view)).data


async def test_an_alias_whose_engine_fails_is_servfail(make_asking, make_upstream, pupil):
    def script(ask):
        if ask.name == TARGET:
            return ask.reply(rcode="SERVFAIL")
        return ask.reply(f"{ask.name} 40 IN CNAME {ENGINE}.", f"{ENGINE}. 300 IN A {NAKED}")

    asking = await make_asking(await make_upstream(script))
    for _ in range(3):  # the second time the failure is remembered, and the alias in the cache
        answered = await asking("html.example", view=pupil)
        assert (answered.rcode, answered.data, answered.outcome) == ("SERVFAIL", [], "failed")


async def test_an_alias_whose_target_is_slow_keeps_the_deadline(make_asking, make_upstream, pupil, until):
    async def script(ask):
        if ask.name == TARGET:
            return None
        return ask.reply(f"{ask.name} 40 IN CNAME {ENGINE}.", f"{ENGINE}. 300 IN A {NAKED}")

    asking = await make_asking(await make_upstream(script), deadline=0.3, stale_after=0.2, fetch_timeout=0.5)
    answered = await asking("html.example", view=pupil)
    assert (answered.rcode, answered.codes, answered.data) == ("SERVFAIL", [22], [])
    await until(lambda: asking.health["flights"] == 0)
    assert asking.health["waiters"] == 0


async def test_a_stale_alias_never_shows_the_engine(make_asking, engine, pupil, clock):
    asking = await make_asking(engine, deadline=0.3, stale_after=0.1, fetch_timeout=0.2)
    await asking("html.example", view=pupil)
    engine.script = lambda _ask: None
    clock.shift += 1000
    answered = await asking("html.example", view=pupil)
    assert records(answered) == [f"html.example. {CNAME}", f"{TARGET} A {SAFE}"]
    assert (answered.outcome, answered.reply.keep) == ("rewritten", 0)


async def test_a_stale_alias_with_an_unknown_target_is_servfail(make_asking, engine, view, pupil, clock):
    asking = await make_asking(engine, deadline=0.3, stale_after=0.1, fetch_timeout=0.2)
    await asking("html.example", view=view)  # the alias is known, its safe target is not
    engine.script = lambda _ask: None
    clock.shift += 1000
    answered = await asking("html.example", view=pupil)
    assert (answered.rcode, answered.data, answered.outcome) == ("SERVFAIL", [], "failed")
    assert NAKED in (await asking("html.example", view=view)).data, "who may see it gets the stale answer"


async def test_an_alias_finds_no_room_to_wait_for_its_target(make_asking, make_upstream, pupil, monkeypatch):
    """The first question lands, the second finds the house full: told at once, and nobody is left waiting."""

    def script(ask):
        return ask.reply(f"{ask.name} 40 IN CNAME {ENGINE}.", f"{ENGINE}. 300 IN A {NAKED}")

    asking = await make_asking(await make_upstream(script))
    join = inflight.Flights.join

    def full(self, key, waiter):
        return None if key.name == names.from_text(TARGET) else join(self, key, waiter)

    monkeypatch.setattr(inflight.Flights, "join", full)
    answered = await asking("html.example", view=pupil)
    assert (answered.rcode, answered.data) == ("SERVFAIL", [])
    assert asking.health["waiters"] == asking.health["flights"] == 0


async def test_an_allowed_alias_is_rewritten_all_the_same(asking, pupil, make_view):
    """That somebody opened a name says nothing about how strict a search is."""
    opened = make_view(allow=("html.example", ENGINE), rewrites=pupil.rewrites)
    for name in ("html.example", ENGINE):
        answered = await asking(name, view=opened)
        assert (answered.outcome, NAKED in answered.data) == ("rewritten", False)


async def test_a_blocked_name_on_the_way_goes_before_an_engine(asking, engine, pupil):
    engine.answer(
        "bad.example.",
        "bad.example. 300 IN CNAME casino.example.",
        f"casino.example. 300 IN CNAME {ENGINE}.",
        f"{ENGINE}. 300 IN A {NAKED}",
    )
    answered = await asking("bad.example", view=pupil)
    assert (answered.outcome, answered.verdict.category) == ("blocked", "gambling")


async def test_a_renamed_tree_is_no_way_round(asking, engine, pupil):
    """DNAME (RFC 6672): the name it makes is the engine's."""
    engine.answer(
        "www.tree.example.",
        "tree.example. 300 IN DNAME engine.example.",
        f"www.tree.example. 300 IN CNAME {ENGINE}.",
        f"{ENGINE}. 300 IN A {NAKED}",
    )
    assert records(await asking("www.tree.example", view=pupil)) == [
        f"www.tree.example. {CNAME}",
        f"{TARGET} A {SAFE}",
    ]


async def test_an_answer_that_is_nearly_old_is_fetched_anew_for_the_target(
    asking, engine, pupil, clock, until
):
    await asking(ENGINE, view=pupil)
    clock.shift += 285
    assert asking.now(ENGINE, view=pupil).outcome == "rewritten"
    await until(lambda: len(engine.asked) == 2)
    assert {name for name, _, _ in engine.questions} == {TARGET}


@settings(max_examples=300, deadline=None)
@given(
    way=st.lists(st.sampled_from([ENGINE, OTHER, BOXED, *"abcdef"]), min_size=1, max_size=6, unique=True),
    qtype=st.sampled_from(["A", "AAAA", "HTTPS", "CNAME", "ANY"]),
)
def test_no_way_shows_an_engines_own_addresses(index, pupil, request_for, way, qtype):
    """Whatever chain of aliases an upstream tells: with an engine on it nobody sees where it ends."""
    chain = [name if "." in name else f"{name}.example" for name in way]
    core = Core(ResolverSettings(), index, lambda: 0.0, lambda _name: 0)
    lookup = core.begin(request_for(chain[0], qtype, view=pupil, transport="tcp"))
    reply = run(core, lookup, STAGES)
    if reply is None and lookup.rewrite is None:
        message = dns.message.make_response(dns.message.make_query(chain[0], qtype), recursion_available=True)
        links = itertools.pairwise(chain)
        texts = [f"{one}. 300 IN CNAME {other}." for one, other in links]
        texts += [f"{chain[-1]}. 300 IN A {NAKED}"] if qtype in ("A", "ANY") else []
        texts += [f"{chain[-1]}. 300 IN AAAA 2001:db8:bad::1"] if qtype == "AAAA" else []
        texts += [f"{chain[-1]}. 300 IN HTTPS 1 . ipv4hint={NAKED}"] if qtype == "HTTPS" else []
        for text in texts:
            owner, ttl, rdclass, rdtype, data = text.split(" ", 4)
            message.answer.append(dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, data))
        entry = core.land(lookup.key, Fetched(parse_answer(message.to_wire())))
        assert isinstance(entry, Entry)
        reply = core.answer(lookup, entry)
    engines = {ENGINE, OTHER, BOXED} & set(chain)
    if reply is None:
        assert engines
        assert names.to_text(lookup.key.name) == TARGET[:-1], "now the front end is asked for"
    elif engines:
        assert NAKED not in dns.message.from_wire(reply.packet).to_text()
        assert reply.outcome == "rewritten"

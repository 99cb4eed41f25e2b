from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.events import collapse, outboxrows
from filterd.events.batch import BUCKET_SECONDS, Event
from filterd.events.delivery import compose
from filterd.events.outboxreader import StoredBatch
from filterd.events.pseudonym import Pseudonyms
from filterd.events.registrable import spoken
from filterd.rules.categories import Categories
from filterd.rules.verdict import ALLOWED, Action, Reason, Verdict
from filterd.rules.view import View
from filterd.wire import names

AT = 1_760_000_123
BUCKET = AT - AT % BUCKET_SECONDS
A, AAAA, HTTPS = 1, 28, 65


@pytest.fixture
def run():
    pseudonyms = Pseudonyms(b"s" * 32)

    def collapsed(*lookups, at: int = AT):
        return collapse.collapse(lookups, at=at, pseudonym=pseudonyms, spoken=spoken)

    return collapsed


def test_the_types_of_one_name_are_one_event(run, lookup):
    counts = run(lookup(qtype=A), lookup(qtype=AAAA), lookup(qtype=HTTPS), lookup(qtype=A))
    ((key, count),) = counts.items()
    assert count == 4
    assert key._replace(pseudonym="") == collapse.EventKey(
        bucket=BUCKET,
        group="class-7a",
        tier="middle",
        pseudonym="",
        domain="example.kz",
        name="www.example.kz",
        category="games",
        list="local-games",
        rule="example.kz",
        layer="catalogue",
        verdict="block",
        reason="category",
    )


def test_equal_values_in_other_objects_are_one_event(run, lookup, view, verdict):
    twin = lookup(view=dataclasses.replace(view), verdict=dataclasses.replace(verdict))
    assert list(run(lookup(), twin).values()) == [2]


def test_other_names_devices_groups_and_verdicts_are_events_of_their_own(run, lookup, view, verdict):
    counts = run(
        lookup(),
        lookup("m.example.kz"),
        lookup(client=b"\x0a\x00\x00\x08"),
        lookup(mac=b"\x02\x00\x00\x00\x00\x01"),
        lookup(view=dataclasses.replace(view, group="class-7b")),
        lookup(verdict=dataclasses.replace(verdict, category="social")),
        lookup(verdict=dataclasses.replace(verdict, list_id="other")),
        lookup(verdict=dataclasses.replace(verdict, rule="kz")),
    )
    assert list(counts.values()) == [1] * 8


def test_the_next_bucket_is_another_event(run, lookup):
    early, late = run(lookup(), at=BUCKET), run(lookup(), at=BUCKET + BUCKET_SECONDS - 1)
    following = run(lookup(), at=BUCKET + BUCKET_SECONDS)
    assert early == late
    assert early.keys().isdisjoint(following)


def test_an_allowed_lookup_is_never_an_event(run, lookup):
    assert run(lookup(verdict=ALLOWED)) == {}


def test_a_verdict_without_category_list_or_rule(run, lookup):
    counts = run(lookup(verdict=Verdict(Action.BLOCK, Reason.NAME_RULE, layer="school")))
    (event,), refused = collapse.to_events(counts)
    assert (event.category, event.list, event.rule, event.reason, refused) == ("", "", "", "name_rule", 0)


def test_a_rewritten_lookup_is_an_event(run, lookup, verdict):
    (key,) = run(lookup(verdict=dataclasses.replace(verdict, action=Action.REWRITE)))
    assert key.verdict == "rewrite"


def test_texts_over_the_schemas_bound_are_cut(run, lookup, verdict):
    long = dataclasses.replace(verdict, list_id="l" * 100, rule="r" * 2000, layer="y" * 100)
    (event,), _ = collapse.to_events(run(lookup(verdict=long)))
    assert (len(event.list), len(event.rule), len(event.layer)) == (64, 1100, 64)


@pytest.mark.parametrize("rule", ["\ud800", "x\udcffy"])
def test_text_that_is_no_unicode_is_refused_not_fatal(run, lookup, verdict, rule):
    counts = run(lookup(verdict=dataclasses.replace(verdict, rule=rule)), lookup("other.kz"))
    events, refused = collapse.to_events(counts)
    assert ([event.name for event in events], refused) == (["other.kz"], 1)


def test_an_id_that_is_none_is_refused_alone(run, lookup, view):
    counts = run(lookup(), lookup(view=dataclasses.replace(view, group="Класс 7")))
    events, refused = collapse.to_events(counts)
    assert (len(events), refused) == (1, 1)


def test_adding_is_bounded_and_counts_what_found_no_room(run, lookup):
    into = run(lookup())
    more = run(lookup(), lookup("b.kz"), lookup("b.kz"), lookup("c.kz"))
    assert collapse.add(into, more, limit=2) == 1
    assert sorted(into.values()) == [2, 2]


clients = st.one_of(
    st.binary(min_size=3, max_size=3).map(b"\x0a".__add__),
    st.binary(min_size=2, max_size=2).map(b"\xc0\xa8".__add__),
    st.binary(min_size=14, max_size=14).map(b"\xfd\x9a".__add__),
    st.binary(min_size=14, max_size=14).map(b"\xfe\x80".__add__),
)
macs = st.none() | st.binary(min_size=5, max_size=5).map(b"\xf2".__add__)
labels = st.text("ghijklmnopqrstuvwxyz", min_size=1, max_size=12)  # no hex digits: see the privacy test
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
views = st.builds(
    View,
    categories=st.just(Categories(())),
    group=st.sampled_from(["staff", "guest"]),
    tier=st.just("middle"),
)
verdicts = st.one_of(
    st.just(ALLOWED),
    st.builds(
        Verdict,
        st.sampled_from([Action.BLOCK, Action.REWRITE]),
        st.sampled_from(list(Reason)),
        st.none() | st.sampled_from(["games", "social"]),
        st.none() | st.just("local"),
        st.none() | domains,
        st.none() | st.just("school"),
    ),
)


@st.composite
def many_lookups(draw):
    some = st.lists
    pool = [
        draw(some(strategy, min_size=1, max_size=3))
        for strategy in (clients, macs, views, domains.map(names.from_text), st.just(1), verdicts)
    ]
    return draw(some(st.tuples(*map(st.sampled_from, pool)), max_size=40))


@given(many_lookups(), st.integers(0, 2**37))  # up to the year 6325
def test_no_lookup_is_lost_or_invented(lookups, at):
    counts = collapse.collapse(lookups, at=at, pseudonym=Pseudonyms(b"s" * 32), spoken=lambda n: (str(n), ""))
    blocked = [one for one in lookups if one[5] is not ALLOWED]
    assert sum(counts.values()) == len(blocked)
    assert len(counts) <= len(blocked)
    by_name = Counter(str(one[3]) for one in blocked)
    assert by_name == sum((Counter({key.name: count}) for key, count in counts.items()), Counter())
    assert all(key.bucket % BUCKET_SECONDS == 0 and 0 <= at - key.bucket < BUCKET_SECONDS for key in counts)


@given(many_lookups())
def test_events_fit_the_schema_and_keep_their_counts(lookups):
    counts = collapse.collapse(lookups, at=AT, pseudonym=Pseudonyms(b"s" * 32), spoken=spoken)
    events, refused = collapse.to_events(counts)
    assert refused == 0
    assert {tuple(event.model_dump().values()) for event in events} == {(*k, n) for k, n in counts.items()}


def traces(client: bytes, mac: bytes | None) -> list[bytes]:
    """Every form in which an address or MAC could be found in a text."""
    address = ipaddress.ip_address(client)
    raw = [client, client[::-1]] + ([mac, mac[::-1]] if mac else [])
    texts = [str(address), address.exploded, address.reverse_pointer, str(int(address))]
    for one in raw:
        texts += [one.hex(), one.hex().upper(), one.hex(":"), one.hex("-"), repr(one), str(list(one))]
    return [text.encode() for text in texts] + raw


@given(many_lookups())
def test_a_batch_holds_no_address_and_no_mac_in_any_form(lookups):
    counts = collapse.collapse(lookups, at=AT, pseudonym=Pseudonyms(b"s" * 32), spoken=spoken)
    events, _ = collapse.to_events(counts)
    stored = [StoredBatch(1, payload) for payload, _ in outboxrows.payloads(events)]
    body = compose(box="box", school="school", stream="0" * 32, batches=stored, health=None)
    assert all(
        set(event) == set(Event.model_fields)
        for batch in json.loads(body)["batches"]
        for event in batch["events"]
    )
    for client, mac, *_ in lookups:
        for trace in traces(client, mac):
            assert trace not in body

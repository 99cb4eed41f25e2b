"""The cache: bounded in bytes, never extended, and a scan does not flush what is popular."""

from __future__ import annotations

import itertools
import random
import tracemalloc

import dns.message
import dns.rrset
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from filterd.resolver.cache import ANY_TYPE, Cache, Entry, Key
from filterd.wire import names
from filterd.wire.answer import parse_answer
from filterd.wire.constants import Class, Rcode, Type
from filterd.wire.stored import StoredAnswer, store

STALE = 1000.0


def key(name="www.example", qtype=Type.A, zone=0, bits=0):
    return Key(zone, names.from_text(name), qtype, Class.IN, bits)


def answer(ttl=60, rcode=Rcode.NOERROR, answers=1, size=40):
    return StoredAnswer(rcode, False, False, rcode != 0, answers, 0, bytes(size), ((6, ttl),), ttl, ())


def entry(at=0.0, ttl=60, stale=STALE, **more):
    return Entry(answer(ttl, **more), (), False, at, at + ttl, at + ttl + stale)


def missing(at=0.0, ttl=60):
    return entry(at, ttl, rcode=Rcode.NXDOMAIN, answers=0)


def test_what_was_put_is_found_until_it_dies():
    cache = Cache(1 << 20)
    kept = entry()
    assert cache.put(key(), kept)
    assert cache.get(key(), 0.0) is kept
    assert cache.get(key(), 60.0 + STALE - 1) is kept  # stale: the caller sees it by `expires`
    assert cache.get(key(), 60.0 + STALE) is None
    assert (len(cache), cache.bytes) == (0, 0)


@pytest.mark.parametrize(
    "other", [key("xwww.example"), key(qtype=Type.AAAA), key(zone=1), key(bits=1), key(bits=2)]
)
def test_zone_name_type_do_and_cd_keep_entries_apart(other):
    cache = Cache(1 << 20)
    cache.put(key(), entry())
    assert cache.get(other, 0.0) is None


def test_2308_a_missing_name_is_missing_for_every_type():
    cache = Cache(1 << 20)
    gone = missing()
    cache.put(key(qtype=Type.AAAA), gone)
    assert cache.get(key(qtype=Type.TXT), 0.0) is gone
    assert cache.get(key(qtype=Type.TXT, bits=1), 0.0) is None


def test_type_0_is_a_type_like_any_other():
    cache = Cache(1 << 20)
    cache.put(key(qtype=0), entry())
    assert cache.get(key(), 0.0) is None
    assert ANY_TYPE < 0


def test_8020_names_below_a_missing_name_are_missing_while_that_is_fresh():
    cache = Cache(1 << 20)
    cache.put(key("gone.example"), missing())
    assert cache.missing_above(key("www.gone.example", Type.MX), 10.0) == 50.0
    assert cache.missing_above(key("a.b.c.gone.example"), 0.0) == 60.0
    assert cache.missing_above(key("www.gone.example"), 60.0) == 0
    for other in (key("notgone.example"), key("example"), key("."), key("gone.example")):
        assert cache.missing_above(other, 0.0) == 0
    assert cache.missing_above(key("www.gone.example", zone=1), 0.0) == 0
    assert cache.get(key("www.gone.example"), 0.0) is None


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_8020_who_validates_wants_a_proof_for_the_name_itself(bits):
    cache = Cache(1 << 20)
    cache.put(key("gone.example", bits=bits), missing())
    assert cache.missing_above(key("www.gone.example", bits=bits), 0.0) == 0


@pytest.mark.parametrize("kept", [entry(rcode=Rcode.NXDOMAIN, answers=1), entry(answers=0), entry()])
def test_8020_neither_an_alias_to_a_missing_name_nor_nodata_nor_data_cuts(kept):
    cache = Cache(1 << 20)
    cache.put(key("alias.example"), kept)
    assert cache.missing_above(key("www.alias.example"), 0.0) == 0
    assert cache.get(key("alias.example", Type.MX), 0.0) is None


def test_of_two_stale_entries_the_newer_one_speaks():
    cache = Cache(1 << 20)
    old, gone = entry(at=0.0), missing(at=100.0)
    cache.put(key(), old)
    cache.put(key(), gone)
    assert cache.get(key(), 500.0) is gone
    newer = entry(at=600.0)
    cache.put(key(), newer)
    assert cache.get(key(), 700.0) is newer


def test_an_answer_replaces_the_one_before_and_its_bytes():
    cache = Cache(1 << 20)
    cache.put(key(), entry(size=4000))
    before = cache.bytes
    second = entry(at=5.0, size=40)
    cache.put(key(), second)
    assert cache.get(key(), 5.0) is second
    assert cache.bytes == before - 3960
    assert len(cache) == 1


def test_one_answer_cannot_take_the_whole_cache_and_drops_what_it_replaces():
    cache = Cache(64 << 10)
    cache.put(key(), entry())
    assert not cache.put(key(), entry(size=8 << 10))
    assert cache.get(key(), 0.0) is None
    assert (cache.too_large, len(cache), cache.bytes) == (1, 0, 0)


def test_a_scan_does_not_flush_what_is_popular():
    cache = Cache(1 << 20)
    popular = [key(f"p{number}.example") for number in range(200)]
    for one in popular:
        cache.put(one, entry())
        cache.get(one, 1.0)
    for number in range(20_000):  # about twenty times the cache, nobody asks for them again
        cache.put(key(f"scan{number}.example"), entry())
    assert cache.evicted > 15_000
    found = sum(cache.get(one, 2.0) is not None for one in popular)
    assert found == len(popular)


def test_a_flood_of_missing_names_leaves_popular_ones_in_place():
    cache = Cache(1 << 20)
    rng = random.Random(1)
    popular = [key(f"p{number}.example") for number in range(200)]
    hits = 0
    for number in range(30_000):  # nine of ten questions belong to the flood
        cache.put(key(f"{rng.random()}.victim.example"), missing())
        if number % 10 == 0:
            one = rng.choice(popular)
            if cache.get(one, 1.0) is None:
                cache.put(one, entry())
            elif number > 15_000:
                hits += 1
    assert hits > 0.85 * 1500


def test_what_is_not_asked_for_leaves_in_the_end():
    cache = Cache(1 << 20)
    old = [key(f"old{number}.example") for number in range(200)]
    for one in old:
        cache.put(one, entry())
        cache.get(one, 0.0)
    for round_ in range(3):  # another popularity: these are asked for twice each
        for number in range(3000):
            new = key(f"new{round_}-{number}.example")
            cache.put(new, entry())
            cache.get(new, 0.0)
    assert sum(cache.get(one, 1.0) is not None for one in old) < 20


def test_clear_forgets_everything():
    cache = Cache(1 << 20)
    for number in range(10):
        cache.put(key(f"n{number}.example"), missing())
    cache.clear()
    assert (len(cache), cache.bytes, cache.get(key("n1.example"), 0.0)) == (0, 0, None)


def real_answers(count):
    for number in range(count):
        name = f"host{number}.some-school.example."
        reply = dns.message.make_response(dns.message.make_query(name, "A"))
        reply.answer.append(dns.rrset.from_text(name, 300, "IN", "CNAME", f"edge{number}.cdn.example."))
        reply.answer.append(
            dns.rrset.from_text(f"edge{number}.cdn.example.", 60, "IN", "A", "192.0.2.1", "192.0.2.2")
        )
        yield name, reply.to_wire()


def test_the_bytes_counted_are_the_bytes_taken():
    wires = list(real_answers(5000))
    cache = Cache(64 << 20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for name, wire in wires:
            parsed = parse_answer(bytes(bytearray(wire)))
            target = bytes(bytearray(parsed.records[0].target))
            cache.put(key(name), Entry(store(parsed), (target,), False, 0.5, 60.5, 1000.5))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.7 < (after - before) / cache.bytes < 1.05


NAMES = [f"{label}.example" for label in "abcdefgh"] + ["x.a.example", "y.x.a.example", "x.b.example"]


class CacheMachine(RuleBasedStateMachine):
    """Random lives of a small cache against what was ever put into it."""

    @initialize()
    def begin(self):
        self.cache = Cache(16 * 1600)
        self.now = 0.0
        self.latest: dict[Key, Entry] = {}
        self.shown: dict[int, tuple[Entry, float]] = {}
        self.size = itertools.count()

    @rule(
        name=st.sampled_from(NAMES),
        qtype=st.sampled_from([Type.A, Type.AAAA, 0]),
        bits=st.integers(0, 3),
        ttl=st.integers(1, 30),
        stale=st.sampled_from([0, 10]),
        gone=st.booleans(),
        size=st.integers(0, 900),
    )
    def put(self, name, qtype, bits, ttl, stale, gone, size):  # noqa: PLR0917
        kept = entry(self.now, ttl, stale, rcode=3 if gone else 0, answers=0 if gone else 1, size=size)
        where = key(name, ANY_TYPE if gone else qtype, bits=bits)
        self.latest.pop(where, None)
        if self.cache.put(key(name, qtype, bits=bits), kept):
            self.latest[where] = kept

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds):
        self.now += seconds

    @rule(name=st.sampled_from(NAMES), qtype=st.sampled_from([Type.A, Type.AAAA, 0]), bits=st.integers(0, 3))
    def get(self, name, qtype, bits):
        found = self.cache.get(key(name, qtype, bits=bits), self.now)
        if found is None:
            return
        assert found.dies > self.now
        left = found.expires - self.now
        last = self.shown.get(id(found))
        if last is not None:
            assert left <= last[1]  # what is left of a TTL never grows
        self.shown[id(found)] = found, left
        assert found in (
            self.latest.get(key(name, qtype, bits=bits)),
            self.latest.get(key(name, ANY_TYPE, bits=bits)),
        )

    @rule(name=st.sampled_from(NAMES))
    def ask_the_parents(self, name):
        left = self.cache.missing_above(key(name), self.now)
        if left:
            gone = [where.name for where, kept in self.latest.items() if kept.expires == self.now + left]
            assert any(names.is_under(names.from_text(name), parent) for parent in gone)

    @rule(name=st.sampled_from(NAMES), bits=st.integers(0, 3))
    def drop(self, name, bits):
        self.cache.drop(key(name, bits=bits))
        self.latest.pop(key(name, bits=bits), None)

    @invariant()
    def the_bound_holds(self):
        if hasattr(self, "cache"):
            assert 0 <= self.cache.bytes <= self.cache.capacity
            assert len(list(self.cache)) == len(self.cache)
            assert (self.cache.bytes == 0) == (len(self.cache) == 0)

    @invariant()
    def only_the_latest_is_kept(self):
        if hasattr(self, "cache"):
            assert all(self.latest.get(where) is kept for where, kept in self.cache)

    @invariant()
    def the_list_and_the_table_agree(self):
        if hasattr(self, "cache"):
            node, seen = self.cache._oldest, 0
            while node is not None:
                seen += 1
                node = node.newer
            assert seen == len(self.cache)
            assert self.cache._missing == sum(where.qtype == ANY_TYPE for where, _ in self.cache)


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)

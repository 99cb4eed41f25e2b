"""65,536 real queries, asked of the filter and of its upstream: the same, except where policy says otherwise.

The full lists of the sample data are compiled by the command and served. Every answer is foretold: by
``decide`` for the name, and for the names that the upstream's own answer leads to; what differs without a
reason, and what should differ and does not, fails.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from collections import Counter
from pathlib import Path

import dns.name
import pytest
import yaml
from _programs import Filterd
from _reallists import catalogue
from _replay import AAAA, CNAME, HTTPS, TTL, A, questions, read_names, replay, said, zone_lines
from _world import SCHOOL

from filterd.app.policyfiles import verified
from filterd.config.load import load_config
from filterd.config.paths import shipped
from filterd.lists import activate
from filterd.resolver.check import stands
from filterd.resolver.settings import CANARIES
from filterd.resolver.special import special
from filterd.rules.decide import permit
from filterd.rules.explain import explain_client
from filterd.rules.index import Index
from filterd.rules.verdict import Action

pytestmark = pytest.mark.realdata

CLIENTS = [f"127.0.2.{number}" for number in range(1, 33)]


@pytest.fixture(scope="module")
def names(realdata):
    found = read_names(realdata / "queries" / "knot-bench_lru_set1.tsv")
    assert len(found) == 65_536
    return found


@pytest.fixture(scope="module")
def upstream(make_unbound, names):
    extra = "  rrset-roundrobin: no\n  num-queries-per-thread: 4096\n  outgoing-range: 8192\n"
    return make_unbound("\n".join((*zone_lines(names), *fronts())) + "\n", extra=extra)


@pytest.fixture(scope="module")
def filtered(realdata, upstream, tmp_path_factory):
    """A school's filter with all lists; compiled by the command before it starts."""
    folder = tmp_path_factory.mktemp("replay")
    school = folder / "school.yaml"
    school.write_text(yaml.safe_dump(SCHOOL, allow_unicode=True))
    lists = catalogue(realdata / "lists", folder / "sources.yaml")
    config = {
        "upstreams": [f"127.0.0.1:{upstream.port}"],
        "lists": {
            "catalogue": str(folder / "sources.yaml"),
            "categories": str(shipped("blocklists", "categories.yaml")),
        },
        "policy": {"baseline": str(shipped("policies", "baseline.yaml")), "school": str(school)},
        "limits": {"queries_per_second": 0},
        "cache": {"size_mib": 256},
    }
    running = Filterd(folder / "f", config)
    try:
        began = time.monotonic()
        running.say("Ctrl-C ends it.", 300)
        yield running, lists, time.monotonic() - began
        assert running.end() == 0
    finally:
        running.kill()


class Oracle:
    """Foretells what the filter answers, from the policy, the index and the upstream's own answer."""

    def __init__(self, running, index):
        self.policy = verified(load_config(running.config))
        self.view = self.policy.view("pupils")
        self.index = index
        self.verdicts = {}

    def permit(self, name):
        if name not in self.verdicts:
            self.verdicts[name] = permit(name, self.view, self.index)
        return self.verdicts[name]

    def reason(self, name, direct):
        """Return why the filter's answer is not the upstream's; empty when it is."""
        if special(name, ()) is not None or name in CANARIES:
            return "special name"
        verdict = self.permit(name)
        if verdict.action is Action.BLOCK:
            return f"blocked: {verdict.category or verdict.rule}"
        if name in self.view.rewrites:
            return "safe search"
        return self.because_of_targets(verdict, direct) or ("private address" if has_private(direct) else "")

    def because_of_targets(self, verdict, direct):
        there = list(targets(direct))
        for target in there:
            its = self.permit(target)
            if its.action is Action.BLOCK and stands(its, verdict, self.view, self.index):
                return "leads to a blocked name"
        return "safe search behind an alias" if any(one in self.view.rewrites for one in there) else ""

    def fits(self, reason, one, ours, same):
        """Whether an answer is what the reason foretells."""
        if not reason:
            return same
        if reason == "special name":
            return ours.rcode in (0, 3)
        if reason.startswith("safe search"):
            return ours.rcode == 0 and self.is_safe(one, ours)
        if reason == "private address":
            return ours.rcode == 0 and not ours.records
        return ours.rcode == 3 and not ours.records

    def is_safe(self, one, ours):
        """Only a safe front end's addresses, behind an alias to it or without; other types have no data."""
        if one.qtype not in (A, AAAA):
            return not ours.records
        fronts = {rewrite.target.name for rewrite in self.view.rewrites.values()}
        aliases = {data for _, rtype, data in ours.records if rtype == CNAME}
        addresses = [data for _, rtype, data in ours.records if rtype != CNAME]
        if aliases:
            return aliases <= fronts and set(addresses) <= {SAFE}
        targets = [rewrite.target for rewrite in self.view.rewrites.values()]
        published = {address for target in targets for address in (*target.v4, *target.v6)}
        return bool(addresses) and set(addresses) <= published


SAFE = bytes((198, 51, 100, 33))
"""The address of every safe front end in the upstream's zone."""


def fronts():
    """Yield the zone's lines of the safe front ends."""
    engines = yaml.safe_load(shipped("blocklists", "safe_search.yaml").read_text())["engines"]
    for engine in engines.values():
        for level in engine["levels"].values():
            if "cname" in level:
                yield f"{level['cname']}. {TTL} IN A {ipaddress.ip_address(SAFE)}"


def targets(answer):
    for _, rtype, data in answer.records:
        if rtype == CNAME:
            yield data
        elif rtype == HTTPS and data[2]:
            yield data[2 : data.index(b"\0", 2) + 1]


PRIVATE = [
    ipaddress.ip_network(one) for one in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16")
]


def has_private(answer):
    addresses = [ipaddress.ip_address(data) for _, rtype, data in answer.records if rtype == A]
    return any(address in network for address in addresses for network in PRIVATE)


def test_the_full_lists_are_served(filtered, realdata):
    running, lists, seconds = filtered
    shown = running.run("lists", "show")
    assert shown.returncode == 0
    assert shown.stdout.count(" in use") == lists
    path = activate.current(running.state / "lists")
    index = Index.open(path)
    assert index.names > 1_100_000
    index.close()
    assert seconds < 300


def test_the_replay(filtered, upstream, names, realdata):
    running, lists, started = filtered
    asked = questions(names, len(CLIENTS))
    began = time.monotonic()
    direct = replay(upstream.server, asked, CLIENTS)
    between = time.monotonic()
    through = replay(running.v4, asked, CLIENTS)
    ended = time.monotonic()
    again = replay(running.v4, asked, CLIENTS)  # from the cache, and what was asked often from memory

    index = Index.open(activate.current(running.state / "lists"))
    oracle = Oracle(running, index)
    counts = Counter()
    unexplained = []
    for one, its_direct, its_through, its_again in zip(asked, direct, through, again, strict=True):
        end = 2 + len(one.query)
        theirs, ours, later = said(its_direct, end), said(its_through, end), said(its_again, end)
        assert (later.rcode, later.records) == (ours.rcode, ours.records), one.name
        name = one.query[10:-4].lower()
        reason = oracle.reason(name, theirs)
        assert ours.ttl <= TTL
        same = (ours.rcode, ours.tc, ours.records) == (theirs.rcode, theirs.tc, theirs.records)
        if oracle.fits(reason, one, ours, same):
            counts[reason or "same"] += 1
        else:
            unexplained.append((one.name.to_text(), one.qtype, reason, ours.rcode, theirs.rcode))
    summary = {
        "queries": len(asked),
        "names": len({one.query[10:-4].lower() for one in asked}),
        "lists": lists,
        "names listed": index.names,
        "compiled and started in s": round(started, 1),
        "asked upstream in s": round(between - began, 1),
        "asked the filter in s": round(ended - between, 1),
        "answers": dict(counts.most_common()),
        "unexplained": len(unexplained),
    }
    written(summary)
    for text, qtype, reason, *_ in unexplained[:20]:
        wire = dns.name.from_text(text).canonicalize().to_wire()
        told = explain_client(wire, qtype, oracle.policy, index, bytes((127, 0, 2, 1)))
        sys.stdout.write(f"{text} {qtype}: foretold {reason or 'same'!r}\n" + "\n".join(told.lines()) + "\n")
    index.close()
    assert not unexplained, summary
    assert counts["same"] > 30_000
    assert sum(count for reason, count in counts.items() if reason.startswith("blocked")) > 1000
    assert counts["leads to a blocked name"] > 100
    assert counts["private address"] > 100


def written(summary):
    """Leave the figures where a person finds them: build/ is not part of the project."""
    folder = Path(__file__).resolve().parents[2] / "build"
    folder.mkdir(exist_ok=True)
    (folder / "replay.json").write_text(json.dumps(summary, indent=1) + "\n")
    sys.stdout.write(json.dumps(summary, indent=1) + "\n")

"""Replies that fit and are rubbish, or made to be costly: clients get sound answers, at little cost."""

from __future__ import annotations

import os

import _figures
import pytest
from _ask import ask
from _hostile_upstream import HostileUpstream, heavy_answers
from _listening import Gauge, Listening
from _product import DNS, Product

LOOKUPS = max(3000, int(os.environ.get("FILTERD_PACKETS", "20000")) // 10)
WAVE = 100
MIB = 1 << 20
LONGEST = 0.005
HEAD = b"\x00\x00\x01\x00\x00\x01" + bytes(6)
TAIL = b"\x07example\x00\x00\x01\x00\x01"

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def rubbish(tmp_path_factory, seeds):
    with HostileUpstream(seeds, seed=7) as upstream:
        config = {"upstreams": [upstream.address], "cache": {"size_mib": 8}}
        product = Product(tmp_path_factory.mktemp("hostile"), config)
        try:
            yield product.wait()
            assert product.end() == 0, product.said
            assert "Traceback" not in product.said, product.said
            for fault in ("reply_failed", "lookup_failed", "fetch_failed", "packet_failed"):
                assert fault not in product.said
        finally:
            product.kill()


@pytest.mark.timeout(240 + LOOKUPS // 100)
def test_rubbish_behind_the_question_never_reaches_a_client(rubbish):
    gauge = Gauge(rubbish)
    listening = Listening(rubbish)
    sizes = []
    before = gauge.cpu()
    for start in range(0, LOOKUPS, WAVE):
        labels = [b"bad%d" % number for number in range(start, start + WAVE)]
        listening.batch([HEAD + bytes((len(one),)) + one + TAIL for one in labels])
        listening.finish()
        sizes.append(gauge.resident())
    listening.close()
    spent = gauge.cpu() - before
    _figures.note(
        "lookups answered with rubbish",
        lookups=LOOKUPS,
        rcodes=dict(sorted(listening.rcodes.items())),
        cpu_each=f"{spent / LOOKUPS * 1e6:.0f} us",
        memory=f"{sizes[len(sizes) // 4] / MIB:.1f} to {sizes[-1] / MIB:.1f} MiB",
    )
    assert len(listening.rcodes) >= 2, "all alike: nothing was tested"
    assert spent / LOOKUPS < LONGEST / 2
    assert max(sizes) - sizes[len(sizes) // 4] < 24 * MIB
    assert rubbish.child(DNS) == gauge.pid
    assert ask(rubbish.v4, "fine.example").data == ["198.51.100.9"]


@pytest.mark.parametrize("kind", heavy_answers())
def test_a_costly_answer_is_not(rubbish, kind):
    number = list(heavy_answers()).index(kind)
    gauge = Gauge(rubbish)
    costs = []
    for turn in range(5):
        before = gauge.cpu()
        answer = ask(rubbish.v4, f"heavy{number}-{turn}.example", tcp=True)
        costs.append(gauge.cpu() - before)
        assert answer.rcode in {"NOERROR", "SERVFAIL"}
    _figures.note(f"  {kind}: {answer.rcode}", cpu=f"{min(costs) * 1e3:.2f} ms")
    # Three packets are in it, the query and two replies, and two connections.
    assert min(costs) < 2 * LONGEST

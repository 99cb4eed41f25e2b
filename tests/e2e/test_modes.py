"""The four ways to answer a blocked question, each taken over by SIGHUP while serving."""

from __future__ import annotations

import pytest
from _ask import ask, dig

TYPES = ("A", "AAAA", "HTTPS", "SVCB", "ANY", "TXT", "MX", "CNAME", "TYPE65280")
MODES = {
    "nxdomain": ({"mode": "nxdomain", "ttl": 7}, "NXDOMAIN", {}),
    "nodata": ({"mode": "nodata", "ttl": 60}, "NOERROR", {}),
    "null": ({"mode": "null", "ttl": 20}, "NOERROR", {"A": ["0.0.0.0"], "AAAA": ["::"]}),
    "page": (
        {
            "mode": "page",
            "ttl": 0,
            "page_v4": ["192.0.2.80", "192.0.2.81"],
            "page_v6": ["2001:db8::80"],
        },
        "NOERROR",
        {"A": ["192.0.2.80", "192.0.2.81"], "AAAA": ["2001:db8::80"]},
    ),
    "page without IPv6": (
        {"mode": "page", "ttl": 1, "page_v4": ["192.0.2.80"]},
        "NOERROR",
        {"A": ["192.0.2.80"]},
    ),
}


def test_each_mode_answers_every_type_with_one_rcode(start, papers, unbound):
    filterd = start(papers.config(unbound.server))
    for mode, (answer, rcode, addresses) in MODES.items():
        papers.write_answer(**answer)
        filterd.reload()
        for rdtype in TYPES:
            for tcp in (False, True):
                got = ask(filterd.v4, "www.casino.example", rdtype, tcp=tcp)
                assert got.blocked, (mode, rdtype)
                assert got.rcode == rcode, (mode, rdtype)
                assert got.data == sorted(addresses.get(rdtype, [])), (mode, rdtype)
                assert (got.soa is None) == (rdtype in addresses), "SOA where there is no data"
                assert set(got.ttls) == {answer["ttl"]}, (mode, rdtype)
        if addresses:
            assert dig(filterd.v4, "casino.example", "+short").text.split() == addresses["A"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"mode": "page", "ttl": 30}, "mode page needs the block page's addresses"),
        ({"mode": "nxdomain", "ttl": 61}, "ttl"),
        ({"mode": "redirect"}, "mode"),
    ],
)
def test_a_mode_that_cannot_be_is_refused_at_the_start(start, papers, unbound, answer, said):
    papers.write_answer(**answer)
    filterd = start(papers.config(unbound.server), wait=False)
    assert filterd.process.wait(60) == 1
    assert said in filterd.said
    assert "school.yaml:" in filterd.said
    assert "Traceback" not in filterd.said

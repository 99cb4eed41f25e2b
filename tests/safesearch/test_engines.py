"""R16: safe search per tier, end to end: every engine, every kind of record, every way to ask."""

from __future__ import annotations

import pytest
from _ask import Answer, ask, dig
from _engines import (
    FRONT,
    GUEST,
    HOSTS,
    MIDDLE,
    OPEN_V4,
    OPEN_V6,
    PRIMARY,
    STAFF,
    YANDEX,
    YANDEX_HOSTS,
    Host,
)

OTHER_TYPES = ["HTTPS", "SVCB", "ANY", "TXT", "MX", "NS", "SOA", "TYPE65280"]
FORGED = 4
everywhere = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
hosts = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)


def without_engine(answer: Answer) -> Answer:
    text = answer.message.to_text()
    assert OPEN_V4 not in text
    assert OPEN_V6 not in text
    return answer


@everywhere
@hosts
@pytest.mark.parametrize("source", [PRIMARY, MIDDLE, GUEST])
def test_r16_pupils_get_the_safe_front_end(school, host: Host, source, tcp):
    target = host.primary if source == PRIMARY else host.middle
    v4, v6 = FRONT[target]
    for rdtype, address in (("A", v4), ("AAAA", v6)):
        answer = without_engine(ask(school.v4, host.name, rdtype, source=source, tcp=tcp))
        assert answer.rcode == "NOERROR"
        expected = [f"{host.name}. CNAME {target}."] + ([f"{target}. {rdtype} {address}"] if address else [])
        assert answer.records == sorted(expected)
        assert max(answer.ttls) <= 300
        assert [code for code, _ in answer.errors] == [FORGED]
        assert (answer.soa is None) == bool(address), "without an address the target's SOA says so"


@everywhere
@pytest.mark.parametrize("name", YANDEX_HOSTS)
@pytest.mark.parametrize("source", [PRIMARY, MIDDLE])
def test_r16_yandex_has_an_address(school, name, source, tcp):
    answer = without_engine(ask(school.v4, name, source=source, tcp=tcp))
    assert answer.records == [f"{name}. A {YANDEX}"]
    assert max(answer.ttls) <= 300
    empty = without_engine(ask(school.v4, name, "AAAA", source=source, tcp=tcp))
    assert (empty.rcode, empty.data) == ("NOERROR", [])
    assert empty.soa is not None


@pytest.mark.parametrize("rdtype", OTHER_TYPES)
@pytest.mark.parametrize("name", ["www.google.kz", "www.youtube.com", "duckduckgo.com", "yandex.kz"])
def test_r16_everything_else_has_no_data(school, name, rdtype):
    """Hints in HTTPS and SVCB would lead past the front end (RFC 9460 section 7.3)."""
    for tcp in (False, True):
        answer = without_engine(ask(school.v4, name, rdtype, source=PRIMARY, tcp=tcp))
        assert (answer.rcode, answer.data) == ("NOERROR", [])
        assert answer.soa is not None
        assert answer.soa[0].mname.to_text() == "filterd.invalid."


@hosts
def test_r16_staff_get_the_engine(school, host: Host):
    for rdtype, data in (("A", [OPEN_V4]), ("AAAA", [OPEN_V6]), ("TXT", ['"open"'])):
        assert ask(school.v4, host.name, rdtype, source=STAFF).data == data
    assert OPEN_V4 in ask(school.v4, host.name, "HTTPS", source=STAFF).message.to_text()


def test_what_one_tier_asked_never_answers_another(school):
    """One cache, three views."""
    name = "m.youtube.com"
    for _ in range(3):
        for source, address in (
            (STAFF, OPEN_V4),
            (PRIMARY, FRONT["restrict.youtube.com"][0]),
            (MIDDLE, FRONT["restrictmoderate.youtube.com"][0]),
        ):
            assert address in ask(school.v4, name, source=source).data


def test_dig_shows_it(school):
    dug = dig(school.v4, "www.google.kz", "-b", PRIMARY)
    assert dug.status == "NOERROR"
    assert dug.lines == [
        "www.google.kz. 300 IN CNAME forcesafesearch.google.com.",
        dug.lines[1],
    ]
    assert dug.lines[1].startswith("forcesafesearch.google.com. ")
    assert dug.lines[1].endswith(" IN A 198.51.100.10")
    assert "ad" not in dug.flags
    assert "EDE: 4 (Forged Answer): (safe search google: on (forcesafesearch.google.com))" in dug.text
    alias = dig(school.v4, "www.google.kz", "CNAME", "-b", PRIMARY)
    assert alias.lines == ["www.google.kz. 300 IN CNAME forcesafesearch.google.com."]


@pytest.mark.parametrize("name", ["www.google.kz", "www.bing.com", "yandex.kz"])
@pytest.mark.parametrize("rdtype", ["A", "AAAA", "HTTPS"])
def test_repeated_answers_are_equal(school, name, rdtype):
    """The cache answers, then the memo: byte for byte the same, until a step of the TTL is over."""
    ask(school.v4, name, rdtype, source=PRIMARY)
    wires = [ask(school.v4, name, rdtype, source=PRIMARY, id=7).wire for _ in range(12)]
    assert len(set(wires)) <= 2, "one step of the TTL may have ended between them"


def test_the_targets_ttl_counts_down(school):
    name = "www.ecosia.org"
    first = ask(school.v4, name, source=PRIMARY).ttls
    later = ask(school.v4, name, source=PRIMARY).ttls
    assert first[0] == later[0] == 300, "the alias holds as long as the policy"
    assert later[1] <= first[1] <= 300


def test_case_and_edns_make_no_difference(school):
    for name in ("www.google.kz", "WWW.Google.KZ"):
        for edns in (True, False):
            for tcp in (True, False):
                answer = without_engine(ask(school.v4, name, source=PRIMARY, edns=edns, tcp=tcp))
                assert FRONT["forcesafesearch.google.com"][0] in answer.data
                assert len(answer.errors) == edns


def test_no_ad_with_dnssec(school):
    answer = without_engine(ask(school.v4, "www.google.kz", source=PRIMARY, want_dnssec=True))
    assert not answer.has("AD")
    assert FRONT["forcesafesearch.google.com"][0] in answer.data


@pytest.mark.parametrize("name", ["html.duckduckgo.com", "far.example"])
def test_an_alias_of_an_engine_is_no_way_round(school, name):
    for _ in range(4):
        answer = without_engine(ask(school.v4, name, source=PRIMARY))
        assert answer.records == sorted(
            [f"{name}. CNAME safe.duckduckgo.com.", "safe.duckduckgo.com. A 198.51.100.14"]
        )
    assert without_engine(ask(school.v4, name, "HTTPS", source=PRIMARY)).data == []
    assert OPEN_V4 in ask(school.v4, name, source=STAFF).data


def test_other_ways_to_an_engine(school):
    assert without_engine(ask(school.v4, "yandex.example", source=PRIMARY)).data == [YANDEX]
    assert without_engine(ask(school.v4, "svc.example", "HTTPS", source=PRIMARY)).data == []


@pytest.mark.parametrize("name", ["google.kz", "maps.google.com", "mektep.example"])
def test_other_hosts_are_left_alone(school, name):
    assert ask(school.v4, name, source=PRIMARY).data == [OPEN_V4]


def test_r16_an_engine_without_a_front_end_is_blocked_for_pupils(school):
    for source in (PRIMARY, MIDDLE, GUEST):
        answer = ask(school.v4, "search.brave.com", source=source)
        assert (answer.rcode, answer.blocked) == ("NXDOMAIN", True)
        assert "category: unsafe_search" in answer.why
    assert ask(school.v4, "search.brave.com", source=STAFF).data == [OPEN_V4]

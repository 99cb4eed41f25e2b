"""The catalogue of search engines that ships, against school.md's table; and every fault with its place."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

import pytest

from filterd.errors import PolicyError
from filterd.rules.categories import Categories
from filterd.rules.rewrites import Engine, Target, load_engines
from filterd.wire.names import from_text, to_text

Load = Callable[[str], object]

# neighbours, large countries, and each way to write a country domain
NEAR_AND_FAR = (
    *(
        "kz",
        "ru",
        "com",
        "kg",
        "com.tj",
        "tm",
        "co.uz",
        "mn",
        "az",
        "am",
        "ge",
        "cn",
        "de",
        "co.uk",
        "com.tr",
    ),
    *("co.jp", "com.br", "co.za", "cat", "no"),
)

# school.md, "Safe search": what each name is answered with.
TABLE = {
    ("google", "on"): ("forcesafesearch.google.com", ["www.google.com", "www.google.kz", "www.google.ru"]),
    ("youtube", "strict"): (
        "restrict.youtube.com",
        [
            "www.youtube.com",
            "m.youtube.com",
            "youtubei.googleapis.com",
            "youtube.googleapis.com",
            "www.youtube-nocookie.com",
        ],
    ),
    ("youtube", "moderate"): ("restrictmoderate.youtube.com", ["www.youtube.com", "m.youtube.com"]),
    ("bing", "on"): ("strict.bing.com", ["www.bing.com", "edgeservices.bing.com"]),
    ("duckduckgo", "on"): (
        "safe.duckduckgo.com",
        ["duckduckgo.com", "www.duckduckgo.com", "start.duckduckgo.com"],
    ),
    ("yandex", "on"): (
        "213.180.193.56",
        ["yandex.kz", "www.yandex.kz", "yandex.ru", "www.yandex.ru", "yandex.com", "ya.ru", "www.ya.ru"],
    ),
    ("ecosia", "on"): ("strict-safe-search.ecosia.org", ["www.ecosia.org"]),
    ("pixabay", "on"): ("safesearch.pixabay.com", ["pixabay.com"]),
}


@pytest.mark.parametrize(("engine", "level"), TABLE)
def test_r16_every_engine_of_the_table_has_its_target(
    categories: Categories, engine: str, level: str
) -> None:
    target, hosts = TABLE[engine, level]
    found = categories.engines.by_id[engine]
    assert found.levels[level].text == target
    assert {from_text(host) for host in hosts} <= set(found.hosts)


def test_r16_nothing_else_is_rewritten(categories: Categories) -> None:
    assert {(one.id, level) for one in categories.engines for level in one.levels} == set(TABLE)
    for engine in ("youtube", "bing", "duckduckgo", "ecosia", "pixabay"):
        listed = {host for (one, _), (_, hosts) in TABLE.items() if one == engine for host in hosts}
        assert {to_text(host) for host in categories.engines.by_id[engine].hosts} == listed


def test_r16_google_by_every_country_domain(categories: Categories) -> None:
    hosts = [to_text(host) for host in categories.engines.by_id["google"].hosts]
    assert 185 <= len(hosts) == len(set(hosts)) <= 200
    assert all(host.startswith("www.google.") for host in hosts)
    for domain in NEAR_AND_FAR:
        assert f"www.google.{domain}" in hosts


def test_r16_yandex_by_its_domains(categories: Categories) -> None:
    hosts = {to_text(host) for host in categories.engines.by_id["yandex"].hosts}
    assert {host for host in hosts if not host.startswith("www.")} == {
        host.removeprefix("www.") for host in hosts if host.startswith("www.")
    }, "each with its www."
    assert ipaddress.ip_address("213.180.193.56").packed in categories.engines.by_id["yandex"].levels["on"].v4


def test_no_host_is_a_target_and_none_belongs_to_two(categories: Categories) -> None:
    hosts = [host for engine in categories.engines for host in engine.hosts]
    assert len(hosts) == len(set(hosts))
    targets = {target.name for engine in categories.engines for target in engine.levels.values()}
    assert not targets & set(hosts)


def test_levels_get_stricter_in_order(categories: Categories) -> None:
    youtube = categories.engines.by_id["youtube"]
    assert [youtube.strictness(level) for level in ("off", "moderate", "strict")] == [0, 1, 2]
    with pytest.raises(KeyError):
        youtube.strictness("on")


def test_a_target_reads_as_a_name_or_as_addresses() -> None:
    assert Target(from_text("safe.example.org")).text == "safe.example.org"
    assert Target(v4=(bytes((1, 2, 3, 4)),), v6=(bytes(15) + b"\1",)).text == "1.2.3.4, ::1"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def read(text: str) -> object:
        path = tmp_path / "safe_search.yaml"
        path.write_text(f"format: 1\nengines:\n{text}")
        return load_engines(path)

    return read


def test_hosts_stand_before_domains(tmp_path: Path) -> None:
    path = tmp_path / "safe_search.yaml"
    path.write_text(
        "format: 1\nengines:\n  e: {title: E, levels: {on: {cname: safe.e.org}}, names: [e.org],"
        " hosts: [www.e, m.e], domains: [kz, com]}\n"
    )
    (engine,) = load_engines(path)
    assert isinstance(engine, Engine)
    assert {to_text(host) for host in engine.hosts} == {
        "e.org", "www.e.kz", "m.e.kz", "www.e.com", "m.e.com"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "  e: {title: E, levels: {on: {cname: s.e.org}}, nmes: [e.org]}",
            ":3:49: unknown key 'nmes' (did you mean 'names'?)",
        ),
        ("  e: {title: E, levels: {on: {cname: s.e.org}}}", ":3:3: 'e' has no host"),
        ("  e: {title: E, levels: {}, names: [e.org]}", ":3:25:"),
        ("  e: {title: E, levels: {off: {cname: s.e.org}}, names: [e.org]}", ":3:26: `off` is a level"),
        ("  e: {title: E, levels: {on: {}}, names: [e.org]}", "write either cname, or addresses"),
        (
            "  e: {title: E, levels: {on: {cname: s.e.org, v4: [192.0.2.1]}}, names: [e.org]}",
            "write either cname, or addresses",
        ),
        ("  e: {title: E, levels: {on: {v4: [2001:db8::1]}}, names: [e.org]}", "2001:db8::1"),
        ("  e: {title: E, levels: {on: {cname: 's..org'}}, names: [e.org]}", "'s..org' is not a domain name"),
        (
            "  e: {title: E, levels: {on: {cname: s.e.org}}, names: ['*.e.org']}",
            ":3:57: '*.e.org' is not the name",
        ),
        ("  e: {title: E, levels: {on: {cname: s.e.org}}, hosts: [www.e]}", "hosts and domains go together"),
        (
            (
                "  e: {title: E, levels: {on: {cname: s.e.org}}, names: [e.org]}\n"
                "  f: {title: F, levels: {on: {cname: s.f.org}}, names: [E.org]}"
            ),
            ":4:3: e.org already belongs to 'e'",
        ),
        (
            (
                "  e: {title: E, levels: {on: {cname: f.org}}, names: [e.org]}\n"
                "  f: {title: F, levels: {on: {cname: s.f.org}}, names: [f.org]}"
            ),
            ":3:38: f.org is rewritten itself: it is a host of 'f'",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(load: Load, text: str, fault: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(text)
    assert "safe_search.yaml:3:" in str(raised.value) or "safe_search.yaml:4:" in str(raised.value)
    assert fault in str(raised.value)

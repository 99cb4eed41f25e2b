"""What the upstream of these tests knows: each engine with addresses of its own, and its safe front end."""

from __future__ import annotations

from typing import Any, NamedTuple

OPEN_V4, OPEN_V6 = "203.0.113.66", "2001:db8:bad::66"
"""What the engines themselves answer: a pupil must never see these."""

FRONT = {
    "forcesafesearch.google.com": ("198.51.100.10", "2001:db8:5afe::10"),
    "restrict.youtube.com": ("198.51.100.11", "2001:db8:5afe::11"),
    "restrictmoderate.youtube.com": ("198.51.100.12", "2001:db8:5afe::12"),
    "strict.bing.com": ("198.51.100.13", None),
    "safe.duckduckgo.com": ("198.51.100.14", None),
    "strict-safe-search.ecosia.org": ("198.51.100.15", "2001:db8:5afe::15"),
    "safesearch.pixabay.com": ("198.51.100.16", "2001:db8:5afe::16"),
}
"""The safe front ends, with their addresses here; two have no IPv6."""

YANDEX = "213.180.193.56"
PRIMARY, MIDDLE, STAFF, GUEST = "127.0.1.17", "127.0.0.1", "127.0.1.65", "127.0.1.81"


class Host(NamedTuple):
    """A host of an engine, and where it leads for primary and for the other pupils."""

    name: str
    primary: str
    middle: str


def _same(names: str, target: str) -> list[Host]:
    return [Host(name, target, target) for name in names.split()]


HOSTS = (
    *_same(
        "www.google.com www.google.kz www.google.ru www.google.co.uz www.google.no",
        "forcesafesearch.google.com",
    ),
    *(
        Host(name, "restrict.youtube.com", "restrictmoderate.youtube.com")
        for name in (
            "www.youtube.com",
            "m.youtube.com",
            "youtubei.googleapis.com",
            "youtube.googleapis.com",
            "www.youtube-nocookie.com",
        )
    ),
    *_same("www.bing.com edgeservices.bing.com", "strict.bing.com"),
    *_same("duckduckgo.com www.duckduckgo.com start.duckduckgo.com", "safe.duckduckgo.com"),
    *_same("www.ecosia.org", "strict-safe-search.ecosia.org"),
    *_same("pixabay.com", "safesearch.pixabay.com"),
)  # fmt: skip
"""A host of each kind in school.md's table, but Yandex, which has an address and no front end."""

YANDEX_HOSTS = ("yandex.kz", "www.yandex.kz", "yandex.ru", "yandex.com", "ya.ru", "www.ya.ru")
OTHERS = (
    "search.brave.com",
    "google.kz",
    "maps.google.com",
    "www.tiktok.com",
    "kundelik.kz",
    "mektep.example",
)

SCHOOL: dict[str, Any] = {
    "format": 1,
    "school": "mektep-1",
    "title": {"kk": "Мектеп", "ru": "Школа", "en": "School"},
    "default_group": "middle",
    "categories": {"allow": ["video"]},
    "services": {"block": ["tiktok"]},
    "groups": [
        {"id": "middle", "tier": "middle"},
        {"id": "primary", "tier": "primary", "clients": ["127.0.1.16/28"]},
        {"id": "teachers", "tier": "staff", "clients": ["127.0.1.64/28"]},
        {"id": "visitors", "tier": "guest", "clients": ["127.0.1.80/28"]},
    ],
}


def zone() -> str:
    """Return the root zone of the upstream."""
    lines = [
        "$ORIGIN .",
        "@ 3600 IN SOA ns.root. hostmaster.root. 1 3600 600 86400 300",
        "@ 3600 IN NS ns.root.",
        "ns.root. 3600 A 127.0.0.1",
        # html.duckduckgo.com is an alias of the engine; the engine's servers serve their search by it too
        "html.duckduckgo.com. 300 CNAME duckduckgo.com.",
        "far.example. 300 CNAME html.duckduckgo.com.",
        "yandex.example. 300 CNAME yandex.kz.",
        "svc.example. 300 HTTPS 1 www.google.com. ipv4hint=203.0.113.66",
        "*.tunnel.example. 300 A 198.51.100.99",
    ]
    for name in (*(host.name for host in HOSTS), *YANDEX_HOSTS, *OTHERS):
        lines += [
            f"{name}. 300 A {OPEN_V4}",
            f"{name}. 300 AAAA {OPEN_V6}",
            f'{name}. 300 TXT "open"',
            f"{name}. 300 MX 10 mail.example.",
            f"{name}. 300 HTTPS 1 . alpn=h2,h3 ipv4hint={OPEN_V4} ipv6hint={OPEN_V6}",
        ]
    for name, (v4, v6) in FRONT.items():
        lines += [f"{name}. 300 A {v4}"] + ([f"{name}. 300 AAAA {v6}"] if v6 else [])
    return "\n".join(lines) + "\n"

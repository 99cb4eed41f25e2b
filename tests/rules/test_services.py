"""The catalogue of services that ships; and every fault with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from publicsuffixlist import PublicSuffixList

from filterd.errors import PolicyError
from filterd.rules.categories import Categories
from filterd.rules.index import EXACT, SUBTREE
from filterd.rules.services import load_services
from filterd.wire.names import from_text, parents, to_text

Load = Callable[[str], object]


def words(text: str) -> list[str]:
    return text.split()


KNOWN = words("""
tiktok discord roblox vk telegram whatsapp instagram facebook snapchat youtube twitch steam minecraft
brawl_stars netflix spotify chatgpt
""")

# Names that many services share: a school that blocks one of them would break the others.
SHARED = words("""
akamaized.net akamaihd.net cloudfront.net fastly.net amazonaws.com googleapis.com gstatic.com ggpht.com
googleusercontent.com google.com microsoft.com azureedge.net cdn77.org cloudflare.com yandex.net mail.ru
""")


def test_the_services_people_ask_for_are_there(categories: Categories) -> None:
    assert set(KNOWN) <= set(categories.services.by_id)


def test_each_name_belongs_to_one_service_and_is_covered_once(categories: Categories) -> None:
    owner = {one.name: service.id for service in categories.services for one in service.names}
    assert len(owner) == sum(len(service.names) for service in categories.services)
    for name in owner:
        above = [to_text(parent) for parent in parents(name) if parent != name and parent in owner]
        assert not above, f"{to_text(name)} is covered already"


def test_no_service_holds_what_others_share(categories: Categories) -> None:
    held = {one.name for service in categories.services for one in service.names}
    for text in SHARED:
        assert not held & set(parents(from_text(text))), text


def test_only_dynamic_dns_and_tunnels_are_public_suffixes(categories: Categories) -> None:
    """Whoever blocks a service means the service, and not everybody who has a page with it."""
    suffixes = PublicSuffixList()
    found = {
        service.id
        for service in categories.services
        for one in service.names
        if suffixes.is_public(to_text(one.name))
    }
    assert found <= {"dynamic_dns", "tunnels"}


def test_categories_fit_what_the_starter_lists_say(categories: Categories) -> None:
    assert {one.category for one in categories.services} == {None, "social", "video", "games", "ai", "bypass"}
    for service_id in ("telegram", "whatsapp", "viber", "signal"):
        assert categories.services.by_id[service_id].category is None


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def read(text: str) -> object:
        path = tmp_path / "services.yaml"
        path.write_text(f"format: 1\nservices:\n{text}")
        return load_services(path, ["social", "games"])

    return read


def test_a_name_covers_all_below_it_or_is_exact(load: Load) -> None:
    (service,) = load("  s: {title: S, names: [S.org, =api.t.org]}\n")  # type: ignore[attr-defined]
    assert service.category is None
    assert [(to_text(one.name), one.scope) for one in service.names] == [
        ("s.org", SUBTREE),
        ("api.t.org", EXACT),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("  s: {title: S, names: []}", ":3:24:"),
        ("  s: {title: S, nams: [s.org]}", ":3:17: unknown key 'nams' (did you mean 'names'?)"),
        (
            "  s: {title: S, category: socal, names: [s.org]}",
            ":3:27: unknown category 'socal' (did you mean 'social'?)",
        ),
        ("  s: {title: S, names: [s.org, 's..org']}", ":3:32: 's..org' is not a domain name"),
        ("  s: {title: S, names: [org]}", ":3:25: 'org' is not the name of a host"),
        (
            "  s: {title: S, names: [s.org]}\n  t: {title: T, names: [t.org, S.ORG]}",
            ":4:32: s.org is already at ",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(load: Load, text: str, fault: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(text)
    assert f"services.yaml{fault}" in str(raised.value)

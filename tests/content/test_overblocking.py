"""What the shipped lists must never block, and what their allow lists must keep open (R24)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from filterd.lists.rule import EXACT
from filterd.wire import names

if TYPE_CHECKING:
    from conftest import LocalList

Covering = Callable[[str], dict[str, str]]


def words(text: str) -> list[str]:
    return text.split()


_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")  # what is no plain name is not asked about

# A blocked domain with an allowed host below it, on purpose: (allowed, blocked).
EXCEPTIONS = {("education.minecraft.net", "minecraft.net")}

SEEN_BLOCKED_BY_MISTAKE = words(
    """
    archive.org web.archive.org ia800100.us.archive.org nasa.gov gutenberg.org www.gutenberg.org
    brainpop.com nationalgeographic.com kids.nationalgeographic.com education.minecraft.net
    lichess.org purdue.edu owl.purdue.edu halykbank.kz kazpost.kz chem.ox.ac.uk www.chem.ox.ac.uk
    goaskalice.columbia.edu
    """
)

# Learning sites of the road map's item 3.1 that were seen in sources; the others wait for the department.
EDUCATION = words(
    """
    kundelik.kz bilimland.kz daryn.online opiq.kz topiq.kz okulyk.kz free.atamura.kz testcenter.kz
    app.testcenter.kz gov.kz adilet.zan.kz eotinish.kz egov.kz edu.gov.kz smk.edu.kz nis.edu.kz
    login.kundelik.kz sch1.goo.kz sch1.agartu.kz
    """
)
UNVERIFIED = words(
    """
    onlinemektep.org bilimclass.kz bilimal.kz bilim-all.kz ustaz.kz itest.kz mektep.kz kitap.kz
    joo.kz 111.kz
    """
)

# Without these nothing works: updates, "is there internet", certificates, time.
INFRASTRUCTURE = words(
    """
    www.msftconnecttest.com dns.msftncsi.com ctldl.windowsupdate.com fe3.delivery.mp.microsoft.com
    captive.apple.com mesu.apple.com 1-courier.push.apple.com connectivitycheck.gstatic.com
    dl.google.com detectportal.firefox.com archive.ubuntu.com connectivity-check.ubuntu.com
    deb.debian.org security.debian.org nmcheck.gnome.org 0.pool.ntp.org time.windows.com
    time.apple.com ocsp.pki.gov.kz crl3.digicert.com ocsp.digicert.com ocsp.sectigo.com
    r10.o.lencr.org c.pki.goog acme-v02.api.letsencrypt.org
    """
)

# Everyday sites that no starter list may touch in any category.
EVERYDAY = words(
    """
    google.com www.google.kz yandex.kz ya.ru www.bing.com duckduckgo.com mail.ru gmail.com
    outlook.com microsoft.com www.apple.com icloud.com github.com cloudflare.com web.whatsapp.com
    web.telegram.org wikipedia.org kaspi.kz halykbank.kz kolesa.kz krisha.kz tengrinews.kz zakon.kz
    classroom.google.com docs.google.com drive.google.com teams.microsoft.com zoom.us office.com
    fonts.googleapis.com www.gstatic.com ajax.googleapis.com cdn.jsdelivr.net player.vimeo.com
    translate.google.com maps.google.com 2gis.kz www.kaspersky.com cs.mail.ru
    login.microsoftonline.com
    """
)


def test_no_name_is_both_blocked_and_allowed(local: tuple[LocalList, ...]) -> None:
    blocked = {rule.name for one in local if not one.allows for rule in one.rules}
    allowed = {rule.name for one in local if one.allows for rule in one.rules}
    assert blocked & allowed == set()


def test_an_allowed_host_below_a_blocked_domain_is_meant(local: tuple[LocalList, ...]) -> None:
    blocked = {rule.name for one in local if not one.allows for rule in one.rules if rule.scope != EXACT}
    found = {
        (names.to_text(rule.name), names.to_text(parent))
        for one in local
        if one.allows
        for rule in one.rules
        for parent in names.parents(rule.name)
        if parent in blocked
    }
    assert found == EXCEPTIONS


def test_no_blocked_name_stands_below_an_allowed_domain(local: tuple[LocalList, ...]) -> None:
    """Such an entry would never act: an allow list outranks the category."""
    allowed = {rule.name for one in local if one.allows for rule in one.rules if rule.scope != EXACT}
    for one in local:
        if not one.allows:
            for rule in one.rules:
                above = [names.to_text(parent) for parent in names.parents(rule.name) if parent in allowed]
                assert above == [], f"{one.source.id}: {names.to_text(rule.name)}"


@pytest.mark.parametrize("name", SEEN_BLOCKED_BY_MISTAKE)
def test_names_that_real_lists_block_by_mistake_stay_open(name: str, allowing: Covering) -> None:
    assert allowing(name)


@pytest.mark.parametrize("name", EDUCATION)
def test_learning_sites_outrank_public_lists(name: str, allowing: Covering, blocking: Covering) -> None:
    assert "allow_edu" in allowing(name)
    assert blocking(name) == {}


@pytest.mark.parametrize("name", UNVERIFIED)
def test_unverified_names_are_not_active(name: str, allowing: Covering, blocking: Covering) -> None:
    assert allowing(name) == {}
    assert blocking(name) == {}


def test_unverified_names_wait_in_the_file(blocklists: Path) -> None:
    text = "".join(
        (blocklists / "local" / f"allow_{kind}.txt").read_text("utf-8") for kind in ("edu", "help")
    )
    for name in UNVERIFIED:
        assert f"\n#{name}" in text


@pytest.mark.parametrize("name", INFRASTRUCTURE)
def test_infrastructure_is_allowed_and_never_blocked(
    name: str, allowing: Covering, blocking: Covering
) -> None:
    assert "allow_system" in allowing(name)
    assert blocking(name) == {}


@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_sites_are_in_no_block_list(name: str, blocking: Covering) -> None:
    assert blocking(name) == {}


@pytest.mark.parametrize("name", ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"])
def test_names_that_policy_answers_are_left_to_it(name: str, allowing: Covering, blocking: Covering) -> None:
    assert blocking(name) == {}
    assert allowing(name) == {}


@pytest.mark.parametrize("name", ["copilot.microsoft.com", "gemini.google.com", "remotedesktop.google.com"])
def test_allowing_an_owners_hosts_does_not_free_its_other_services(name: str, allowing: Covering) -> None:
    assert allowing(name) == {}


@pytest.mark.parametrize("name", ["kz", "edu.kz", "school.edu.kz", "org.kz", "astana.gov.kz", "com"])
def test_no_registry_domain_is_allowed(name: str, allowing: Covering) -> None:
    assert allowing(name) == {}


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("www.olimpbet.kz", "gambling"),
        ("1xbet.kz", "gambling"),
        ("www.pornhub.com", "adult"),
        ("mozilla.cloudflare-dns.com", "doh"),
        ("dns.google", "doh"),
        ("one.one.one.one", "doh"),
        ("abc123.dns.nextdns.io", "doh"),
        ("www.torproject.org", "bypass"),
        ("api.nordvpn.com", "bypass"),
        ("www.tiktok.com", "social"),
        ("www.roblox.com", "games"),
        ("www.youtube.com", "video"),
        ("chat.openai.com", "ai"),
        ("search.brave.com", "unsafe_search"),
        ("ome.tv", "stranger_chat"),
    ],
)
def test_the_best_known_names_are_covered(name: str, category: str, blocking: Covering) -> None:
    assert category in blocking(name)


@pytest.mark.realdata
def test_of_the_known_sites_of_kazakhstan_only_bookmakers_are_blocked(
    realdata: Path, blocking: Covering
) -> None:
    """Education and government among them; the sample says which sites people really visit."""
    lines = (realdata / "queries" / "kz-sites.tsv").read_text("utf-8").splitlines()
    sites = [line.split("\t")[0] for line in lines]
    assert len(sites) > 300
    assert {name: found for name in sites if (found := blocking(name))} == {
        "olimp.kz": {"gambling": "olimp.kz"},
        "parimatch.kz": {"gambling": "parimatch.kz"},
    }


UT1_BLOCKING = words(
    """
    gambling arjel drogue agressif dangerous_material sect chat dating social_networks games audio-video ai
    tricheur warez vpn doh cryptojacking hacking ddos stalkerware remote-control fakenews publicite
    mixed_adult lingerie
    """
)

# Names in UT1's block lists that our allow lists free, all of them on purpose.
FREED = {
    "games": {"brainpop.com", "lichess.org", "nationalgeographic.com", "tux4kids.alioth.debian.org"},
    "publicite": {"ads.nationalgeographic.com"},
}


@pytest.mark.realdata
def test_allow_lists_free_nothing_by_accident(realdata: Path, allowing: Covering) -> None:
    """Every name of a real block list that an allow list would open was looked at by people."""
    freed: dict[str, set[str]] = {}
    for category in UT1_BLOCKING:
        text = (realdata / "lists" / "ut1" / category / "domains").read_bytes().decode("utf-8", "replace")
        for line in text.splitlines():
            if _NAME.fullmatch(line) and allowing(line):
                freed.setdefault(category, set()).add(line)
    assert freed == FREED

"""R5, R18, R21: a school in network namespaces; no lookup goes round the filter, filter up or down."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from _network import OTHER, RESOLVERS, UPSTREAM, School, until

from filterd.config.paths import shipped

UNFILTERED = "198.51.100.99"
BLOCKED_NAME = "1xbet.com"


@pytest.fixture
def school(tmp_path):
    made = School(tmp_path)
    yield made
    made.end()


def config(folder, **gateway):
    policy = yaml.safe_load(shipped("policies", "schools", "example.yaml").read_text("utf-8"))
    teachers = next(group for group in policy["groups"] if group["id"] == "teachers")
    teachers["categories"] = {"allow": ["doh"]}
    (folder / "school.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True))
    path = folder / "filterd.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "state": "state",
                "listen": ["0.0.0.0:5353", "[::]:5353"],
                "upstreams": [UPSTREAM],
                "workers": 1,
                "policy": {"school": "school.yaml"},
                "allow_clients": ["10.0.0.0/8", "2001:db8::/32", "127.0.0.0/8", "::1/128"],
                "gateway": {"lan": ["lan0", "lan1"], **gateway},
            }
        )
    )
    return path


@pytest.mark.timeout(300)
def test_r5_r18_no_way_round_the_filter_and_r21_open_when_it_is_down(school, tmp_path):
    pupil, teacher = school.pupil, school.teacher
    assert pupil.dig(RESOLVERS[0], BLOCKED_NAME) == UNFILTERED, "without rules it goes round"
    filterd = school.serve(config(tmp_path, fail="open"))
    for server in (*RESOLVERS, *OTHER, "10.20.5.1", "2001:db8:20:5::1"):
        for transport in ("+notcp", "+tcp"):
            assert pupil.dig(server, BLOCKED_NAME, transport) == "NXDOMAIN", (server, transport)
            assert pupil.dig(server, "allowed.example", transport) == UNFILTERED, (server, transport)
    assert teacher.dig(RESOLVERS[0], BLOCKED_NAME) == "NXDOMAIN"
    for address in RESOLVERS:
        for port in (853, 443):
            assert pupil.connects(address, port) == "ConnectionRefusedError", (address, port)
            assert teacher.connects(address, port) == "yes", (address, port)
    for address in OTHER:
        assert pupil.connects(address, 443) == "yes", "a site is no resolver"
        assert pupil.connects(address, 853) == "ConnectionRefusedError"
    school.gateway.filterd("gateway", "status", "--config", str(tmp_path / "filterd.yaml"))
    filterd.kill()
    filterd.wait()
    until(lambda: pupil.dig(RESOLVERS[0], BLOCKED_NAME) == UNFILTERED, "lookups sent on, unfiltered")
    assert pupil.dig("10.20.5.1", "allowed.example") == UNFILTERED
    assert pupil.connects(RESOLVERS[0], 853) == "ConnectionRefusedError", "the rest of the rules stays"
    said = school.gateway.filterd(
        "gateway", "status", "--config", str(tmp_path / "filterd.yaml"), check=False
    )
    assert "does not answer" in said
    school.gateway.filterd("gateway", "remove")
    assert pupil.connects(RESOLVERS[0], 853) == "yes"


@pytest.mark.timeout(300)
def test_r21_closed_when_it_is_down_and_back_when_it_is_up(school, tmp_path):
    path = config(tmp_path, fail="closed", exempt=["10.20.100.0/24"])
    filterd = school.serve(path)
    assert school.pupil.dig(RESOLVERS[0], BLOCKED_NAME) == "NXDOMAIN"
    assert school.teacher.dig(RESOLVERS[0], BLOCKED_NAME) == UNFILTERED, "exempt"
    filterd.kill()
    filterd.wait()
    until(lambda: school.pupil.dig(RESOLVERS[0], "allowed.example") == "silence", "no answer")
    assert school.pupil.dig(RESOLVERS[0], BLOCKED_NAME) == "silence"
    school.serve(path)
    assert school.pupil.dig(RESOLVERS[0], BLOCKED_NAME) == "NXDOMAIN"


@pytest.mark.timeout(120)
def test_what_is_not_confirmed_is_taken_back(school, tmp_path):
    path = str(config(tmp_path))
    apply = ("gateway", "apply", "--config", path, "--confirm", "5")
    said = school.gateway.filterd(*apply, check=False, given="no\n")
    assert "what was before is back" in said
    assert school.gateway.run("nft", "list", "tables").stdout == ""
    assert "the rules stay in force" in school.gateway.filterd(*apply, given="yes\n")
    before = school.gateway.run("nft", "--stateless", "list", "table", "inet", "filterd").stdout
    config(tmp_path, fail="closed")
    school.gateway.filterd(*apply, check=False, given="")
    assert school.gateway.run("nft", "--stateless", "list", "table", "inet", "filterd").stdout == before
    assert school.gateway.run("nft", "list", "tables").stdout == "table inet filterd\n"

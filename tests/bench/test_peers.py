from __future__ import annotations

import json

import pytest
import yaml
from harness.peers import all_peers, base, debian, golang, ours, program_of
from harness.peers.base import Site
from harness.tools import Missing

from filterd.config.load import load_config

NAMES = ["bad.kz", "worse.example.org"]


@pytest.fixture
def site(tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    folder = tmp_path / "peer"
    folder.mkdir()
    return Site(folder, tmp_path / "names.txt", len(NAMES), 5399, "/bin/true")


@pytest.mark.parametrize("peer", [*debian.PEERS, *golang.PEERS], ids=lambda peer: peer.name)
def test_every_peer_gets_the_whole_list_its_port_and_the_upstream(peer, site):
    command = peer.prepare(site)
    written = "\n".join(path.read_text() for path in site.folder.rglob("*") if path.is_file())
    assert command.argv[0] == site.program
    assert all(written.count(name) >= 1 for name in NAMES)
    assert str(site.port) in written
    assert base.UPSTREAM_HOST in written
    assert str(base.UPSTREAM_PORT) in written


def test_a_response_policy_zone_blocks_the_name_and_below():
    assert base.rpz("bad.kz") == "bad.kz CNAME .\n*.bad.kz CNAME .\n"


@pytest.mark.parametrize("peer", golang.PEERS, ids=lambda peer: peer.name)
def test_go_peers_have_one_thread_and_a_fixed_version(peer, site):
    assert peer.prepare(site).env == {"GOMAXPROCS": "1"}
    assert peer.go.version.startswith("v")


def test_filterd_is_configured_in_its_own_words(site):
    site.write("sources.yaml", ours.CATALOGUE.format(names=json.dumps(str(site.names)), category="malware"))
    site.write("school.yaml", ours.SCHOOL)
    config = load_config(
        site.write("filterd.yaml", ours.config_text(site, 1 if ours_has_workers() else None))
    )
    assert config.model.limits.queries_per_second == 0
    assert config.catalogue == site.folder / "sources.yaml"
    assert yaml.safe_load(ours.SCHOOL)["school"] == "bench"


def ours_has_workers() -> bool:
    return "filterd-2" in all_peers()


def test_names_are_unique_and_ours_is_first():
    peers = all_peers()
    assert next(iter(peers)) == "filterd"
    assert {"unbound", "unbound-rpz", "dnsdist", "recursor", "bind", "kresd", "dnsmasq", "reflector"} <= set(
        peers
    )


def test_a_peer_that_cannot_be_had_says_why(tmp_path):
    peer = base.Peer("x", "X", golang.PEERS[0].prepare, program="no-such-program")
    with pytest.raises(Missing, match="no-such-program is not installed"):
        program_of(peer, tmp_path, go=True)
    with pytest.raises(Missing, match="--no-go"):
        program_of(golang.PEERS[0], tmp_path, go=False)

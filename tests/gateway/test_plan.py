"""Who may speak encrypted DNS: the firewall's sets say of every client what the policy says."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.app.gateway import addresses, plan_of
from filterd.config.load import load_config
from filterd.config.paths import shipped
from filterd.errors import ConfigError, PolicyError
from filterd.gateway.plan import Plan, sieve
from filterd.gateway.ruleset import ruleset
from filterd.rules.clients import Clients, parse_client
from filterd.rules.yamlsource import Place

PLACE = Place("school.yaml", 1, 1)
GROUPS = ("open", "shut")


def clients(*rules: tuple[str, str], default: str = "shut") -> Clients:
    return Clients([parse_client(text, group, PLACE) for text, group in rules], default=default)


def of(*rules: tuple[str, str], default: str = "shut"):
    return sieve(clients(*rules, default=default), lambda group: group == "open")


def says(found, address) -> bool:
    """What the chain `who` says of an address without a known MAC, at no named interface."""
    if any(address in network for network in found.shut_networks if network.version == address.version):
        return False
    if any(address in network for network in found.open_networks if network.version == address.version):
        return True
    return found.default


def test_a_longer_prefix_is_cut_out_of_a_shorter_one():
    found = of(("10.0.0.0/8", "open"), ("10.1.0.0/16", "shut"), ("10.1.2.0/24", "open"), ("10.1.2.3", "shut"))
    for address, expected in (
        ("10.9.9.9", True), ("10.1.9.9", False), ("10.1.2.9", True), ("10.1.2.3", False),
        ("192.0.2.1", False),
    ):  # fmt: skip
        assert says(found, ipaddress.ip_address(address)) is expected, address


def test_what_is_not_a_prefix_is_told_apart_too():
    found = of(("02:00:00:00:00:01", "open"), ("02:00:00:00:00:02", "shut"), ("interface:wlan0", "open"),
               ("lease:pc-*", "open"), default="open")  # fmt: skip
    assert (found.open_macs, found.shut_macs) == (("02:00:00:00:00:01",), ("02:00:00:00:00:02",))
    assert (found.open_interfaces, found.default, found.leases) == (("wlan0",), True, ("lease:pc-*",))


_V4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(20, 32)).map(
    lambda one: str(
        ipaddress.ip_network((one[0] >> (32 - one[1]) << (32 - one[1]) & 0x0A00_0FFF, one[1]), strict=False)
    )
)


@given(
    st.dictionaries(_V4, st.sampled_from(GROUPS), max_size=12), st.integers(0, 0xFFF), st.sampled_from(GROUPS)
)
def test_the_sets_say_what_the_policy_says(rules, host, default):
    try:
        table = clients(*rules.items(), default=default)
    except PolicyError:  # the same prefix twice, in other words
        return
    found = sieve(table, lambda group: group == "open")
    address = ipaddress.IPv4Address(0x0A00_0000 + host)
    assert says(found, address) is (table.group_of(address.packed) == "open")
    overlaps = [
        (one, other)
        for one in found.open_networks
        for other in found.shut_networks
        if one.version == other.version and one.overlaps(other)
    ]
    assert overlaps == []


def test_the_shipped_addresses_are_read():
    found = addresses(shipped("blocklists", "resolver_addresses.txt"))
    assert ipaddress.ip_network("8.8.8.8") in found
    assert len(found) == len(set(found))
    assert all(network.is_global for network in found)


@pytest.mark.parametrize("line", ["8.8.8", "dns.google", "8.8.8.0/33", "1.2.3.4/24", "; drop", "1.1.1.1 }"])
def test_a_wrong_line_is_named(tmp_path, line):
    path = tmp_path / "addresses.txt"
    path.write_text(f"# ours\n9.9.9.9\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        addresses(path)
    assert caught.value.line == 3


def test_lease_names_are_told_to_have_no_effect():
    found = sieve(clients(("lease:pc-7", "open")), lambda group: group == "open")
    text = ruleset(Plan(("eth1",), 53, "closed", (), (), (), found))
    assert "# No effect here, a firewall sees no lease names: lease:pc-7" in text


def test_open_needs_somewhere_to_go(tmp_path):
    path = tmp_path / "filterd.yaml"
    path.write_text("gateway: {lan: [eth1]}\nupstreams: ['tls://1.1.1.1#one.one.one.one']\nstate: state\n")
    with pytest.raises(ConfigError, match=r"no plain resolver is known.*gateway\.fallback"):
        plan_of(load_config(path))
    path.write_text(
        "gateway: {lan: [eth1], fallback: [9.9.9.9]}\nupstreams: ['tls://1.1.1.1#one.one.one.one']\n"
    )
    assert plan_of(load_config(path)).fallback == ((ipaddress.ip_address("9.9.9.9"), 53),)

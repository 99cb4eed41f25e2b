from __future__ import annotations

import asyncio
import ipaddress
import json

from hypothesis import given
from hypothesis import strategies as st

from filterd.rules.clients import Device
from filterd.server.neighbours import Neighbours, parse_leases, parse_neighbours

MAC = bytes.fromhex("020000000001")


def test_reads_what_ip_neighbour_prints():
    text = json.dumps(
        [
            {"dst": "10.0.0.7", "dev": "eth0", "lladdr": "02:00:00:00:00:01", "state": ["REACHABLE"]},
            {"dst": "fe80::7", "dev": "eth0", "lladdr": "02:00:00:00:00:01", "state": ["STALE"]},
            {"dst": "10.0.0.8", "dev": "eth0", "state": ["FAILED"]},
        ]
    )
    found = parse_neighbours(text)
    assert found[bytes((10, 0, 0, 7))] == Device(MAC, "", "eth0")
    assert len(found) == 2


def test_reads_dnsmasq_leases():
    text = "1767225600 02:00:00:00:00:01 10.0.0.9 class-pc-1 01:02:00:00:00:00:01\nduid 00:01:00:01\n"
    assert parse_leases(text) == {bytes((10, 0, 0, 9)): Device(MAC, "class-pc-1")}
    assert parse_leases("1 02:00:00:00:00:01 10.0.0.9 * *\n") == {bytes((10, 0, 0, 9)): Device(MAC)}
    assert parse_leases("1 77 fd00::9 Class-PC-1.lan 00:01\n")[
        ipaddress.ip_address("fd00::9").packed
    ] == Device(None, "class-pc-1")


def test_reads_kea_leases():
    text = (
        "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n"
        "10.0.0.9,02:00:00:00:00:01,,4000,1767225600,1,0,0,PC.school.lan,0\n"
    )
    assert parse_leases(text) == {bytes((10, 0, 0, 9)): Device(MAC, "pc")}


@given(st.text(max_size=300))
def test_hostile_files_never_raise(text):
    parse_leases(text)
    parse_leases("address,hwaddr\n" + text)
    parse_neighbours(text)


def test_refresh_reads_the_kernel_and_the_leases(tmp_path):
    leases = tmp_path / "dnsmasq.leases"
    leases.write_text("1 02:00:00:00:00:01 10.0.0.9 pc *\n")
    neighbours = Neighbours((str(leases), str(tmp_path / "missing")))
    assert asyncio.run(neighbours.refresh())
    assert neighbours.device_of(bytes((10, 0, 0, 9)))[:2] == (MAC, "pc")
    assert neighbours.failures == 1, "the missing file is counted"
    assert not asyncio.run(neighbours.refresh()), "nothing changed"

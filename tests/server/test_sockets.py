from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from filterd.errors import StartError
from filterd.server.settings import Endpoint
from filterd.server.sockets import bind_all


def bind(*endpoints):
    return bind_all(tuple(endpoints), receive_buffer=65536)


def test_udp_and_tcp_share_a_port():
    (bound,) = bind(Endpoint("127.0.0.1", 0))
    try:
        assert bound.udp[0].getsockname()[1] == bound.tcp.getsockname()[1] == bound.endpoint.port
    finally:
        bound.close()


def test_each_worker_has_a_udp_socket_of_its_own_on_the_same_port():
    (bound,) = bind_all((Endpoint("127.0.0.1", 0),), receive_buffer=65536, workers=3)
    try:
        assert {sock.getsockname()[1] for sock in (*bound.udp, bound.tcp)} == {bound.endpoint.port}
        assert len(bound.udp) == 3
        with pytest.raises(StartError, match="is in use"):
            bind(bound.endpoint)
        with pytest.raises(StartError, match="is in use"):
            bind_all((bound.endpoint,), receive_buffer=65536, workers=2)
    finally:
        bound.close()


def test_a_port_in_use_is_one_clear_line_with_a_remedy():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1 is in use .*ss -lnptu.*"):
            bind(Endpoint("127.0.0.1", port))


def test_all_or_nothing():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        free = Endpoint("127.0.0.2", 0)
        with pytest.raises(StartError):
            bind(free, Endpoint("127.0.0.1", holder.getsockname()[1]))


def test_an_address_of_another_machine():
    with pytest.raises(StartError, match=r"this machine has no address 192\.0\.2\.1"):
        bind(Endpoint("192.0.2.1", 0))


def test_no_permission_names_the_remedy():
    """Asked by a user without rights, in a process of its own."""
    code = (
        "import os\n"
        "from filterd.server.sockets import bind_all\n"
        "from filterd.server.settings import Endpoint\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "bind_all((Endpoint('127.0.0.1', 53),), receive_buffer=65536)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit > 53:
        assert "no permission to listen on 127.0.0.1:53 (ports below 1024 need root" in done.stderr
    else:
        assert done.returncode == 0, done.stderr

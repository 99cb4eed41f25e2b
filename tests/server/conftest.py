"""A real handler: the shipped policy and categories, a small real index, a resolver without upstream."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest
import trustme

from filterd.config.load import load_config
from filterd.events.recorder import Recorder
from filterd.lists import activate
from filterd.lists.worker import Job, build
from filterd.resolver.resolver import Resolver
from filterd.resolver.settings import ResolverSettings
from filterd.rules.categories import load_categories
from filterd.rules.clients import Device
from filterd.rules.index import Index
from filterd.rules.policy import load_policy
from filterd.server.clients import Clients, private_networks
from filterd.server.encrypted import EncryptedListeners
from filterd.server.handler import Handler
from filterd.server.settings import Encrypted, Endpoint, ServerSettings, TcpLimits
from filterd.wire import names

# Helpers stand beside the tests; with import mode "importlib" their folder is on no path.
sys.path.insert(0, str(Path(__file__).parent))

from _encrypted import NAME, Files, Service

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def policy():
    categories = load_categories(ROOT / "blocklists/categories.yaml")
    return load_policy(ROOT / "policies/baseline.yaml", ROOT / "policies/schools/example.yaml", categories)


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    build(Job(load_config(None, {"state": str(folder / "state")}).papers, folder))
    with_path = activate.current(folder)
    found = Index.open(with_path)
    yield found
    found.close()


@pytest.fixture
def make_handler(policy, index):
    """Return a function that makes a handler and its clients; ``local_names`` are what it can answer."""

    def make(**settings):
        settings.setdefault("allow_clients", private_networks())
        server = ServerSettings(listen=(Endpoint("127.0.0.1", 0),), **settings)
        local = {names.from_text("lms.example"): (bytes((192, 0, 2, 7)),)}
        resolver = Resolver(ResolverSettings(local_names=local), index)
        recorder = Recorder()
        handler = Handler(server, resolver, policy.view, recorder, cookie_secret=bytes(16))
        return handler, Clients(server, policy.clients.group_of, lambda _address: Device())

    return make


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def files(tmp_path, authority):
    return Files(tmp_path).write(authority)


@pytest.fixture
async def serve(make_handler, files, authority):
    """Starts DoT and DoH; arguments are limits of the connections."""
    started = []

    async def begin(*, settings=None, **limits):
        encrypted = Encrypted(
            str(files.chain), str(files.key), NAME, limits=TcpLimits(**{"idle": 30.0, **limits})
        )
        handler, clients = make_handler(encrypted=encrypted, **(settings or {}))
        listeners = EncryptedListeners(encrypted, handler, clients)
        socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for sock in socks:
            sock.setblocking(False)
        await listeners.start(socks[:1], socks[1:])
        started.append(listeners)
        return Service(listeners, handler, clients, [sock.getsockname()[1] for sock in socks], authority)

    yield begin
    for listeners in started:
        await listeners.close()
    await asyncio.sleep(0.02)

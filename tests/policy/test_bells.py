"""Bells and clocks that are set, through a real listener: no lookup gets the view of another second."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import dns.message
import pytest
import yaml

from filterd.errors import PolicyError
from filterd.events.recorder import Recorder
from filterd.resolver.resolver import Resolver
from filterd.resolver.settings import ResolverSettings
from filterd.rules.categories import load_categories
from filterd.rules.clients import Device
from filterd.rules.index import Index
from filterd.rules.overrides import Override
from filterd.rules.policy import merge_policy
from filterd.rules.yamlsource import parse
from filterd.server import fast, handler
from filterd.server.clients import Clients, private_networks
from filterd.server.settings import Endpoint, RateLimit, ServerSettings
from filterd.wire.names import from_text

ROOT = Path(__file__).resolve().parents[2]
MONDAY = 1_789_354_800.0  # 2026-09-14 08:00 in Almaty
LESSON = 45 * 60
DAYS = ["mon", "tue", "wed", "thu", "fri"]
NAME = "timed.example"


@pytest.fixture(scope="module")
def policy():
    def line(text):
        return parse(text, file="x.yaml", error=PolicyError)

    school = {
        "format": 1, "school": "s", "title": {"kk": "a", "ru": "a", "en": "a"}, "default_group": "all",
        "groups": [
            {"id": "all", "tier": "middle"}, {"id": "rest", "tier": "middle", "clients": ["127.0.0.7"]},
        ],
        "timetable": {"bells": {"a": [{"days": DAYS, "lessons": ["08:00-08:45", "08:55-09:40"]}]}},
        "schedule": [{"during": ["lessons"], "names": {"block": [{"name": NAME, "reason": "r"}]}}],
    }  # fmt: skip
    top = line("format: 1\ntitle: {kk: a, ru: a, en: a}\n")
    categories = load_categories(ROOT / "blocklists" / "categories.yaml")
    return merge_policy(top, line(yaml.safe_dump(school)), categories)


class Clock:
    """The wall clock of the process, which a test sets."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


class Serving:
    """A listener with all that is behind it; ``ask`` tells what a client gets at the clock's time."""

    def __init__(self, policy, clock):
        settings = ServerSettings(
            listen=(Endpoint("127.0.0.1", 0),), allow_clients=private_networks(), rate=RateLimit(0, 1)
        )
        resolver = Resolver(
            ResolverSettings(upstreams=(), local_names={from_text(NAME): (bytes((198, 51, 100, 7)),)}),
            Index.empty(),
        )
        self.policy = policy
        self.handler = handler.Handler(
            settings,
            resolver,
            lambda group: self.policy.view(group, clock()),
            Recorder(),
            cookie_secret=bytes(16),
        )
        self.clients = Clients(settings, policy.clients.group_of, lambda _address: Device())
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.listener = fast.FastListener(self.sock, self.handler, self.clients)
        self.askers = {}

    def ask(self, source="127.0.0.1"):
        if source not in self.askers:
            self.askers[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.askers[source].bind((source, 0))
            self.askers[source].settimeout(5)
        asker = self.askers[source]
        asker.sendto(dns.message.make_query(NAME, "A", id=7).to_wire(), self.sock.getsockname())
        self.listener._readable()
        reply = dns.message.from_wire(asker.recv(4096))
        return "allowed" if reply.answer else "blocked"

    def close(self):
        self.listener.close()
        for one in (self.sock, *self.askers.values()):
            one.close()


@pytest.fixture
async def world(policy, monkeypatch):
    clock = Clock(MONDAY)
    monkeypatch.setattr(fast, "time", clock)
    monkeypatch.setattr(handler, "time", clock)
    serving = Serving(policy, clock)
    yield serving, clock
    serving.close()


def expected(now):
    second = (now - MONDAY) % (7 * 86_400)
    day, second = divmod(second + 8 * 3600, 86_400)
    minute = second / 60
    lesson = day < 5 and (480 <= minute < 525 or 535 <= minute < 580)
    return "blocked" if lesson else "allowed"


async def test_r3_replies_remembered_change_at_the_bell(world):
    serving, clock = world
    for now in (MONDAY - 0.5, MONDAY, MONDAY + LESSON - 0.001, MONDAY + LESSON, MONDAY + 55 * 60):
        clock.now = now
        assert [serving.ask() for _ in range(5)] == [expected(now)] * 5


async def test_a_clock_set_back_is_noticed(world):
    serving, clock = world
    clock.now = MONDAY + 10 * 3600
    assert [serving.ask() for _ in range(4)] == ["allowed"] * 4
    clock.now = MONDAY + 600  # back into the first lesson: what was remembered is of another time
    assert [serving.ask() for _ in range(4)] == ["blocked"] * 4
    clock.now = MONDAY - 3600
    assert [serving.ask() for _ in range(4)] == ["allowed"] * 4


async def test_a_client_that_came_later_is_not_forgotten_when_the_clock_goes_back(world):
    serving, clock = world
    clock.now = MONDAY - 600
    assert serving.ask() == "allowed"
    clock.now = MONDAY + 600
    assert [serving.ask("127.0.0.7") for _ in range(4)] == ["blocked"] * 4
    clock.now = MONDAY - 300  # after the first client came, before the second one did
    assert [serving.ask("127.0.0.7") for _ in range(4)] == ["allowed"] * 4
    assert [serving.ask() for _ in range(4)] == ["allowed"] * 4


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_the_clock_does(world, seed):
    serving, clock = world
    chance = random.Random(seed)
    for _ in range(400):
        jump = chance.choice([0.001, 0.5, 30, 300, 1200, 20_000, 90_000])
        clock.now += chance.choice([jump, jump, -jump])
        if chance.random() < 0.2:
            clock.now = (
                MONDAY + chance.choice([0, LESSON, 55 * 60, 100 * 60]) + chance.choice([-0.001, 0, 0.001])
            )
        for source in chance.sample(["127.0.0.1", "127.0.0.7", "127.0.0.8"], 2):
            assert serving.ask(source) == expected(clock.now), clock.now - MONDAY


async def test_a_year_of_bells_leaves_nothing_behind(world):
    serving, clock = world
    for week in range(40):
        for minute in range(0, 200, 10):
            clock.now = MONDAY + week * 7 * 86_400 + minute * 60
            assert serving.ask() == expected(clock.now)
    assert len(serving.handler.memos._memos) <= 2
    assert len(serving.handler.memos) <= 2


async def test_r4_an_override_ends_at_its_second(world):
    serving, clock = world
    clock.now = MONDAY + 60
    override = Override(1, "all", "name", NAME, True, MONDAY + 600, "r", "a")
    serving.policy = serving.policy.under([override])
    serving.listener.forget()
    for now, got in ((60, "allowed"), (599.9, "allowed"), (600, "blocked"), (700, "blocked")):
        clock.now = MONDAY + now
        assert [serving.ask() for _ in range(4)] == [got] * 4
        assert serving.ask("127.0.0.7") == "blocked"

"""What the tests of lists share: a list read and told in plain words, categories, and materials from text."""

from __future__ import annotations

import io
import ipaddress
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Helpers stand beside the tests; with import mode "importlib" their folder is on no path.
sys.path.insert(0, str(Path(__file__).parent))

from _server import HOSTS, Authority, Server

from filterd.lists.catalogue import ListSource, Material
from filterd.lists.fetch import Fetcher, FetchSettings
from filterd.lists.formats import parse
from filterd.lists.gate import Guarded
from filterd.lists.guard import guard
from filterd.lists.resolving import Names, Way, written
from filterd.lists.rule import SUBTREE, Rejected, Rule
from filterd.lists.shelf import Shelf
from filterd.lists.update import Means, update
from filterd.rules.categories import Categories, Category, Severity
from filterd.rules.index import SCOPE_NAMES
from filterd.wire import names

Say = Callable[..., list[str]]
MakeMaterial = Callable[..., Material]


def told(item: Rule | Rejected) -> str:
    """``subtree example.com``, ``allow exact example.com``, or ``2:9 local-name localhost``."""
    if isinstance(item, Rejected):
        return f"{item.line}:{item.column} {item.reason} {item.text}"
    marks = ("allow " if item.allow else "") + ("important " if item.important else "")
    return f"{marks}{SCOPE_NAMES[item.scope]} {names.to_text(item.name)}"


@pytest.fixture(scope="session")
def say() -> Say:
    """Return a function: format and text -> what each rule and each rejected line is, in words."""

    def say(form: str, text: bytes | str, *, scope: int = SUBTREE, guarded: bool = False) -> list[str]:
        content = text.encode() if isinstance(text, str) else text
        refuse = guard() if guarded else None
        return [told(item) for item in parse(io.BytesIO(content), form, scope=scope, guard=refuse)]

    return say


@pytest.fixture(scope="session")
def categories() -> Categories:
    def category(name: str, bit: int, severity: Severity) -> Category:
        kind = "allow" if severity is Severity.ALLOW else "block"
        labels = {"kk": name, "ru": name, "en": name}
        return Category(name, bit, kind, severity, labels, {})

    return Categories(
        [
            category("csam", 0, Severity.ILLEGAL),
            category("gambling", 3, Severity.WELFARE),
            category("malware", 7, Severity.SECURITY),
            category("allow_edu", 40, Severity.ALLOW),
        ]
    )


@pytest.fixture
def material(tmp_path: Path) -> MakeMaterial:
    """Return a function: id, format, text and further fields of the catalogue -> a list with its file."""

    def make(
        list_id: str = "one", form: str = "domains", text: bytes | str = "", **fields: object
    ) -> Material:
        path = tmp_path / f"{list_id}.list"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        values = {
            "title": list_id.title(),
            "category": "gambling",
            "origin": "local",
            "licence": "CC0-1.0",
            **fields,
        }
        return Material(ListSource(id=list_id, path=path.name, format=form, **values), path)

    return make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority):
    with Server(authority.server_context(*HOSTS)) as running:
        yield running


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "fetched")


@pytest.fixture
def source(server: Server):
    """Return a function: fields of the catalogue -> a list at /list of the server."""

    def make(list_id: str = "betting", path: str = "/list", **more) -> ListSource:
        values = {
            "id": list_id, "title": "Betting", "url": server.url(path), "format": "domains",
            "category": "gambling", "origin": "public", "licence": "MIT", **more,
        }  # fmt: skip
        return ListSource(**values)

    return make


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(authority: Authority, shelf: Shelf, categories, clock: Clock):
    """Return a function that updates lists and returns their outcomes by id."""

    async def run(*sources: ListSource, guarded: Guarded | None = None, **more):
        known = {**{host: ["127.0.0.1"] for host in HOSTS}, "inside.test": ["10.0.0.5"]}
        hosts = Names([Way("written", written(known))], [ipaddress.ip_network("127.0.0.0/8")])
        settings = FetchSettings(time=3, idle=1, connect=1, tries=2, pause=0.01)
        async with Fetcher(hosts, authority.client_context(), settings) as fetcher:
            known_categories = more.pop("categories", categories)
            means = Means(shelf, fetcher, known_categories, guarded or Guarded(), clock=clock, **more)
            return {one.id: one for one in await update(means, sources)}

    return run

"""Safe search: the hosts of each engine, and where each level of it leads (R16).

The catalogue is ``safe_search.yaml``; which level holds for whom is a policy's matter. Never asks the
network: an address that has to be looked up is a name here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from filterd.errors import BadName, PolicyError
from filterd.rules.fields import Identifier, NameText, Text
from filterd.rules.verdict import Verdict
from filterd.rules.yamlsource import Section, load, validate
from filterd.wire import names

OFF = "off"
"""The level of every engine that no layer names: its hosts are answered as they are."""

MAX_ENGINES = 64
MAX_NAMES = 2000  # of one engine


@dataclass(frozen=True, slots=True)
class Target:
    """What the hosts of an engine are answered with: the addresses of another host, or addresses.

    Attributes:
        name: the host whose addresses are given behind a CNAME, lower-case wire name; empty: none.
        v4, v6: packed addresses, where the engine publishes addresses instead of a host.
    """

    name: bytes = b""
    v4: tuple[bytes, ...] = ()
    v6: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """The target as people read it."""
        if self.name:
            return names.to_text(self.name)
        return ", ".join(str(ipaddress.ip_address(packed)) for packed in (*self.v4, *self.v6))


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What one host gets in one view.

    Attributes:
        engine: id.
        level: of the engine.
        target: where it leads.
        verdict: what is counted and told.
    """

    engine: str
    level: str
    target: Target
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Engine:
    """A search engine, or a video site with a restricted mode.

    Attributes:
        id: stable id.
        title: its own name.
        hosts: the hosts that are rewritten, exactly these, lower-case wire names.
        levels: where each level leads, the mildest first; ``off`` is not among them.
    """

    id: str
    title: str
    hosts: tuple[bytes, ...]
    levels: Mapping[str, Target]

    def strictness(self, level: str) -> int:
        """Return how strict a level is, 0 for ``off``.

        Raises:
            KeyError: the engine has no such level.
        """
        if level == OFF:
            return 0
        if level not in self.levels:
            raise KeyError(level)
        return 1 + list(self.levels).index(level)


class Engines:
    """All engines by id; of a catalogue that has none, empty."""

    __slots__ = ("by_id", "text")

    def __init__(self, engines: Iterable[Engine] = (), *, text: str = "") -> None:
        self.by_id: Mapping[str, Engine] = MappingProxyType({one.id: one for one in engines})
        self.text = text  # of the file: part of a policy's version

    def __iter__(self) -> Iterator[Engine]:
        return iter(self.by_id.values())

    def __bool__(self) -> bool:
        return bool(self.by_id)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Target(_Model):
    cname: NameText | None = None
    v4: Annotated[list[str], Field(max_length=8)] = []
    v6: Annotated[list[str], Field(max_length=8)] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.cname is None) == (not (self.v4 or self.v6)):
            raise ValueError("write either cname, or addresses in v4 and v6")
        self.addresses()
        return self

    def addresses(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        return (
            tuple(ipaddress.IPv4Address(text).packed for text in self.v4),
            tuple(ipaddress.IPv6Address(text).packed for text in self.v6),
        )


class _Engine(_Model):
    title: Text
    levels: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^[a-z]{1,16}$")], _Target], Field(min_length=1)
    ]
    names: Annotated[list[NameText], Field(max_length=MAX_NAMES)] = []
    hosts: Annotated[list[NameText], Field(max_length=16)] = []
    domains: Annotated[list[NameText], Field(max_length=MAX_NAMES)] = []


class _File(_Model):
    format: Literal[1]
    engines: Annotated[dict[Identifier, _Engine], Field(max_length=MAX_ENGINES)]


def load_engines(path: Path) -> Engines:
    """Read ``safe_search.yaml``.

    Raises:
        PolicyError: with file, line and column: not as the format says, a host of two engines, an engine
            without hosts, a target that is rewritten itself.
    """
    source = load(path, error=PolicyError)
    file = validate(_File, source)
    seen: dict[bytes, str] = {}
    engines = []
    for engine_id, one in file.engines.items():
        here = Section(source, ("engines", engine_id))
        if OFF in one.levels:
            raise here.wrong("`off` is a level of every engine", "levels", OFF, key=True, remedy="remove it")
        hosts = tuple(_hosts(one, here))
        if not hosts:
            raise here.wrong(
                f"{engine_id!r} has no host", key=True, remedy="give it names, or hosts and domains"
            )
        for host in hosts:
            if seen.setdefault(host, engine_id) != engine_id:
                raise here.wrong(f"{names.to_text(host)} already belongs to {seen[host]!r}", key=True)
        levels = {level: _target(target, here.inner("levels", level)) for level, target in one.levels.items()}
        engines.append(Engine(engine_id, one.title, hosts, MappingProxyType(levels)))
    for engine in engines:
        for level, target in engine.levels.items():
            if target.name in seen:
                raise source.wrong(
                    f"{target.text} is rewritten itself: it is a host of {seen[target.name]!r}",
                    ("engines", engine.id, "levels", level, "cname"),
                )
    return Engines(engines, text=source.text)


def _hosts(engine: _Engine, here: Section) -> Iterator[bytes]:
    for number, text in enumerate(engine.names):
        yield wire(text, here.inner("names", number))
    if bool(engine.hosts) != bool(engine.domains):
        raise here.wrong("hosts and domains go together", key=True, remedy="each host stands in each domain")
    for number, domain in enumerate(engine.domains):
        for host in engine.hosts:
            yield wire(f"{host}.{domain}", here.inner("domains", number))


def _target(target: _Target, here: Section) -> Target:
    if target.cname is not None:
        return Target(wire(target.cname, here.inner("cname")))
    return Target(b"", *target.addresses())


def wire(text: str, here: Section) -> bytes:
    """Return a name of a catalogue as a lower-case wire name.

    Raises:
        PolicyError: not the name of a host or a domain.
    """
    try:
        name = names.from_text(text)
    except BadName as error:
        raise here.wrong(f"{text!r} is not a domain name: {error.message}") from error
    if len(names.labels(name)) < 2 or b"*" in name:
        raise here.wrong(f"{text!r} is not the name of a host", remedy="write it out, without a star")
    return name

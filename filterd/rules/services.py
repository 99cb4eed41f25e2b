"""Services: named sets of domains, so that a policy says ``tiktok`` and not ten names of delivery networks.

The catalogue is ``services.yaml``, written by us. Whether a service is blocked or allowed is a policy's
matter; its names then count like names the layer wrote down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from filterd.errors import PolicyError
from filterd.rules.fields import Identifier, NameText, Text
from filterd.rules.index import EXACT, SUBTREE
from filterd.rules.rewrites import wire
from filterd.rules.yamlsource import Section, load, meant, validate
from filterd.wire import names

MAX_SERVICES = 1000
MAX_NAMES = 500  # of one service


class ServiceName(NamedTuple):
    """A name of a service: lower-case wire name, and EXACT or SUBTREE."""

    name: bytes
    scope: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service people know by one name.

    Attributes:
        id: stable id, as policies write it.
        title: its own name.
        category: the category a block of it is counted in, None for one that has none (messengers).
        names: what belongs to it.
    """

    id: str
    title: str
    category: str | None
    names: tuple[ServiceName, ...]


class Services:
    """All services by id."""

    __slots__ = ("by_id", "text")

    def __init__(self, services: Iterable[Service] = (), *, text: str = "") -> None:
        self.by_id: Mapping[str, Service] = MappingProxyType({one.id: one for one in services})
        self.text = text  # of the file: part of a policy's version

    def __iter__(self) -> Iterator[Service]:
        return iter(self.by_id.values())


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Service(_Model):
    title: Text
    category: Identifier | None = None
    names: Annotated[list[NameText], Field(min_length=1, max_length=MAX_NAMES)]


class _File(_Model):
    format: Literal[1]
    services: Annotated[dict[Identifier, _Service], Field(max_length=MAX_SERVICES)]


def load_services(path: Path, categories: Iterable[str]) -> Services:
    """Read ``services.yaml``.

    Args:
        path: the file.
        categories: ids of the categories that block, which a service may belong to.

    Raises:
        PolicyError: with file, line and column: not as the format says, an unknown category, a name of two
            services or twice in one.
    """
    source = load(path, error=PolicyError)
    file = validate(_File, source)
    known = list(categories)
    seen: dict[bytes, str] = {}
    services = []
    for service_id, one in file.services.items():
        here = Section(source, ("services", service_id))
        if one.category is not None and one.category not in known:
            raise here.wrong(
                f"unknown category {one.category!r}", "category", remedy=meant(one.category, known)
            )
        found = []
        for number, text in enumerate(one.names):
            place = here.inner("names", number)
            name = wire(text.removeprefix("="), place)
            earlier = seen.setdefault(name, str(place.place()))
            if earlier != str(place.place()):
                raise place.wrong(f"{names.to_text(name)} is already at {earlier}", remedy="keep one of them")
            found.append(ServiceName(name, EXACT if text.startswith("=") else SUBTREE))
        services.append(Service(service_id, one.title, one.category, tuple(found)))
    return Services(services, text=source.text)

"""What the tests of the shipped lists share: the catalogue, and every local list as read and as written."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from filterd.lists.catalogue import Catalogue, ListSource
from filterd.lists.formats import parse
from filterd.lists.guard import guard
from filterd.lists.rule import EXACT, Rejected, Rule
from filterd.wire import names

BLOCKLISTS = Path(__file__).parents[2] / "blocklists"


@dataclass(frozen=True, slots=True)
class LocalList:
    """One shipped list.

    Attributes:
        source: its entry in the catalogue.
        lines: the file as written, without line ends.
        rules: name and scope, as the product reads it.
        rejected: lines that the product cannot use.
        scopes: by listed name.
    """

    source: ListSource
    lines: tuple[str, ...]
    rules: tuple[Rule, ...]
    rejected: tuple[Rejected, ...]
    scopes: Mapping[bytes, int]

    @property
    def category(self) -> str:
        return self.source.category

    @property
    def allows(self) -> bool:
        return self.category.startswith("allow_")

    def covering(self, name: bytes) -> str | None:
        """Return the listed name that applies to ``name``, the way the index would find it, or None."""
        for parent in names.parents(name):
            scope = self.scopes.get(parent)
            if scope is not None and (scope != EXACT or parent == name):
                return names.to_text(parent)
        return None


@pytest.fixture(scope="session")
def blocklists() -> Path:
    return BLOCKLISTS


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.model_validate(yaml.safe_load((BLOCKLISTS / "sources.yaml").read_text("utf-8")))


@pytest.fixture(scope="session")
def categories() -> Mapping[str, Any]:
    """The categories as written, so that a fault in their loader is not reported here."""
    text = (BLOCKLISTS / "categories.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["categories"]
    return found


@pytest.fixture(scope="session")
def local(catalogue: Catalogue) -> tuple[LocalList, ...]:
    return tuple(_read(source) for source in catalogue.sources if source.path is not None)


def _read(source: ListSource) -> LocalList:
    content = (BLOCKLISTS / (source.path or "")).read_bytes()
    items = tuple(parse(io.BytesIO(content), source.format, guard=guard(source.allowed_suffixes)))
    rules = tuple(item for item in items if isinstance(item, Rule))
    return LocalList(
        source,
        tuple(content.decode("utf-8").splitlines()),
        rules,
        tuple(item for item in items if isinstance(item, Rejected)),
        {rule.name: rule.scope for rule in rules},
    )


Covering = Callable[[str], dict[str, str]]


@pytest.fixture(scope="session")
def blocking(local: tuple[LocalList, ...]) -> Covering:
    """Return a function: a name as text -> the block categories that cover it, with the listed name."""
    return lambda text: _covering([one for one in local if not one.allows], text)


@pytest.fixture(scope="session")
def allowing(local: tuple[LocalList, ...]) -> Covering:
    """Return a function: a name as text -> the allow categories that cover it, with the listed name."""
    return lambda text: _covering([one for one in local if one.allows], text)


def _covering(lists: list[LocalList], text: str) -> dict[str, str]:
    name = names.from_text(text)
    return {one.category: found for one in lists if (found := one.covering(name)) is not None}

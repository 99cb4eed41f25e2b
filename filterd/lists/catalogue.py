"""The catalogue: which lists exist, where they come from, which category each one fills.

The file is ``blocklists/sources.yaml``::

    sources:
      - id: local-gambling            # stable, unique: letters, digits, hyphens; shown in verdicts, reports
        title: Betting sites seen in Kazakhstan
        path: local/gambling.txt      # relative to this file. Exactly one of path and url
        format: domains               # domains hosts adblock wildcard dnsmasq unbound rpz ut1 auto
        category: gambling            # an id of categories.yaml
        origin: local                 # local (kept by us or the region), licensed (bought), public (fetched)
        licence: Apache-2.0           # SPDX id, or the words of the source
        homepage: https://example.org # optional
        attribution: ...              # optional: the sentence that the licence asks to be shown
        scope: subtree                # optional: what a bare name means in domains, hosts and ut1 lists:
                                      #   subtree (default; the name and all below it) or exact
        allow_public_suffix: []       # optional: names that may stand in this list although they are a public
                                      #   suffix or a whole TLD, for example [pages.dev, zip]
        enabled: true                 # optional; a list that is not enabled waits to be chosen, see `sets`

      - id: ut1-gambling
        title: UT1 gambling
        url: https://dsi.ut-capitole.fr/blacklists/download/gambling.tar.gz
        mirrors: [https://...]        # optional: tried in this order when url fails; may be packed otherwise
        format: ut1
        folder: gambling              # optional: the folder inside the archive (or inside `path`)
        category: gambling
        origin: public
        licence: CC-BY-SA-4.0
        limits: {min_entries: 500}    # optional: what an update may do to it, see filterd/lists/limits.py
        enabled: false

    sets:                             # what an admin picks instead of lists: `lists.sets` in filterd.yaml
      school-default:
        title: What a school needs
        default: true                 # optional: chosen when filterd.yaml names no set
        lists: [ut1-gambling]
      strict:
        title: More lists, more mistakes
        includes: [school-default]    # optional: sets that stand above
        lists: []

In the formats ``domains`` and ``wildcard`` a line may also say ``=name`` (this name only) or ``*.name``
(the name and below). Reading the catalogue touches no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from filterd.errors import BadName, ListError
from filterd.lists.limits import Limits
from filterd.lists.papers import Choice
from filterd.rules.categories import Categories
from filterd.rules.yamlsource import Source, load, meant, validate
from filterd.wire import names

Format = Literal["domains", "hosts", "adblock", "wildcard", "dnsmasq", "unbound", "rpz", "ut1", "auto"]
Origin = Literal["public", "local", "licensed"]
ListId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
CategoryId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
Url = Annotated[str, StringConstraints(pattern=r"^https://\S+$", max_length=2000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

MAX_SOURCES = 1000  # list numbers are 16 bits in the index; a thousand is far beyond any catalogue


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ListSource(_Model):
    """One list of the catalogue; the module docstring says what each field means."""

    id: ListId
    title: Line
    path: Line | None = None
    url: Url | None = None
    format: Format
    folder: Annotated[str, StringConstraints(pattern=r"^[\w-]+(/[\w-]+)*$", max_length=100)] | None = None
    category: CategoryId
    origin: Origin
    licence: Line
    mirrors: list[Url] = Field(default_factory=list, max_length=8)
    homepage: Line | None = None
    attribution: Line | None = None
    scope: Literal["subtree", "exact"] = "subtree"
    allow_public_suffix: list[str] = Field(default_factory=list, max_length=1000)
    limits: Limits | None = None
    enabled: bool = True

    @field_validator("allow_public_suffix")
    @classmethod
    def _names(cls, value: list[str]) -> list[str]:
        for name in value:
            try:
                names.from_text(name)
            except BadName as error:
                raise ValueError(f"{name!r} is not a domain name: {error.message}") from error
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("exactly one of path and url must be given")
        if self.url is None and (self.mirrors or self.limits):
            raise ValueError("mirrors and limits belong to a list with a url")
        if self.folder is not None and self.format != "ut1":
            raise ValueError("folder belongs to format ut1 only")
        if self.origin == "public" and self.url is None and self.homepage is None:
            raise ValueError("a public list needs its url, or its homepage when a copy is kept here")
        return self

    @property
    def allowed_suffixes(self) -> frozenset[bytes]:
        """The names of ``allow_public_suffix`` as wire names."""
        return frozenset(names.from_text(name) for name in self.allow_public_suffix)


class ListSet(_Model):
    """Lists that are chosen together."""

    title: Line
    default: bool = False
    includes: list[ListId] = Field(default_factory=list, max_length=50)
    lists: list[ListId] = Field(max_length=MAX_SOURCES)


class Catalogue(_Model):
    """All lists, in the order of the file, and the sets they are chosen by."""

    sources: list[ListSource] = Field(max_length=MAX_SOURCES)
    sets: dict[ListId, ListSet] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        seen: set[str] = set()
        for source in self.sources:
            if source.id in seen:
                raise ValueError(f"two lists have the id {source.id!r}")
            seen.add(source.id)
        return self

    def get(self, list_id: str) -> ListSource | None:
        """Return the list with this id, or None."""
        return next((source for source in self.sources if source.id == list_id), None)

    def chosen(self, choice: Choice) -> list[ListSource]:
        """Return the lists to compile: enabled ones, those of the sets, added ones, less removed ones.

        Raises:
            ListError: the choice names a set or a list that is not in the catalogue.
        """
        sets = choice.sets
        if sets is None:
            sets = tuple(name for name, one in self.sets.items() if one.default)
        ids = {source.id for source in self.sources}
        for word, known, kind in (
            *((name, self.sets, "set of lists") for name in sets),
            *((name, ids, "list") for name in (*choice.add, *choice.remove)),
        ):
            if word not in known:
                raise ListError(f"no {kind} {word!r} in the catalogue", remedy=meant(word, known))
        wanted = {source.id for source in self.sources if source.enabled} | set(choice.add)
        for name in sets:
            wanted |= self._members(name)
        return [source for source in self.sources if source.id in wanted.difference(choice.remove)]

    def _members(self, name: str) -> set[str]:
        """Return the lists of a set and of those it includes; these stand above it, so this ends."""
        found = set(self.sets[name].lists)
        for inner in self.sets[name].includes:
            found |= self._members(inner)
        return found


@dataclass(frozen=True, slots=True)
class Material:
    """A list with the text to compile.

    Attributes:
        source: its entry in the catalogue.
        path: its file, or folder for ``ut1``; None when a list with a URL was not fetched yet.
        fetched_at: UTC seconds of the fetch; None for a file kept by people.
        text: the text itself, for a list that has no file of its own.
    """

    source: ListSource
    path: Path | None
    fetched_at: int | None = None
    text: bytes | None = None


def load_catalogue(path: Path, categories: Categories) -> Catalogue:
    """Read the catalogue.

    Raises:
        ListError: with file, line and column: missing, not as the format says, or an unknown category.
    """
    file = load(path, error=ListError)
    catalogue = validate(Catalogue, file)
    for number, source in enumerate(catalogue.sources):
        if source.category not in categories.by_id:
            raise file.wrong(
                f"unknown category {source.category!r}",
                ("sources", number, "category"),
                remedy=meant(source.category, categories.by_id),
            )
    _check_sets(catalogue, file)
    return catalogue


def _check_sets(catalogue: Catalogue, file: Source) -> None:
    ids = [source.id for source in catalogue.sources]
    above: list[str] = []
    for name, one in catalogue.sets.items():
        for key, words, known in (("includes", one.includes, above), ("lists", one.lists, ids)):
            for number, word in enumerate(words):
                if word not in known:
                    what = "set above this one" if key == "includes" else "list"
                    raise file.wrong(
                        f"no {what} {word!r}", ("sets", name, key, number), remedy=meant(word, known)
                    )
        above.append(name)


def local_material(source: ListSource, base: Path) -> Material:
    """Return a list that is kept by people, with its file.

    Args:
        source: its entry, with a path.
        base: the folder that paths start from, the catalogue's own.
    """
    path = base / (source.path or "")
    return Material(source, path / source.folder if source.folder else path)

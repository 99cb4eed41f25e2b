"""How each list stands, for ``filterd lists status``, for pages and for health: values, read from the shelf.

Changes nothing. An age counts from when a source last confirmed that the copy here is its newest: a list that
is refused or cannot be fetched grows old even if its copy is good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from filterd.lists.catalogue import ListSource
from filterd.lists.limits import DAY
from filterd.lists.shelf import Shelf

State = Literal["local", "good", "old", "refused", "failed", "never"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One chosen list.

    Attributes:
        id, title, category, origin, licence: as in the catalogue.
        state: ``local`` (kept here by people), ``good``, ``old`` (good, but not confirmed for too long),
            ``refused`` and ``failed`` (the last update brought nothing good; the last good copy serves),
            ``never`` (not fetched yet).
        trouble: why, for a person; may be empty.
        entries: of the copy that serves.
        fetched_at: UTC seconds when that copy came; 0: none did.
        confirmed_at: UTC seconds when its source last confirmed it; 0: never.
        tried_at: UTC seconds of the last try; 0: never.
        failures: tries in a row that brought nothing good.
        refused_entries: of the copy that was refused; 0: none is.
        attribution: the sentence its licence asks to be shown; may be empty.
    """

    id: str
    title: str
    category: str
    origin: str
    licence: str
    state: State
    trouble: str = ""
    entries: int = 0
    fetched_at: int = 0
    confirmed_at: int = 0
    tried_at: int = 0
    failures: int = 0
    refused_entries: int = 0
    attribution: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def standings(
    sources: Iterable[ListSource], shelf: Shelf, *, now: float, max_age: float = 14 * DAY
) -> tuple[Standing, ...]:
    """Return how each chosen list stands.

    Args:
        sources: the chosen lists.
        shelf: the fetched copies.
        now: UTC seconds.
        max_age: seconds after which a copy that was not confirmed is old.
    """
    return tuple(_standing(source, shelf, now, max_age) for source in sources)


def _standing(source: ListSource, shelf: Shelf, now: float, max_age: float) -> Standing:
    base = (source.id, source.title, source.category, source.origin, source.licence)
    attribution = source.attribution or ""
    if source.url is None:
        return Standing(*base, state="local", attribution=attribution)
    found = shelf.state(source.id)
    good = found.good
    confirmed = good.confirmed_at if good is not None else 0
    old = bool(good) and now - confirmed > max_age
    state: State = "old" if old else "good" if good is not None else "never"
    trouble = f"not confirmed for {(now - confirmed) / DAY:.0f} days" if old else ""
    if found.failed:
        state, trouble = "failed", "; ".join(part for part in (found.failed, trouble) if part)
    elif found.problems:
        state, trouble = "refused", "; ".join((*found.problems, trouble) if trouble else found.problems)
    return Standing(
        *base,
        state=state,
        trouble=trouble,
        entries=good.entries if good is not None else 0,
        fetched_at=good.fetched_at if good is not None else 0,
        confirmed_at=confirmed,
        tried_at=found.tried_at,
        failures=found.failures,
        refused_entries=found.refused.entries if found.refused is not None else 0,
        attribution=attribution,
    )


def health(found: Iterable[Standing]) -> dict[str, float]:
    """Return what health reports tell of the lists: `lists_failed`, `lists_oldest` (UTC seconds, 0: none)."""
    fetched = [one for one in found if one.state != "local"]
    failed = sum(one.state in {"failed", "refused"} for one in fetched)
    oldest = min((one.confirmed_at for one in fetched if one.confirmed_at), default=0)
    return {"lists_failed": float(failed), "lists_oldest": float(oldest)}

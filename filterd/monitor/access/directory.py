"""Which schools and boxes there are, and by which token or certificate a box is known; a value.

One answer for ingest, metrics and pages: what the configuration names (the box of `filterd run` among it)
and what people noted in the store stand here side by side. Holds digests only, never a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from filterd.monitor.settings import MonitorSettings

FROM_CONFIGURATION, FROM_STORE = "configuration", "store"


@dataclass(frozen=True, slots=True)
class School:
    """What the region knows of a school; empty when it knows only its id.

    Args:
        id: of the school.
        titles: language (kk, ru, en) -> title.
        region, district: ids, ``""``: not told.
        devices: of pupils and staff, as the school counts them; 0: not told.
        operator_service: the operator's child-protection service: ``"yes"``, ``"no"``, ``""``: not told.
        operator_since: ISO date or ``""``.
        responsible: the adult who answers for the report.
    """

    id: str
    titles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    region: str = ""
    district: str = ""
    devices: int = 0
    operator_service: str = ""
    operator_since: str = ""
    responsible: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """A token of a box.

    Args:
        box, school: whose.
        sha256: lower-case hex digest of the token.
        issued: UTC seconds; 0 when the configuration names it.
        expires: UTC seconds; ``inf``: never.
        origin: FROM_CONFIGURATION or FROM_STORE.
    """

    box: str
    school: str
    sha256: str
    issued: int = 0
    expires: float = math.inf
    origin: str = FROM_STORE


class Directory:
    """What is known at one instant; immutable.

    Args:
        passes: every token that is not revoked; one whose time is over counts no more.
        schools: those that were noted.
    """

    def __init__(self, passes: Iterable[Pass] = (), schools: Iterable[School] = ()) -> None:
        self._passes: dict[str, Pass] = {}
        for one in passes:
            self._passes.setdefault(one.sha256, one)
        self._schools = {school.id: school for school in schools}

    @classmethod
    def of_settings(cls, settings: MonitorSettings) -> Directory:
        """Return what the configuration names."""
        return cls(configured(settings))

    def pass_of(self, digest: str, now: float) -> Pass | None:
        """Return the valid token with this digest."""
        # A dictionary of digests leaks nothing by its timing that helps to guess a random token.
        found = self._passes.get(digest)
        return found if found is not None and now < found.expires else None

    def boxes(self, now: float) -> dict[str, str]:
        """Return box id -> school id of every box that has a valid token."""
        return {one.box: one.school for one in self.passes(now)}

    def passes(self, now: float) -> list[Pass]:
        """Return the valid tokens."""
        return [one for one in self._passes.values() if now < one.expires]

    def school(self, school: str) -> School:
        """Return what is known of a school."""
        return self._schools.get(school) or School(school)

    def noted_schools(self) -> list[School]:
        """Return the schools that people noted, by id; also those without a box, so that it is missed."""
        return [self._schools[school] for school in sorted(self._schools)]

    def school_ids(self, now: float) -> set[str]:
        """Return the ids of the noted schools and of those with a box."""
        return set(self._schools) | set(self.boxes(now).values())


def configured(settings: MonitorSettings) -> list[Pass]:
    """Return the tokens that the configuration names."""
    return [
        Pass(box, school, digest, origin=FROM_CONFIGURATION)
        for box, (school, digest) in settings.boxes.items()
    ]

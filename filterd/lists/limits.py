"""How much a list may change before a person must look at it; numbers only, no list is read here.

The defaults come from the histories of real lists. From one day to the next a malware list changes by 0.43 %
(median) and 17.7 % (95th percentile), every other list by under 0.6 %; the accidents seen were lists that
fell to nothing, lost 45 % and 94 %, or grew sevenfold overnight. So an ordinary list may lose a quarter and
grow by half, a list of attacks may lose two fifths and double; more after weeks without a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from filterd.rules.categories import Category, Severity

MIB: Final = 1 << 20
DAY: Final = 86_400
WEEK: Final = 7 * DAY

_FEW: Final = 20  # a change of so few entries says nothing, as long as half of the list stays
_MOST_SHRINK: Final = 0.7  # however long the box was offline
_MOST_GROWTH: Final = 4.0

Share = Annotated[float, Field(ge=0, le=1)]


class Limits(BaseModel):
    """What the catalogue may say of one list; a key that is left out has the default of its category.

    Attributes:
        min_entries: a copy with fewer names is refused.
        max_entries: a copy with more names is refused.
        max_shrink: the share of the last good copy that may go at once.
        max_growth: how much may be added at once, as a share of the last good copy.
        min_parsed: the share of lines that must be understood.
        max_popular: popular sites that a copy may block which the last good one did not.
        max_mib: MiB that may be transferred.
        max_unpacked_mib: MiB that this may become when unpacked.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    min_entries: Annotated[int, Field(ge=0)] | None = None
    max_entries: Annotated[int, Field(ge=1)] | None = None
    max_shrink: Share | None = None
    max_growth: Annotated[float, Field(ge=0, le=1000)] | None = None
    min_parsed: Share | None = None
    max_popular: Annotated[int, Field(ge=0)] | None = None
    max_mib: Annotated[int, Field(ge=1, le=4096)] | None = None
    max_unpacked_mib: Annotated[int, Field(ge=1, le=16_384)] | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits that hold for one list; as in `Limits`, without gaps, sizes in bytes."""

    min_entries: int = 1
    max_entries: int = 10_000_000
    max_shrink: float = 0.25
    max_growth: float = 0.5
    min_parsed: float = 0.95
    max_popular: int | None = None  # None: a share of the file of popular sites (gate.py)
    max_bytes: int = 64 * MIB
    max_unpacked: int = 512 * MIB
    max_lines: int = 20_000_000
    max_ratio: int = 100  # unpacked to packed; the most that deflate reaches is 1032, text reaches 3 to 10


_ATTACKS: Final = Bounds(max_shrink=0.4, max_growth=1.0)
_OTHERS: Final = Bounds()


def bounds_of(limits: Limits | None, category: Category) -> Bounds:
    """Return the bounds of a list: what its entry says, else the defaults of its category."""
    default = _ATTACKS if category.severity is Severity.SECURITY else _OTHERS
    if limits is None:
        return default
    given = limits.model_dump(exclude_none=True)
    return Bounds(
        min_entries=given.get("min_entries", default.min_entries),
        max_entries=given.get("max_entries", default.max_entries),
        max_shrink=given.get("max_shrink", default.max_shrink),
        max_growth=given.get("max_growth", default.max_growth),
        min_parsed=given.get("min_parsed", default.min_parsed),
        max_popular=given.get("max_popular", default.max_popular),
        max_bytes=given["max_mib"] * MIB if "max_mib" in given else default.max_bytes,
        max_unpacked=given["max_unpacked_mib"] * MIB if "max_unpacked_mib" in given else default.max_unpacked,
    )


def shrunk_too_far(before: int, now: int, bounds: Bounds, seconds: float) -> bool:
    """Return whether a list lost more than it may.

    Args:
        before: entries of the last good copy.
        now: entries of the new one.
        bounds: of the list.
        seconds: between the two.
    """
    if now >= before or (before - now <= _FEW and now * 2 >= before):
        return False
    may_go = 1 - (1 - bounds.max_shrink) ** (1 + _weeks(seconds))
    most = max(_MOST_SHRINK, bounds.max_shrink)
    return now < before * (1 - min(may_go, most))


def grown_too_far(before: int, now: int, bounds: Bounds, seconds: float) -> bool:
    """Return whether a list gained more than it may; arguments as of `shrunk_too_far`."""
    if now <= before or (now - before <= _FEW and now <= before * 2):
        return False
    may_come = (1 + bounds.max_growth) ** (1 + _weeks(seconds)) - 1
    most = max(_MOST_GROWTH, bounds.max_growth)
    return now > before * (1 + min(may_come, most))


def _weeks(seconds: float) -> int:
    return min(max(int(seconds // WEEK), 0), 52)

"""Why a blocked lookup may not have been a person's choice (school.md, "signal against noise").

A hint doubts, it never removes: the lookup is counted all the same, and who reads the summary sees why it
weighs less. Works with what the writer's thread has: the blocked lookups in their order, how much the device
asked lately, and a bounded memory of its own. Never sees the name of an allowed lookup, never runs in the
DNS loop, keeps nothing on disk. No I/O, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from filterd.events.batch import Hint

_K = TypeVar("_K")
_V = TypeVar("_V")

ADS = "ads"  # the category of advertising and tracker names
WINDOW = 10  # seconds: "within 10 s of a page burst or an advertising name"

# A browser asks A, AAAA and HTTPS of each name. Names of allowed lookups are not kept, so these are lookups:
# about eight names besides the blocked one's own.
BURST = 24

_SAME_ASK = 5  # seconds: other types and retries of one ask
_LONGEST = 7200  # seconds: what comes more rarely is not seen as even
_UNEVEN = 2  # seconds by which even intervals may differ (batches of a tenth of a second, retries)
_UNEVEN_PART = 0.02  # or this part of them
_EVEN = 5  # equal intervals in a row, so six asks: no person refreshes a page so evenly


@dataclass(slots=True)
class _Rhythm:
    last: int
    interval: int = 0
    equal: int = 0


class Hints:
    """Gives hints to the blocked lookups of one DNS process, in their order. For one thread.

    Args:
        recent: packed address -> lookups of the device in the latest 5 to 10 s, the present one included,
            blocked or not; 0 when unknown.
        nobody_there: UTC seconds -> whether the school's timetable says that nobody is there.
        maximum: devices, and pairs of device and domain, remembered; who was seen longest ago is forgotten.
    """

    def __init__(
        self,
        *,
        recent: Callable[[bytes], int] = lambda _address: 0,
        nobody_there: Callable[[int], bool] = lambda _at: False,
        maximum: int = 20_000,
    ) -> None:
        self._recent = recent
        self._nobody_there = nobody_there
        self._minute, self._empty = -1, False
        self._maximum = maximum
        self._advertised: OrderedDict[str, int] = OrderedDict()
        self._rhythms: OrderedDict[tuple[str, str], _Rhythm] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries are remembered."""
        return len(self._advertised) + len(self._rhythms)

    def __call__(self, address: bytes, pseudonym: str, domain: str, category: str, at: int) -> str:
        """Return the hints of one lookup, sorted, joined by commas; and remember it.

        Args:
            address: packed address.
            pseudonym: of the device.
            domain: registrable domain.
            category: "" when none.
            at: UTC seconds; a clock that was set back hints at nothing.
        """
        found = []
        if category == ADS:
            _remember(self._advertised, pseudonym, at, self._maximum)
        elif 0 <= at - self._advertised.get(pseudonym, at + 1) <= WINDOW:
            found.append(Hint.AD_PARENT)
        if self._is_even((pseudonym, domain), at):
            found.append(Hint.AUTOMATIC)
        if self._is_empty(at):
            found.append(Hint.OUT_OF_HOURS)
        if self._recent(address) >= BURST:
            found.append(Hint.PAGE_BURST)
        return ",".join(found)

    def _is_empty(self, at: int) -> bool:
        if at // 60 != self._minute:
            self._minute, self._empty = at // 60, self._nobody_there(at)
        return self._empty

    def _is_even(self, key: tuple[str, str], at: int) -> bool:
        rhythm = self._rhythms.get(key)
        if rhythm is None:
            _remember(self._rhythms, key, _Rhythm(at), self._maximum)
            return False
        self._rhythms.move_to_end(key)
        gap = at - rhythm.last
        if 0 <= gap < _SAME_ASK:
            return rhythm.equal >= _EVEN
        if gap < 0 or gap > _LONGEST:
            rhythm.interval = rhythm.equal = 0
        elif abs(gap - rhythm.interval) <= max(_UNEVEN, rhythm.interval * _UNEVEN_PART):
            rhythm.equal += 1
        else:
            rhythm.interval, rhythm.equal = gap, 1
        rhythm.last = at
        return rhythm.equal >= _EVEN


def _remember(table: OrderedDict[_K, _V], key: _K, value: _V, maximum: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > maximum:
        table.popitem(last=False)


def no_hints(_address: bytes, _pseudonym: str, _domain: str, _category: str, _at: int) -> str:
    """Return no hint, for who has none to give."""
    return ""

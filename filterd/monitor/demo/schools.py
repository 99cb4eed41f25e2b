"""The twenty schools of the demonstration, and what is peculiar about some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REGION: Final = "demo-region"
DISTRICT: Final = "demo-district"
_PLACES: Final = (
    ("мектеп-лицей", "школа-лицей", "lyceum school"),
    ("мектеп-гимназия", "школа-гимназия", "gymnasium school"),
    ("жалпы білім беретін мектеп", "общеобразовательная школа", "general school"),
    ("ауыл мектебі", "сельская школа", "village school"),
)


@dataclass(frozen=True, slots=True)
class DemoSchool:
    """A school that does not exist.

    Args:
        number: of its name.
        devices: of pupils and staff.
        silent_from: day, counted from the first, from which its box says nothing; 0: it always reports.
        lists_days: age of its lists at the end, days.
        serial: of the region's bundle on its box; most have 42.
        spikes: school days, counted from the first, with many tries to get round the filter.
        outages: days, counted from the first, on which the box was off for half of the day.
    """

    number: int
    devices: int
    silent_from: int = 0
    lists_days: int = 0
    serial: int = 42
    spikes: tuple[int, ...] = ()
    outages: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """Its id, and its box's."""
        return f"demo-{self.number}"

    @property
    def titles(self) -> dict[str, str]:
        """Its name in three languages."""
        kk, ru, en = _PLACES[self.number % len(_PLACES)]
        return {
            "title_kk": f"№ {self.number} {kk} (демонстрация)",
            "title_ru": f"№ {self.number} {ru} (демонстрация)",
            "title_en": f"No. {self.number} {en} (demonstration)",
        }


SILENT, OLD_LISTS, DRIFT = 108, 112, 115
_PECULIAR: Final = {
    103: {"spikes": (4, 5, 8)},
    106: {"outages": (8, 9)},
    SILENT: {"silent_from": 12},
    OLD_LISTS: {"lists_days": 20},
    DRIFT: {"serial": 41},
    117: {"spikes": (6, 7), "outages": (15,)},
}
SCHOOLS: Final = tuple(
    DemoSchool(number, 90 + (number * 137) % 620, **_PECULIAR.get(number, {}))  # type: ignore[arg-type]
    for number in range(101, 121)
)

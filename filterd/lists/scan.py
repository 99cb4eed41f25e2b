"""A copy of a list, read before it is used: how much is in it, and what it says of the names that matter.

Memory grows with the names watched, not with the list. Judges nothing; gate.py does.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from filterd.lists.catalogue import Material
from filterd.lists.reading import rules_of
from filterd.lists.report import SAMPLES
from filterd.lists.rule import Reason, Rejected, Rule
from filterd.rules.index import Entry
from filterd.wire import names

# Lines that a good list may hold although they name nothing that DNS could block. Any other reason means
# that the text is not what its entry in the catalogue says.
_EXPLAINED: Final = frozenset(
    {
        Reason.COSMETIC,
        Reason.REGEX,
        Reason.URL,
        Reason.MODIFIER,
        Reason.BADFILTER,
        Reason.NOT_ANCHORED,
        Reason.IP_ADDRESS,
        Reason.LOCAL_NAME,
        Reason.PUBLIC_SUFFIX,
        Reason.TRIGGER,
        Reason.ACTION,
        Reason.UNSUPPORTED,
        Reason.ZONE_TYPE,
        Reason.LOCAL_DATA,
        Reason.FORWARDING,
        Reason.OUTSIDE_ZONE,
    }
)


class Watched:
    """Names whose fate must be known before a list is used.

    Args:
        wanted: lower-case wire names.
    """

    def __init__(self, wanted: Iterable[bytes]) -> None:
        self.names = frozenset(wanted)
        self._above = frozenset(above for name in self.names for above in names.parents(name))

    def __contains__(self, name: object) -> bool:
        """Return whether an entry of this name may concern a watched name."""
        return name in self._above


@dataclass(frozen=True, slots=True)
class Scan:
    """What a copy holds.

    Attributes:
        entries: rules, repetitions included.
        rejected: lines that gave none, by reason.
        sha256: of the text, in hex.
        watched: the rules that may concern watched names, by the name they list.
        samples: some of the rejected lines whose reason is not explained by the format.
    """

    entries: int
    rejected: Mapping[Reason, int]
    sha256: str
    watched: Mapping[bytes, frozenset[Rule]] = field(default_factory=dict)
    samples: tuple[Rejected, ...] = ()

    @property
    def rejects(self) -> int:
        """Lines that gave no rule."""
        return sum(self.rejected.values())

    @property
    def unexplained(self) -> int:
        """Lines that a list of this format should not hold."""
        return sum(count for reason, count in self.rejected.items() if reason not in _EXPLAINED)

    def entries_of(self, list_no: int, category: int) -> dict[bytes, list[Entry]]:
        """Return the watched rules as entries of an index: of this list and category bit."""
        return {
            name: [Entry(list_no, category, rule.scope, rule.allow, rule.important) for rule in rules]
            for name, rules in self.watched.items()
        }


def scan(material: Material, watched: Watched) -> Scan:
    """Read a list.

    Raises:
        OSError: its text cannot be read.
    """
    digest = hashlib.sha256()
    rejected: Counter[Reason] = Counter()
    samples: list[Rejected] = []
    found: dict[bytes, set[Rule]] = {}
    entries = 0
    for _, item in rules_of(material, digest.update):
        if isinstance(item, Rule):
            entries += 1
            if item[0] in watched:
                found.setdefault(item[0], set()).add(item)
            continue
        rejected[item.reason] += 1
        if item.reason not in _EXPLAINED and len(samples) < SAMPLES:
            samples.append(item)
    return Scan(
        entries,
        rejected,
        digest.hexdigest(),
        {name: frozenset(rules) for name, rules in found.items()},
        tuple(samples),
    )

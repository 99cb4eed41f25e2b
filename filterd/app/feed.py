"""A group's policy as a response policy zone file (RPZ), for resolvers of a provider or region (1.12).

BIND, Knot Resolver, PowerDNS, Unbound and dnsdist load such zones; a name server of theirs serves the file to
them. Written whole or not at all.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filterd.errors import BadName, ConfigError
from filterd.resolver.settings import CANARIES
from filterd.resolver.special import SPECIAL, Special
from filterd.rules.index import Index
from filterd.rules.view import View
from filterd.rules.zone import Answer, Rule, rules
from filterd.wire import names

TTL = 60  # seconds: a correction is felt soon, as with a block of the filter itself
_STEP = 50_000
_LONGEST = 255


@dataclass(slots=True)
class Written:
    """What became of it: records written, and names that are too long below the zone's name."""

    records: int = 0
    too_long: int = 0


def write_rpz(
    path: Path,
    zone: str,
    view: View,
    index: Index,
    *,
    serial: int,
    illegal: bool = False,
    progress: Callable[[int], None] = lambda _records: None,
) -> Written:
    """Write the zone of a view.

    Args:
        path: of the zone file.
        zone: name of the zone, for example ``pupils.rpz``.
        view: of the group.
        index: the compiled lists.
        serial: of the SOA; has to grow with every zone that is put in use.
        illegal: with the names of illegal content.
        progress: told the records written so far.

    Raises:
        ConfigError: the zone has no good name, or the file cannot be written.
    """
    try:
        room = _LONGEST - len(names.from_text(zone))
    except BadName as error:
        raise ConfigError(f"{zone!r} is not a name for a zone: {error.message}") from error
    unfiltered = [name for name, kind in SPECIAL.items() if kind is Special.UNFILTERED]
    found = rules(view, index, canaries=CANARIES, unfiltered=unfiltered, illegal=illegal)
    written = Written()
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(_head(zone, view, serial))
                for rule in found:
                    if len(rule.name) + 2 * rule.below > room:
                        written.too_long += 1
                        continue
                    for line in _lines(rule):
                        file.write(line)
                        written.records += 1
                    if written.records % _STEP < 2:
                        progress(written.records)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", file=path) from error
    return written


def _head(zone: str, view: View, serial: int) -> str:
    return (
        f"; filterd: policy of group {view.group} (tier {view.tier}), school {view.school}\n"
        f"$ORIGIN {zone.rstrip('.')}.\n"
        f"$TTL {TTL}\n"
        f"@ SOA filterd.invalid. nobody.invalid. {serial % (1 << 32)} 3600 600 604800 {TTL}\n"
        "@ NS localhost.\n"
    )


def _lines(rule: Rule) -> Iterator[str]:
    owner = ("*." if rule.below else "") + names.to_text(rule.name).rstrip(".")
    for data in _data(rule.answer):
        yield f"{owner} {data}\n"


def _data(answer: Answer) -> Iterator[str]:
    match answer.kind:
        case "nxdomain":
            yield "CNAME ."
        case "nodata":
            yield "CNAME *."
        case "pass":
            yield "CNAME rpz-passthru."
        case "cname":
            yield f"CNAME {names.to_text(answer.target).rstrip('.')}."
        case _:
            yield from (f"A {ipaddress.IPv4Address(one)}" for one in answer.v4)
            yield from (f"AAAA {ipaddress.IPv6Address(one)}" for one in answer.v6)

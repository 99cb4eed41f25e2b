"""Do the learning sites answer through this filter: the measured availability of requirement 3.1.

The sites are the names of the local lists of ``allow_edu``. Asks the running filter as a pupil's computer
would and counts who got an address; never opens a site, so a site whose server is down but whose name
resolves counts as available: DNS cannot see more.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from filterd.app.selftest import BLOCKED
from filterd.config.load import Config
from filterd.errors import BadAnswer
from filterd.lists.catalogue import Material, load_catalogue, local_material
from filterd.lists.reading import rules_of
from filterd.lists.rule import Rejected
from filterd.rules.canary import CANARIES
from filterd.rules.categories import Categories
from filterd.server.settings import Endpoint
from filterd.wire import names
from filterd.wire.answer import addresses, extended_errors, fits, parse_answer
from filterd.wire.constants import Class, Type
from filterd.wire.query import build_query

CATEGORY: Final = "allow_edu"
SAMPLE: Final = 60  # sites asked for at most
PATIENCE: Final = 6.0  # seconds for all of them together
_AGAIN: Final = 2.0  # seconds after which those that are silent are asked once more


@dataclass(frozen=True, slots=True)
class Availability:
    """How many learning sites were asked for, and how many answered with an address."""

    tested: int = 0
    answered: int = 0


def learning_sites(config: Config, categories: Categories) -> list[bytes]:
    """Return the wire names of the learning sites, sorted; a list that cannot be read adds none.

    Raises:
        ListError: the catalogue of lists is wrong.
    """
    below = names.from_text(CANARIES)
    found: set[bytes] = set()
    for source in load_catalogue(config.catalogue, categories).sources:
        if source.category == CATEGORY and source.enabled and source.path is not None:
            found.update(_names(local_material(source, config.catalogue.parent)))
    return sorted(name for name in found if not name.endswith(below))


def _names(material: Material) -> Iterator[bytes]:
    try:
        for _, rule in rules_of(material):
            if not isinstance(rule, Rejected):
                yield rule.name
    except OSError:
        return


def availability(sites: Sequence[bytes], server: Endpoint, random: Random | None = None) -> Availability:
    """Ask a filter for the address of each site, or of a sample when there are many.

    Args:
        sites: wire names.
        server: the filter.
        random: chooses the sample.
    """
    chosen = list(sites)
    if len(chosen) > SAMPLE:
        chosen = (random or Random()).sample(chosen, SAMPLE)  # noqa: S311 - a sample, no secret
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((server.host, server.port))
            return Availability(len(chosen), _ask(sock, chosen))
        except OSError:  # nothing listens there: the self-test of the categories says so
            return Availability(len(chosen), 0)


def _ask(sock: socket.socket, sites: Sequence[bytes]) -> int:
    """Ask for all at once; return how many got an address in time."""
    first = secrets.randbits(15)
    waiting = {
        first + number: name + Type.A.to_bytes(2) + Class.IN.to_bytes(2) for number, name in enumerate(sites)
    }
    answered = 0
    deadline = time.monotonic() + PATIENCE
    again = 0.0
    while waiting and (now := time.monotonic()) < deadline:
        if now >= again:
            again = now + _AGAIN
            for query_id, question in waiting.items():
                sock.send(build_query(query_id, question))
        sock.settimeout(max(0.01, min(again, deadline) - now))
        try:
            packet = sock.recv(65_535)
        except TimeoutError:
            continue
        query_id = int.from_bytes(packet[:2])
        if query_id in waiting and fits(packet, query_id, waiting[query_id]):
            del waiting[query_id]
            answered += _has_address(packet)
    return answered


def _has_address(packet: bytes) -> bool:
    try:
        answer = parse_answer(packet)
        blocked = {code for code, _ in extended_errors(answer)} & BLOCKED  # it may come with 0.0.0.0
        return not blocked and bool(addresses(answer))
    except BadAnswer:
        return False

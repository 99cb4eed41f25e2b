"""The answer check: may this view have this answer?

The name asked for was decided already; here every name that the answer leads to is decided the same way
(CNAME cloaking, SVCB targets), and private addresses in public answers are found (rebinding). Asked on every
hit, fresh and stale. Pure: values in, verdict out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from filterd.errors import BadAnswer
from filterd.resolver.cache import Entry
from filterd.resolver.private import is_private
from filterd.rules.decide import decide
from filterd.rules.index import Index
from filterd.rules.verdict import Action, Reason, Verdict
from filterd.rules.view import View
from filterd.wire import answer as wire_answer
from filterd.wire import names
from filterd.wire.answer import Answer
from filterd.wire.constants import Type

_BY_NAME = (Reason.NAME_RULE, Reason.SERVICE, Reason.ALLOW_LIST)
MAX_LEADS = 64  # a chain has 12 at most, a service a handful
REBOUND = Verdict(Action.BLOCK, Reason.REBINDING)


def leads_to(answer: Answer) -> tuple[bytes, ...]:
    """Return every name an answer leads to: targets of CNAME, DNAME, SVCB and HTTPS, and links of the chain.

    Raises:
        BadAnswer: the chain loops or is too long, or there are over :data:`MAX_LEADS` names: each of them is
            decided on every hit.
    """
    found = wire_answer.targets(answer)
    if found and any(record.rtype == Type.DNAME for record in answer.records):
        found += wire_answer.chain(answer).names[1:]  # a DNAME renames: its target is not yet the name
    if not found:
        return ()
    found = tuple(dict.fromkeys(found))
    if len(found) > MAX_LEADS:
        raise BadAnswer("leads to too many names")
    return found


def has_private(answer: Answer) -> bool:
    """Return whether an answer holds a private address, be it as a hint."""
    return any(is_private(address) for address in wire_answer.addresses(answer))


def judge(
    entry: Entry, asked: Verdict, qtype: int, view: View, index: Index, *, rebinding: bool
) -> Verdict | None:
    """Return the verdict that blocks an answer, None when it may be given.

    Args:
        entry: the answer with the names it leads to.
        asked: the verdict about the name asked for, which was not blocked.
        qtype: type asked for.
        view: the client's policy.
        index: the compiled lists.
        rebinding: private addresses are not wanted in this answer.
    """
    for name in entry.names:
        verdict = decide(name, qtype, view, index)
        if verdict.action is Action.BLOCK and stands(verdict, asked, view, index):
            return verdict
    return REBOUND if rebinding and entry.private else None


def leads_to_rewritten(entry: Entry, view: View) -> bytes | None:
    """Return the first name on an answer's way that safe search rewrites, None if it leads to none.

    Whoever serves a search engine may serve it by the alias too (html.duckduckgo.com), so the alias gets what
    the engine's own name gets.
    """
    rewrites = view.rewrites
    if rewrites:
        for name in entry.names:
            if name in rewrites:
                return name
    return None


def stands(verdict: Verdict, asked: Verdict, view: View, index: Index) -> bool:
    """Whether the block of a target outweighs what was said about the name asked for.

    A name that people opened by name or by an allow list stays open when it is served from a host that some
    list names (R24), but locks hold, as they would if the target had been asked for: what a name rule cannot
    lift there, it cannot lift here.
    """
    if verdict.reason is Reason.EXAM:  # nothing speaks against the target, and the name asked for was opened
        return False
    if asked.action is not Action.ALLOW or asked.reason not in _BY_NAME:
        return True
    if verdict.reason is not Reason.LOCKED:
        return False
    category = view.categories.by_id.get(verdict.category or "")
    by_people = verdict.list_id not in _public_ids(index) or (category is not None and category.illegal)
    return by_people or asked.reason is not Reason.ALLOW_LIST


@lru_cache(maxsize=4)
def _public_ids(index: Index) -> frozenset[str]:
    return frozenset(info.id for info in index.lists.values() if info.origin == "public")


def may_be_private(name: bytes, *allowed: Iterable[bytes]) -> bool:
    """Return whether a name, or a parent of it, is on one of the allow lists for private addresses."""
    return any(names.is_under(name, own) for some in allowed for own in some)

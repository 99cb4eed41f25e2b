"""The decision: one name, one view, one index in; one verdict out.

The order of the steps is ``PRECEDENCE``, and nothing else decides. Pure: no clock, no I/O beyond reading the
mapped index. Names whose treatment the protocol itself prescribes (localhost, ipv4only.arpa) never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from filterd.rules.index import Entry, Index, Match
from filterd.rules.verdict import ALLOWED, Action, Reason, Verdict
from filterd.rules.view import AUTHORITY, CATALOGUE, NameRule, View
from filterd.wire import names


@dataclass(frozen=True, slots=True)
class Case:
    """All that the steps look at: what matched, before any of it is weighed.

    Attributes:
        view: for whom.
        matches: entries of the index that apply to the name, nearest first.
        rules: name rules of the view's layers that apply to it, nearest first.
        index: the index, for what it says about its lists.
    """

    view: View
    matches: tuple[Match, ...]
    rules: tuple[NameRule, ...]
    index: Index

    def of(self, mask: int) -> list[Match]:
        """Return the matches whose category is in a mask, nearest first."""
        return [match for match in self.matches if mask >> match.entry.category & 1]


class Step(NamedTuple):
    """One step of the order.

    Attributes:
        id: stable name, for explanations and tests.
        why: the reason for its place, for people.
        weigh: the verdict if the step speaks, else None.
    """

    id: str
    why: str
    weigh: Callable[[Case], Verdict | None]


def decide(name: bytes, qtype: int, view: View, index: Index) -> Verdict:  # noqa: ARG001  see qtype below
    """Return the verdict about a name for a view.

    Args:
        name: lower-case wire name.
        qtype: type asked for. Not looked at: every type of a blocked or rewritten name is treated alike, or
            HTTPS would open what A closes.
        view: the group's effective policy.
        index: the compiled lists.
    """
    return rewritten(name, view, permit(name, view, index))


def rewritten(name: bytes, view: View, verdict: Verdict) -> Verdict:
    """Return the verdict after safe search, which has its say about every name that is not blocked.

    That a list or a rule allows a name opens it; how strict a search engine is, is another question, and
    has keys of its own in the policy.
    """
    rewrite = view.rewrites.get(name)
    return verdict if rewrite is None or verdict.action is Action.BLOCK else rewrite.verdict


def permit(name: bytes, view: View, index: Index) -> Verdict:
    """Return the verdict about a name before safe search: allow or block; arguments as of :func:`decide`."""
    matches = index.lookup(name)
    rules = view.names.find(name) if view.names else ()
    if not matches and not rules and not view.exam:
        return ALLOWED
    return weigh(Case(view, matches, rules, index))


def weigh(case: Case) -> Verdict:
    """Return the verdict of the first step that speaks."""
    for step in PRECEDENCE:
        if (verdict := step.weigh(case)) is not None:
            return verdict
    return ALLOWED


def _locked_by_people(case: Case) -> Verdict | None:
    illegal = case.view.categories.illegal
    public = case.index.public
    return _blocked(
        case,
        Reason.LOCKED,
        case.view.locked,
        lambda entry: entry.list_no not in public or bool(illegal >> entry.category & 1),
    )


def _locked_public(case: Case) -> Verdict | None:
    lifted = _allow_match(case, case.view.categories.lifting) is not None
    if lifted or any(rule.allow and rule.locked for rule in case.rules):
        return None
    return _blocked(case, Reason.LOCKED, case.view.locked)


def _locked_name(case: Case) -> Verdict | None:
    locked = [rule for rule in case.rules if rule.locked and not _yields(rule, case)]
    if not locked:
        return None
    # Between locks the closest wins, and of equally close ones the layer with most authority.
    return _by_rule(max(locked, key=lambda rule: (rule.closeness, -AUTHORITY[rule.layer], not rule.allow)))


def _name_rule(case: Case) -> Verdict | None:
    free = [rule for rule in case.rules if not rule.locked and not _yields(rule, case)]
    if not free:
        return None
    return _by_rule(max(free, key=lambda rule: (rule.rank, not rule.service, not rule.allow)))


def _yields(rule: NameRule, case: Case) -> bool:
    # A service is a set of names that we wrote: whoever blocks it did not look at each. What an allow list
    # names more closely (education.minecraft.net) stays open.
    if rule.allow or not rule.service:
        return False
    allow = _allow_match(case)
    return allow is not None and len(allow.name) > len(rule.name)


def _allow_list(case: Case) -> Verdict | None:
    allow = _allow_match(case)
    if allow is None:
        return None
    closest = len(allow.name)
    for match in case.of(case.view.blocked):
        if match.entry.list_no not in case.index.public and len(match.name) > closest:
            return None  # people named this host more closely than the allow list did
    category = case.view.categories.by_bit[allow.entry.category]
    return _by_match(case, allow, Action.ALLOW, Reason.ALLOW_LIST, category.id)


def _category(case: Case) -> Verdict | None:
    return _blocked(case, Reason.CATEGORY, case.view.blocked)


def _exam(case: Case) -> Verdict | None:
    if not case.view.exam:
        return None
    return Verdict(Action.BLOCK, Reason.EXAM, rule="only what is opened is allowed now", layer=case.view.exam)


PRECEDENCE: tuple[Step, ...] = (
    Step(
        "locked_by_people",
        "a locked category, named by a list that people keep, and illegal content whoever names it: nothing"
        " lifts it (R1)",
        _locked_by_people,
    ),
    Step(
        "locked_public",
        "a locked category, named by public lists only: these err, so help, health and education stay open"
        " (R24), and so does a name that the layer holding the lock allows; neither a school nor a reviewed"
        " exception can lift it",
        _locked_public,
    ),
    Step(
        "locked_name",
        "a name that an upper layer locked: lower layers cannot change it either way (R9)",
        _locked_name,
    ),
    Step(
        "name_rule",
        "a name that a layer wrote down, by itself or by its service: people who looked at it know better"
        " than lists; the longest name wins, then the lowest layer; an allow list that names a host more"
        " closely than a blocked service does keeps it open",
        _name_rule,
    ),
    Step(
        "allow_list",
        "help, education, health and system lists: they outrank every public list (R24), and lists of people"
        " unless these name the host more closely",
        _allow_list,
    ),
    Step(
        "category",
        "a category that is blocked for the group now; the gravest one is reported",
        _category,
    ),
    Step(
        "exam",
        "during an exam what no allow list and no layer opened is blocked",
        _exam,
    ),
    Step("default", "nothing above spoke: allowed", lambda _case: ALLOWED),
)
"""Every step, the first that speaks decides. The one place where precedence is written down."""


class After(NamedTuple):
    """What is done to a name that the steps let pass: id and reason, for explanations."""

    id: str
    why: str


SAFE_SEARCH = After(
    "safe_search",
    "a search engine that is not blocked: its safe front end answers, as the policy says for the group; that"
    " a list or a rule opens the engine does not switch this off (R16)",
)
"""The last word, after all steps: see :func:`rewritten`."""


def _allow_match(case: Case, among: int = -1) -> Match | None:
    """Return the nearest entry of an allow_* category in a mask; those of people go first."""
    found = case.of(case.view.allowed & among)
    public = case.index.public
    return max(found, key=lambda match: (len(match.name), match.entry.list_no not in public), default=None)


def _blocked(
    case: Case, reason: Reason, mask: int, counts: Callable[[Entry], bool] = lambda _entry: True
) -> Verdict | None:
    """Return the block by the gravest category of a mask; None when no entry in it counts."""
    hits = [match for match in case.of(mask) if counts(match.entry)]
    if not hits:
        return None
    found = 0
    for match in hits:
        found |= 1 << match.entry.category
    category = case.view.categories.gravest(found)
    if category is None:  # a bit that this catalogue does not know is in no mask
        return None
    nearest = next(match for match in hits if match.entry.category == category.bit)
    return _by_match(case, nearest, Action.BLOCK, reason, category.id)


def _by_match(case: Case, match: Match, action: Action, reason: Reason, category_id: str) -> Verdict:
    info = case.index.lists.get(match.entry.list_no)
    category = case.view.categories.by_id[category_id]
    return Verdict(
        action,
        reason,
        category_id,
        info.id if info else None,
        None if category.illegal else names.to_text(match.name),
        case.view.layer_of.get(match.entry.category, CATALOGUE),
    )


def _by_rule(rule: NameRule) -> Verdict:
    reason = Reason.SERVICE if rule.service else Reason.NAME_RULE
    if rule.allow:
        return Verdict(Action.ALLOW, reason, None, None, rule.text, rule.layer)
    return Verdict(Action.BLOCK, reason, rule.category, None, rule.text, rule.layer)

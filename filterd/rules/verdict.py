"""What was decided about a name, and why: plain values that travel to answers, events and counters.

Never holds a client, a time or a packet; never displays a domain of an illegal category (R1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What happens to the question."""

    ALLOW = "allow"
    BLOCK = "block"
    REWRITE = "rewrite"


class Reason(StrEnum):
    """Which kind of rule spoke; stable labels for events and counters.

    Those up to ``safe_search`` come from :func:`filterd.rules.decide.decide`, the others from stages of the
    resolver.
    """

    DEFAULT = "default"  # nothing matched
    LOCKED = "locked"  # a locked category
    NAME_RULE = "name_rule"  # a name written into a policy layer
    SERVICE = "service"  # a service named in a policy layer
    ALLOW_LIST = "allow_list"  # an allow_* category
    CATEGORY = "category"  # a category the view blocks
    EXAM = "exam"  # nothing opens it, and only what is opened is allowed now
    SAFE_SEARCH = "safe_search"  # an engine answered with its safe front end
    SPECIAL = "special"  # a special-use name (RFC 6761)
    CANARY = "canary"  # a name by which software asks whether it may go round the filter
    REBINDING = "rebinding"  # a private address in a public answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about one name for one view.

    Attributes:
        action: allow, block or rewrite.
        reason: which kind of rule decided.
        category: id of the category, None when none was involved.
        list_id: id of the list, None when a policy or nothing decided.
        rule: the listed name or the policy's rule as text; None when nothing matched, and always None for
            a category of severity ``illegal``, whose domains are never displayed (R1).
        layer: the policy layer that made it so: ``baseline``, ``school``, ``group`` or ``catalogue``
            (a tier's default in the catalogue of categories); None when nothing matched.
    """

    action: Action
    reason: Reason
    category: str | None = None
    list_id: str | None = None
    rule: str | None = None
    layer: str | None = None

    @property
    def blocked(self) -> bool:
        """Whether the question is answered here, with a refusal."""
        return self.action is Action.BLOCK


ALLOWED = Verdict(Action.ALLOW, Reason.DEFAULT)
"""The shared verdict of a name that nothing matches: test with ``is`` on hot paths."""

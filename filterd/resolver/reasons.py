"""Why an answer is not what was asked for, in the words of RFC 8914: code and text of the extended error.

The text names category and reference so that a person can ask for a review (R22). Pure.
"""

from __future__ import annotations

from functools import lru_cache

from filterd.rules.rewrites import Rewrite
from filterd.rules.verdict import Reason, Verdict
from filterd.rules.view import GROUP, OVERRIDE, SCHOOL, View
from filterd.wire.constants import Ede

NOT_AUTHORITATIVE = 20  # RFC 8914 section 4.21: a query without RD that would need a fetch

NO_UPSTREAM = (Ede.NO_REACHABLE_AUTHORITY, "no upstream answered")
NO_NETWORK = (Ede.NETWORK_ERROR, "no upstream can be reached")
NO_SOCKET = (Ede.OTHER, "out of sockets")
NO_LISTS = (Ede.NOT_READY, "the filter has no lists yet; policy: closed without lists")
BUSY = (Ede.OTHER, "too many questions under way")
BAD_DATA = (Ede.INVALID_DATA, "answer with a loop, over 12 aliases or over 64 targets")
NO_RECURSION = (NOT_AUTHORITATIVE, "not known here, and recursion was not asked for")
THINNED = (Ede.OTHER, "too many missing names below this domain")
STALE = (Ede.STALE_ANSWER, "")
STALE_MISSING = (Ede.STALE_NXDOMAIN, "")


def why_rewritten(rewrite: Rewrite) -> tuple[int, str]:
    """Return the extended error of an answer by safe search: 4, forged by policy (RFC 8914 section 4.5)."""
    return Ede.FORGED_ANSWER, rewrite.verdict.rule or ""


def why_blocked(verdict: Verdict, view: View) -> tuple[int, str]:
    """Return the extended error of a blocked answer.

    16 (censored) for illegal content, which the law demands; 17 (filtered) for what the school asked for;
    15 (blocked) for the policy of whoever runs the service.
    """
    category = view.categories.by_id.get(verdict.category) if verdict.category else None
    return _why(verdict, category is not None and category.illegal)


@lru_cache(maxsize=1024)
def _why(verdict: Verdict, illegal: bool) -> tuple[int, str]:
    if illegal:
        code = Ede.CENSORED
    elif verdict.layer in (SCHOOL, GROUP, OVERRIDE):
        code = Ede.FILTERED
    else:
        code = Ede.BLOCKED
    if verdict.reason is Reason.REBINDING:
        return code, "private address in a public answer"
    parts = (("category", verdict.category), ("list", verdict.list_id), ("rule", verdict.rule))
    return code, "; ".join(f"{label}: {value}" for label, value in parts if value)

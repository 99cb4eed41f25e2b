"""The inert name that stands for a category in the self-test (R19); values only.

The names lie below ``.test``, which RFC 6761 keeps from registration for ever: they can belong to nobody, and
no upstream is ever asked for them.
"""

from __future__ import annotations

from typing import Final

from filterd.wire import names

CANARIES: Final = "canary.filterd.test"


def canary(category_id: str) -> bytes:
    """Return the canary of a category as a wire name."""
    return names.from_text(f"{category_id.replace('_', '-')}.{CANARIES}")

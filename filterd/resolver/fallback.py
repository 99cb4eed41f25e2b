"""Which upstreams of a group may be asked now: plain ones beside encrypted ones only if the policy says so.

Pure: states in, a list out. Never asks and never changes a state.
"""

from __future__ import annotations

from collections.abc import Sequence

from filterd.resolver.upstream import Upstream


def usable(group: Sequence[Upstream], *, fallback: bool) -> tuple[list[Upstream], bool]:
    """Return the upstreams of a group that may be asked, and whether these are a fall-back to plain DNS.

    A group with an encrypted upstream is encrypted: its plain ones are asked only while every encrypted one
    is known to be silent, and only where falling back is allowed. Nothing falls back on a guess.

    Args:
        group: in the order of the settings.
        fallback: the policy allows plain DNS when encrypted DNS fails.
    """
    alive = [upstream for upstream in group if not upstream.down]
    secure = [upstream for upstream in alive if upstream.secure]
    if secure or not any(upstream.secure for upstream in group):
        return secure or alive, False
    return (alive, bool(alive)) if fallback else ([], False)

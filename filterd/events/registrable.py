"""What a wire name is called in an event: its text, and the domain somebody registered it under.

Pure but for loading the public suffix list once. Never changes a name: odd labels keep their escapes.
"""

from __future__ import annotations

from functools import lru_cache

from filterd.rules.suffixes import registrable, suffix_rules
from filterd.wire import names

_CACHED = 4096  # blocked names come in runs; about 1 MB


# Read now: read at the first blocked lookup, it would fail when no descriptor is left, and lose lookups.
suffix_rules()


@lru_cache(maxsize=_CACHED)
def spoken(name: bytes) -> tuple[str, str]:
    """Return the text of a lower-case wire name and the text of its registrable domain.

    The registrable domain is one label more than the public suffix (https://publicsuffix.org/list/, private
    section included: each site under `github.io` is somebody else's). A name that is itself a public suffix,
    or the root, is its own.
    """
    text = names.to_text(name)
    domain = registrable(name)
    return text, text if domain is None else names.to_text(domain)

"""Padding of what goes over encrypted transports, so that its size tells less (RFC 7830, RFC 8467).

Responses to a multiple of 468 bytes and only when the query asked; our own queries to a multiple of 128.
Never used on plain transports: there it would only cost bytes.
"""

from __future__ import annotations

from filterd.wire.opt import padded
from filterd.wire.query import edns_of

QUERY_BLOCK = 128  # bytes (RFC 8467 section 4.1)


def padded_if_asked(query: bytes, reply: bytes) -> bytes:
    """Return a reply, padded if the query it answers has a padding option (RFC 7830 section 4).

    Args:
        query: as it came; it may be one that was refused.
        reply: made by this room, every other option in it already.
    """
    edns = edns_of(query)
    return padded(reply) if edns is not None and edns.padding else reply


def padded_query(query: bytes) -> bytes:
    """Return a query of ours padded for an encrypted upstream."""
    return padded(query, QUERY_BLOCK)

"""The frame of every reply to a parsed query: header, the client's own question, body, OPT, and the limit.

One place for what holds for all replies: QR and RA set, AA never, RD and CD copied, OPT only if the query
had one, nothing over the limit. Never decides what the body says.
"""

from __future__ import annotations

import struct

from filterd.wire.constants import HEADER_SIZE, MAX_MESSAGE, Flag, Rcode
from filterd.wire.opt import opt_record
from filterd.wire.query import Query

_pack_header = struct.Struct("!HHHHHH").pack
_REPLY = Flag.QR | Flag.RA

Cuts = tuple[tuple[int, int, int], ...]


def assemble(
    query: Query,
    rcode: int,
    body: bytes | bytearray,
    answers: int,
    authorities: int,
    *,
    limit: int,
    flags: int = 0,
    cuts: Cuts = (),
    ede: tuple[int, str] | None = None,
    cookie: bytes | None = None,
) -> bytes:
    """Return a whole reply.

    Over the limit the text of the extended error goes first, then whole RRsets from the end, with TC=1
    (RFC 2181 section 9); the client asks again over TCP.

    Args:
        query: gives id, question, RD, CD, DO and whether there is an OPT.
        rcode: extended rcode.
        body: records behind the question; pointers in it count from the start of the message.
        answers: records of the answer section in the body.
        authorities: records of the authority section in the body.
        limit: bytes the transport takes.
        flags: TC or AD.
        cuts: where the body may be cut: (length, answers, authorities), ascending; none: all or nothing.
        ede: extended error: code and text.
        cookie: client and server cookie.
    """
    flags |= _REPLY
    if query.rd:
        flags |= Flag.RD
    if query.cd:
        flags |= Flag.CD
    question = query.question
    edns = query.edns
    if edns is None:
        opt = b""
        if rcode > Flag.RCODE:  # its upper bits have no place without OPT (RFC 6891 section 6.1.3)
            rcode = Rcode.SERVFAIL
    else:
        opt = opt_record(edns.do, rcode, ede, cookie)
    room = min(limit, MAX_MESSAGE) - HEADER_SIZE - len(question)
    if len(body) + len(opt) > room:
        if edns is not None and ede is not None:
            opt = opt_record(edns.do, rcode, (ede[0], ""), cookie)
        if len(body) + len(opt) > room:
            length, answers, authorities = _last_cut(cuts, room - len(opt))
            body = body[:length]
            flags |= Flag.TC
    flags |= rcode & Flag.RCODE
    header = _pack_header(query.id, flags, 1, answers, authorities, 1 if opt else 0)
    return b"".join((header, question, body, opt))


def _last_cut(cuts: Cuts, room: int) -> tuple[int, int, int]:
    for cut in reversed(cuts):
        if cut[0] <= room:
            return cut
    return 0, 0, 0

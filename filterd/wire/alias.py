"""An answer given for another name: a CNAME made here, and behind it what is kept for the name it leads to.

The kept answer was made for its own question, and pointers in it count from there; here its names are written
out, so that it can stand behind any question. Never claims that the whole was validated.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from filterd.wire.answer import parse_answer
from filterd.wire.constants import Class, Flag, Type
from filterd.wire.reader import NameReader
from filterd.wire.stored import NO_CUTS_BELOW, StoredAnswer, cuts_of, moved

_OWNER = b"\xc0\x0c"  # the name asked for, by a pointer to the question
_pack_header = struct.Struct("!HHHHHH").pack
_pack_record = struct.Struct("!HHIH").pack
_pack_question = struct.Struct("!HH").pack
_pack_ttl_into = struct.Struct("!I").pack_into


def alias_record(target: bytes, ttl: int) -> bytes:
    """Return a CNAME record of the name asked for; the target is an uncompressed wire name."""
    return _OWNER + _pack_record(Type.CNAME, Class.IN, ttl, len(target)) + target


@lru_cache(maxsize=256)  # the same few targets, while their answers are fresh
def behind(stored: StoredAnswer, target: bytes, qtype: int, ttl: int) -> StoredAnswer:
    """Return a kept answer as it stands behind a CNAME, fit for any question of its type.

    Rcode and authority stay: a target without data, or one that is missing, is told as what it is
    (RFC 2308 section 2, RFC 6604 section 3). AD goes, since nobody signed the CNAME.

    Args:
        stored: what is kept for the target, class IN.
        target: the name it is kept for, lower-case wire name.
        qtype: the type it is kept for.
        ttl: seconds, of the CNAME; it does not count down, since nothing here comes to an end.

    Raises:
        BadAnswer: a record that is too long with its names written out.
    """
    question = target + _pack_question(qtype, Class.IN)
    header = _pack_header(0, Flag.QR, 1, stored.answers, stored.authorities, 0)
    answer = parse_answer(header + question + stored.body)
    reader = NameReader(answer.packet)
    body = bytearray(alias_record(target, ttl))
    first = len(body)
    ttls = []
    ends = []
    for record, (_, seconds) in zip(answer.records, stored.ttls, strict=True):
        body += record.name
        ttls.append((len(body) + 4, seconds))
        body += moved(reader, answer.packet, record)
        _pack_ttl_into(body, ttls[-1][0], seconds)
        ends.append(len(body))
    cuts = [
        (end, answers + 1, authorities)
        for end, answers, authorities in cuts_of(answer, list(answer.records), ends)
    ]
    return StoredAnswer(
        rcode=stored.rcode,
        ad=False,
        tc=stored.tc,
        negative=stored.negative,
        answers=stored.answers + 1,
        authorities=stored.authorities,
        body=bytes(body),
        ttls=tuple(ttls),
        ttl=stored.ttl,
        cuts=((first, 1, 0), *cuts) if len(body) > NO_CUTS_BELOW else (),
    )

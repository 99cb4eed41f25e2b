"""Packets that nobody sends by accident: changed in bits, lengths, names, counts and OPT records."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import dns.edns
import dns.message

_NAMES = (
    b"\xc0\x0c",
    b"\xc0\x00",
    b"\xff\xff",
    b"\x40\x00",
    b"\x80",
    b"\x3f" + b"a" * 63,
    b"\x01a" * 127 + b"\x00",
    b"\x01a" * 130,
    b"\x3f" * 256,
    b"\x07www.foo\x03com\x00",
    b"\x05\x00\xff\x80.\\\x00",
    b"\x06CASINO\x041XBE\x03CoM\x00",
    b"\x051xbet\x03com\x00",
    b"\x00",
)
_NUMBERS = (0, 1, 2, 5, 12, 15, 28, 41, 64, 65, 249, 250, 251, 252, 253, 255, 256, 512, 32768, 65535)


def ordinary() -> list[bytes]:
    """Return queries as devices send them: blocked, allowed, special; with and without EDNS."""
    names = (
        "1xbet.com",
        "www.1xbet.com",
        "kundelik.kz",
        "www.Example.org",
        "localhost",
        ".",
        "ipv4only.arpa",
        "7.0.168.192.in-addr.arpa",
        "use-application-dns.net",
        "xn--80ak6aa92e.com",
        f"{'a' * 63}.example",
    )
    packets = []
    for name in names:
        for rdtype in ("A", "AAAA", "HTTPS", "TXT", "ANY", "TYPE65280"):
            packets.append(dns.message.make_query(name, rdtype).to_wire())
            options = [dns.edns.CookieOption(b"12345678", b""), dns.edns.GenericOption(12, bytes(16))]
            query = dns.message.make_query(name, rdtype, use_edns=0, payload=1232, options=options)
            query.want_dnssec()
            packets.append(query.to_wire())
    return packets


Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def flip(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    for _ in range(dice.randint(1, 8)):
        packet[dice.randrange(len(packet))] ^= 1 << dice.randrange(8)


def truncate(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    del packet[dice.randrange(len(packet) + 1) :]


def extend(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    packet += dice.randbytes(dice.choice((1, 2, 11, 100)))


def duplicate(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    start = dice.randrange(len(packet))
    part = packet[start : start + dice.randint(1, 60)]
    at = dice.randrange(len(packet))
    packet[at:at] = part * dice.randint(1, 4)


def splice(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    at = dice.choice((12, dice.randrange(len(packet))))
    packet[at : at + dice.choice((0, 1, 8))] = dice.choice(_NAMES)


def cross(packet: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    other = dice.choice(seeds)
    packet[dice.randrange(len(packet)) :] = other[dice.randrange(len(other)) :] if other else b""


def count(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    at = dice.choice((4, 6, 8, 10))
    packet[at : at + 2] = dice.choice(_NUMBERS).to_bytes(2, "big")


def number(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(packet))
    packet[at : at + 2] = dice.choice(_NUMBERS).to_bytes(2, "big")


def opt(packet: bytearray, dice: random.Random, _seeds: Sequence[bytes]) -> None:
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        owner = dice.choice((b"\x00", b"\x00", b"\x00", b"\xc0\x0c", b"\x01a\x00"))
        size = dice.choice(_NUMBERS).to_bytes(2, "big")
        ttl = bytes((dice.choice((0, 0, 0, 1, 255)), dice.choice((0, 0, 1, 255)))) + dice.choice(
            (b"\x00\x00", b"\x80\x00", b"\xff\xff")
        )
        options = b"".join(option(dice) for _ in range(dice.choice((0, 1, 1, 3, 40))))
        length = len(options) if dice.random() < 0.8 else dice.choice(_NUMBERS)
        packet += owner + b"\x00\x29" + size + ttl + length.to_bytes(2, "big") + options
        if dice.random() < 0.8 and len(packet) > 12:
            packet[11] = (packet[11] + 1) & 0xFF


def option(dice: random.Random) -> bytes:
    code = dice.choice((3, 5, 8, 9, 10, 10, 11, 12, 15, 18, 65001))
    data = dice.randbytes(dice.choice((0, 1, 4, 8, 16, 24, 40)))
    length = len(data) if dice.random() < 0.8 else dice.choice(_NUMBERS)
    return code.to_bytes(2, "big") + length.to_bytes(2, "big") + data


MUTATIONS: tuple[Mutation, ...] = (
    flip, flip, truncate, extend, duplicate, splice, splice, cross, count, number, opt, opt,
)  # fmt: skip


def odd_query(dice: random.Random) -> bytes:
    """Return a query that is well-formed and strange: any labels, any type, OPT with anything in it."""
    labels = [
        dice.randbytes(dice.choice((1, 1, 2, 5, 20, 63))) for _ in range(dice.choice((0, 1, 1, 2, 3, 5)))
    ]
    base = dice.choice(
        (b"\x051xbet\x03com\x00", b"\x07example\x03org\x00", b"\x02kz\x00", b"\x00", b"\x05local\x00")
    )
    name = b"".join(bytes((len(label),)) + label for label in labels)[:250] if labels else b""
    if len(name) + len(base) > 255:
        name = b""
    flags = dice.choice((b"\x01\x00", b"\x00\x00", b"\x01\x20", b"\x01\x10", b"\x07\xff"))
    qtype = dice.choice((*_NUMBERS, dice.getrandbits(16))).to_bytes(2, "big")
    qclass = dice.choice((*(1,) * 20, 3, 255, dice.getrandbits(16))).to_bytes(2, "big")
    packet = bytearray(bytes(2) + flags + b"\x00\x01" + bytes(6) + name + base + qtype + qclass)
    if dice.random() < 0.5:
        options = b"".join(whole_option(dice) for _ in range(dice.choice((0, 1, 2, 5))))
        size = dice.choice(_NUMBERS).to_bytes(2, "big")
        flag = dice.choice((b"\x00\x00", b"\x80\x00", b"\x7f\xff"))
        packet += b"\x00\x00\x29" + size + b"\x00" + dice.choice((b"\x00", b"\x00", b"\x01")) + flag
        packet += len(options).to_bytes(2, "big") + options
        packet[11] = 1
    return bytes(packet)


def whole_option(dice: random.Random) -> bytes:
    code = dice.choice((3, 8, 9, 10, 11, 12, 15, 18, 65001))
    data = dice.randbytes(dice.choice((0, 8, 8, 16, 24, 40)))
    return code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def mutated(seeds: Sequence[bytes], dice: random.Random) -> Iterator[bytes]:
    """Yield packets without end; every third is whole, so that what lies behind the parser is met too."""
    while True:
        if dice.random() < 0.33:
            yield odd_query(dice)
            continue
        packet = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 2, 3, 4))):
            if packet:
                dice.choice(MUTATIONS)(packet, dice, seeds)
        if len(packet) > 2 and dice.random() < 0.9:
            packet[2] &= 0x7F  # mostly queries: of what says that it is a response little is read
            if dice.random() < 0.8:
                packet[2] &= 0x07  # and mostly with the opcode of one
        yield bytes(packet[:65_535])


def heavy() -> dict[str, bytes]:
    """Return what costs other parsers seconds (RFC 9267), as large as a stream carries."""
    head = b"\x12\x34\x01\x00"
    many = b"\x01a\x00\x00\x01\x00\x01"
    chain = b"".join((0xC000 | max(12, at - 2) & 0x3FFF).to_bytes(2, "big") for at in range(14, 16_000, 2))
    labels = b"\x01a" * 127 + b"\x00\x00\x01\x00\x01"
    options = b"".join(b"\xfd\xe8\x00\x00" for _ in range(15_000))
    cookies = b"\x00\x0a\x00\x08abcdefgh" * 5000
    question = b"\x051xbet\x03com\x00\x00\x01\x00\x01"
    record = b"\xc0\x0c\x00\x10\x00\x01" + bytes(6)

    def with_opt(data: bytes) -> bytes:
        return (
            head + b"\x00\x01\x00\x00\x00\x00\x00\x01" + question
            + b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00" + len(data).to_bytes(2, "big") + data
        )  # fmt: skip

    return {
        "many questions": head + b"\x24\x00\x00\x00\x00\x00\x00\x00" + many * 9000,
        "a chain of pointers": head + b"\x00\x01\x00\x00\x00\x00\x00\x00\x01a" + chain + b"\x00\x01\x00\x01",
        "many long names": head + b"\x00\x01\x00\x00\x00\x00\x00\xff" + question + labels * 250,
        "many records": head + b"\x00\x01\x00\x00\x00\x00\x24\x00" + question + record * 5000,
        "many options": with_opt(options),
        "many cookies": with_opt(cookies),
        "names that point into names": head + b"\x00\x01\x00\x00\x00\x00\xff\xff" + question
        + b"".join(b"\x3f" + b"b" * 63 + b"\xc0\x0c\x00\x01\x00\x01" + bytes(6) for _ in range(800)),
    }  # fmt: skip

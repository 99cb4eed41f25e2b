"""The numbers of DNS that this program speaks of by name.

Plain integers, so a comparison on the hot path costs one comparison; a number with no name here still
passes through untouched (RFC 3597). Holds no logic.
"""

from __future__ import annotations

from typing import Final

HEADER_SIZE: Final = 12  # RFC 1035 section 4.1.1
MIN_UDP: Final = 512  # RFC 1035 section 4.2.1; a smaller EDNS size counts as this (RFC 6891 section 6.2.3)
MAX_UDP: Final = 1232  # the largest UDP answer we send and ask for: no fragments on IPv6 (RFC 9715)
MAX_MESSAGE: Final = 65535  # a length of 16 bits over TCP (RFC 1035 section 4.2.2)


class Type:
    """RR types and QTYPEs (IANA "DNS Parameters")."""

    A: Final = 1
    NS: Final = 2
    MD: Final = 3
    MF: Final = 4
    CNAME: Final = 5
    SOA: Final = 6
    MB: Final = 7
    MG: Final = 8
    MR: Final = 9
    PTR: Final = 12
    HINFO: Final = 13
    MINFO: Final = 14
    MX: Final = 15
    TXT: Final = 16
    RP: Final = 17
    AFSDB: Final = 18
    RT: Final = 21
    SIG: Final = 24
    PX: Final = 26
    AAAA: Final = 28
    NXT: Final = 30
    SRV: Final = 33
    NAPTR: Final = 35
    KX: Final = 36
    DNAME: Final = 39
    OPT: Final = 41
    DS: Final = 43
    RRSIG: Final = 46
    NSEC: Final = 47
    DNSKEY: Final = 48
    NSEC3: Final = 50
    SVCB: Final = 64
    HTTPS: Final = 65
    TKEY: Final = 249
    TSIG: Final = 250
    IXFR: Final = 251
    AXFR: Final = 252
    ANY: Final = 255
    CAA: Final = 257


class Class:
    """Classes (RFC 1035 section 3.2.4)."""

    IN: Final = 1
    CH: Final = 3
    HS: Final = 4
    NONE: Final = 254
    ANY: Final = 255


class Opcode:
    """Opcodes (RFC 6895 section 2.2)."""

    QUERY: Final = 0
    IQUERY: Final = 1
    STATUS: Final = 2
    NOTIFY: Final = 4
    UPDATE: Final = 5


class Rcode:
    """Response codes, extended ones included (RFC 6895 section 2.3)."""

    NOERROR: Final = 0
    FORMERR: Final = 1
    SERVFAIL: Final = 2
    NXDOMAIN: Final = 3
    NOTIMP: Final = 4
    REFUSED: Final = 5
    YXDOMAIN: Final = 6
    BADVERS: Final = 16
    BADCOOKIE: Final = 23


class Flag:
    """Bits of the second word of the header (RFC 1035 section 4.1.1, RFC 4035 section 3)."""

    QR: Final = 0x8000
    OPCODE: Final = 0x7800
    AA: Final = 0x0400
    TC: Final = 0x0200
    RD: Final = 0x0100
    RA: Final = 0x0080
    AD: Final = 0x0020
    CD: Final = 0x0010
    RCODE: Final = 0x000F


class OptionCode:
    """EDNS options (IANA "DNS EDNS0 Option Codes")."""

    NSID: Final = 3
    CLIENT_SUBNET: Final = 8  # RFC 7871
    COOKIE: Final = 10  # RFC 7873
    KEEPALIVE: Final = 11  # RFC 7828
    PADDING: Final = 12  # RFC 7830
    EDE: Final = 15  # RFC 8914
    REPORT_CHANNEL: Final = 18  # RFC 9567


class Ede:
    """Extended DNS errors (RFC 8914 section 4)."""

    OTHER: Final = 0
    STALE_ANSWER: Final = 3
    FORGED_ANSWER: Final = 4
    DNSSEC_BOGUS: Final = 6
    CACHED_ERROR: Final = 13
    NOT_READY: Final = 14
    BLOCKED: Final = 15
    CENSORED: Final = 16
    FILTERED: Final = 17
    PROHIBITED: Final = 18
    STALE_NXDOMAIN: Final = 19
    NO_REACHABLE_AUTHORITY: Final = 22
    NETWORK_ERROR: Final = 23
    INVALID_DATA: Final = 24

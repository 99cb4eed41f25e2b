"""EDNS, cookies and malformed queries (RFC 6891, 7873, 9018, 9267, 9619), asked by dig and by hand."""

from __future__ import annotations

import re

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from _ask import ask, check, dig, exchange_udp, kdig, question, read, stream, udp

GOOD = question("casino.example").to_wire()


def cookie(answer):
    (found,) = [option for option in answer.message.options if isinstance(option, dns.edns.CookieOption)]
    return found


def test_another_version_is_told_ours(school):
    dug = dig(school.v4, "+edns=1", "+noednsneg", "mektep.example")
    assert dug.status == "BADVERS"
    assert "; EDNS: version: 0," in dug.text
    assert dig(school.v4, "+edns=1", "mektep.example").status == "NOERROR", "dig comes back with version 0"


def test_unknown_options_and_flags_are_ignored_and_not_echoed(school):
    dug = dig(school.v4, "+nsid", "+ednsopt=65001:c0ffee", "+ednsflags=0x2fff", "mektep.example")
    assert dug.status == "NOERROR"
    pseudo = dug.text[dug.text.index("OPT PSEUDOSECTION") :]
    assert "; EDNS: version: 0, flags:; udp: 1232\n" in pseudo
    assert "NSID" not in pseudo
    assert "65001" not in pseudo


def test_padding_is_for_encrypted_transports_only(school):
    """RFC 8467."""
    for tcp in (False, True):
        query = question("mektep.example", options=[dns.edns.GenericOption(12, bytes(50))])
        answer = ask(school.v4, query, tcp=tcp)
        assert not [option for option in answer.message.options if option.otype == 12]


def test_keepalive_is_told_on_streams_only(school):
    """RFC 7828: in tenths of a second."""
    query = question("mektep.example", options=[dns.edns.GenericOption(11, b"")])
    assert not [option for option in ask(school.v4, query).message.options if option.otype == 11]
    (option,) = [option for option in ask(school.v4, query, tcp=True).message.options if option.otype == 11]
    assert option.to_wire() == (10).to_bytes(2, "big"), "the idle time of this filter is one second"
    without = ask(school.v4, "mektep.example", tcp=True)
    assert not [option for option in without.message.options if option.otype == 11]


@pytest.mark.parametrize("bufsize", [512, 1232, 4096])
def test_dig_with_any_buffer_size(school, bufsize):
    assert dig(school.v4, f"+bufsize={bufsize}", "large.example", "TXT", "+ignore").flags >= {"tc"}
    assert "udp: 1232" in dig(school.v4, f"+bufsize={bufsize}", "mektep.example").text


@pytest.mark.parametrize("name", ["mektep.example", "casino.example", "localhost", "missing.example"])
def test_cookies_are_answered_and_verified_by_dig(school, name):
    for tcp in ((), ("+tcp",)):
        assert re.search(r"; COOKIE: [0-9a-f]{48} \(good\)", dig(school.v4, "+cookie", *tcp, name).text)


def test_a_server_cookie_is_taken_back(school):
    """RFC 9018: 24 bytes: ours, version 1, a time, a hash; bound to the client's address."""
    client = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    first = cookie(ask(school.v4, question("mektep.example", options=[dns.edns.CookieOption(client, b"")])))
    assert first.client == client
    assert len(first.server) == 16
    assert first.server[0] == 1
    for server in (first.server, bytes(16), b"\x01" + bytes(7)):
        query = question("mektep.example", options=[dns.edns.CookieOption(client, server)])
        again = ask(school.v4, query)
        assert again.rcode == "NOERROR"
        assert cookie(again).server[:4] == b"\x01\x00\x00\x00"


@pytest.mark.parametrize("size", [1, 7, 9, 15, 41])
def test_a_cookie_of_a_wrong_length_is_malformed(school, size):
    """RFC 7873 section 5.2.2; with OPT, or it would say that we know no EDNS (RFC 6891 section 7)."""
    query = question("mektep.example", options=[dns.edns.GenericOption(10, bytes(size))])
    assert ask(school.v4, query).rcode == "FORMERR"


def test_a_query_for_a_cookie_alone(school):
    """RFC 7873 section 5.4: no question at all."""
    dug = dig(school.v4, "+header-only", "+cookie")
    assert dug.status == "NOERROR"
    assert "(good)" in dug.text
    assert dig(school.v4, "+header-only", "+nocookie").status == "FORMERR"


def test_kdig_with_everything_switched_on(school):
    dug = kdig(school.v4, "+edns", "+dnssec", "+nsid", "+cookie", "+padding=64", "casino.example", "HTTPS")
    assert dug.status == "NXDOMAIN"
    assert "COOKIE" in dug.text
    assert "NSID" not in dug.text


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("+opcode=STATUS", "mektep.example"), "NOTIMP"),
        (("+opcode=NOTIFY", "mektep.example"), "NOTIMP"),
        (("+opcode=UPDATE", "mektep.example"), "NOTIMP"),
        (("+opcode=15", "mektep.example"), "NOTIMP"),
        (("version.bind", "CH", "TXT"), "REFUSED"),
        (("id.server", "CH", "TXT"), "REFUSED"),
        (("mektep.example", "A", "-c", "HS"), "REFUSED"),
        (("mektep.example", "A", "-c", "ANY"), "REFUSED"),
        (("casino.example", "A", "-c", "ANY"), "REFUSED"),
    ],
)
def test_what_is_no_lookup_is_refused(school, args, status):
    assert dig(school.v4, *args).status == status


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR", "TKEY"])
@pytest.mark.parametrize("name", ["mektep.example", "casino.example"])
def test_what_is_no_data_is_refused(school, name, rdtype, tcp):
    assert ask(school.v4, name, rdtype, tcp=tcp).rcode == "REFUSED"


def test_a_zone_transfer_is_refused(school):
    assert "Transfer failed" in dig(school.v4, "casino.example", "AXFR").text
    assert "server replied with error 'REFUSED'" in kdig(school.v4, "casino.example", "AXFR", fails=True).text


def two_opts():
    query = question("casino.example").to_wire()
    opt = query[-11:]
    return query[:11] + b"\x02" + query[12:] + opt


def opt_with_owner():
    query = question("casino.example").to_wire()
    return query[:-11] + b"\x01x" + query[-11:]


MALFORMED = {
    "two questions": GOOD[:5] + b"\x02" + GOOD[6:],
    "no question": GOOD[:5] + b"\x00" + GOOD[6:12],
    "a pointer in the question": GOOD[:12] + b"\xc0\x0c\x00\x01\x00\x01",
    "label type 0x40": GOOD[:12] + b"\x41x\x00\x00\x01\x00\x01",
    "a label over 63": GOOD[:12] + b"\x40" + bytes(64) + b"\x00\x00\x01\x00\x01",
    "a name over 255": GOOD[:11] + b"\x00" + (b"\x3f" + b"b" * 63) * 4 + b"\x00\x00\x01\x00\x01",
    "no end": GOOD[:20],
    "trailing bytes": GOOD + b"\x00",
    "an answer in the query": GOOD[:7] + b"\x01" + GOOD[8:],
    "two OPT": two_opts(),
    "OPT with an owner": opt_with_owner(),
}  # fmt: skip


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_queries_get_formerr(school, kind):
    wire = exchange_udp(school.v4, MALFORMED[kind])
    assert wire[:2] == MALFORMED[kind][:2]
    reply = dns.message.from_wire(wire, question_only=True)
    assert reply.rcode() == dns.rcode.FORMERR
    assert reply.flags & dns.flags.QR
    assert len(wire) <= len(MALFORMED[kind]) + 12, "no amplification"


SILENCED = {
    "empty": b"",
    "a byte": b"\x00",
    "11 bytes": GOOD[:11],
    "a response": GOOD[:2] + b"\x81" + GOOD[3:],
    "all ones": b"\xff" * 12,
}


@pytest.mark.parametrize("packet", SILENCED.values(), ids=SILENCED)
def test_what_is_no_query_is_met_with_silence(school, packet):
    with udp(school.v4) as sock:
        sock.settimeout(10)
        sock.send(packet)
        query = question("mektep.example")
        sock.send(query.to_wire())
        check(query, read(sock.recv(65_535)))


@pytest.mark.parametrize(
    "packet", [b"\x00\x00", b"\x00\x05hello", b"\x00\x0c" + b"\xff" * 12], ids=["0", "5", "QR"]
)
def test_what_is_no_query_ends_a_connection(school, packet):
    with stream(school.v4) as sock:
        sock.sendall(packet)
        assert sock.recv(1) == b""


def test_nothing_of_a_client_is_passed_on(start, papers, stub):
    """OPT is hop by hop: no client subnet, cookie or unknown option goes upstream, and nothing comes back."""
    filterd = start(papers.config(stub.server))
    options = [
        dns.edns.ECSOption("203.0.113.0", 24),
        dns.edns.CookieOption(bytes(8), b""),
        dns.edns.GenericOption(18, b"\x05agent\x00"),  # report channel, RFC 9567
        dns.edns.GenericOption(65001, b"client"),
    ]
    answer = ask(filterd.v4, question("mektep.example", options=options, want_dnssec=True, cd=True))
    assert answer.data == ["198.51.100.99"]
    assert {option.otype for option in answer.message.options} == {10}
    (asked,) = stub.asked
    assert asked.edns == 0
    assert asked.options == ()
    assert asked.ednsflags & dns.flags.DO
    assert asked.flags & dns.flags.CD
    assert asked.flags & dns.flags.RD
    assert asked.opcode() == dns.opcode.QUERY

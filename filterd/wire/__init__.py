"""Bytes on one side, questions and answers on the other. No sockets, no clock, no loop.

    client ── query.parse_query ──► Query ── query.build_query ──► upstream
                                      │                               │
                                      │                     answer.fits, parse_answer
                                      │                               ▼
       ◄── stored.render ◄── StoredAnswer ◄── stored.store ◄────── Answer ──► chain, targets, addresses
       ◄── synthesis.blocked, simple, addresses, truncated            (what the filter looks at)
       ◄── query.refusal (bytes that are no question)

A name is its uncompressed wire form in lower case (`names`). An answer from upstream is never unpacked and
packed again: it is checked, cut, patched and sent on as bytes, so types nobody here knows pass unchanged
(RFC 3597). Work on one message is bounded by the caps in `edns`, `answer` and `reader`. Only DropPacket,
QueryRefused, BadAnswer and BadName are ever raised at what others sent. dnslib builds the records of
`synthesis` and reads nothing.
"""

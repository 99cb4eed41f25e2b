"""From a question to its answer: stages, cache, questions under way, upstreams.

    request ─► stages ─► cache ─► questions under way ─► forwarder ─► upstreams
                 │         ▲            │                  fetch: whom, when, again
                 ▼         └── land ◄───┘                  udp, tcp, secure: bytes on the wire
               reply ◄──── answer check ◄── every hit, fresh, stale or new

`stages.py` holds the order with its reasons; `core.py` what is known, without sockets; `resolver.py` puts
both together with the loop. This room never knows a listener, and a client is no more to it than an address
that budgets count by.
"""

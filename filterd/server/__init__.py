"""Listeners between clients and the resolver: sockets, limits, workers; it never decides what is blocked.

settings     frozen values: where to listen, whom to serve, limits
sockets      bind what was configured, or say in one line why not
clients      address -> group, bucket and in-flight count; bounded
ratelimit    token bucket per client, TC slip
handler      packet -> reply, the one place where a lookup is parsed, resolved and accounted for
udp, tcp     the transports
streams      what every stream transport shares: who is let in, how many
tls          TLS below a protocol that knows nothing of it; certificate reads and renews what it needs
doh          HTTP requests <-> DNS messages; http, http1, http2 carry them
encrypted    the listeners of DNS over TLS and HTTPS, put together
latency      histogram of answering times
neighbours   MAC addresses from the neighbour table and DHCP leases
supervisor   keeps child processes alive
"""

"""Listeners between clients and the resolver: sockets, limits, workers; it never decides what is blocked.

settings     frozen values: where to listen, whom to serve, limits
sockets      bind what was configured, or say in one line why not
clients      address -> group, bucket and in-flight count; bounded
ratelimit    token bucket per client, TC slip
handler      packet -> reply, the one place where a lookup is parsed, resolved and accounted for
udp, tcp     the transports
latency      histogram of answering times
neighbours   MAC addresses from the neighbour table and DHCP leases
supervisor   keeps child processes alive
"""

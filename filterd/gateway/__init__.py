"""The firewall beside the filter: nftables rules made from the policy (R5), applied with a way back.

plan      who may speak encrypted DNS past the filter, and what the rules are made of; pure
ruleset   a plan -> the text of one nftables table; pure
kernel    that table in this machine's kernel: load, compare, take back

The filter decides by name and can be gone round by other resolvers. The rules bring every plain lookup of the
school's network to the filter, and refuse DNS over TLS, QUIC and HTTPS to resolvers known by address. Never
touches a table that is not its own.
"""

"""A plan as the text of one nftables table; loading it replaces the one before in one transaction. Pure.

Every rule matches traffic that comes in from the school's interfaces; this machine's own is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable

from filterd.gateway.plan import Network, Plan, Sieve

TABLE = "filterd"
ALIVE_SECONDS = 15  # how long one answer of the filter counts (`filterd gateway watch` asks every five)


def ruleset(plan: Plan) -> str:
    """Return the text for ``nft -f``."""
    sieve = plan.encrypted
    parts = [
        f"# Made by `filterd gateway` from policy {plan.version}; replaced by `gateway apply`.",
        *(f"# No effect here, a firewall sees no lease names: {lease}" for lease in sieve.leases),
        f"table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        _set("lan", "ifname", (f'"{name}"' for name in plan.lan)),
        *_networks("exempt", plan.exempt),
        *_networks("resolver", plan.resolvers),
        *_networks("open", sieve.open_networks),
        *_networks("shut", sieve.shut_networks),
        _set("open_mac", "ether_addr", sieve.open_macs),
        _set("shut_mac", "ether_addr", sieve.shut_macs),
        _set("open_if", "ifname", (f'"{name}"' for name in sieve.open_interfaces)),
        _set("shut_if", "ifname", (f'"{name}"' for name in sieve.shut_interfaces)),
        "\tset alive {\n\t\ttype inet_proto\n\t\tflags timeout\n\t}",
        _plain(plan),
        _encrypted(sieve),
        _REFUSE,
        "}",
    ]
    return "\n".join(parts) + "\n"


def alive() -> str:
    """Return the text that says the filter answers; it is forgotten after `ALIVE_SECONDS`."""
    elements = ", ".join(f"{protocol} timeout {ALIVE_SECONDS}s" for protocol in ("tcp", "udp"))
    return f"flush set inet {TABLE} alive\nadd element inet {TABLE} alive {{ {elements} }}\n"


def _plain(plan: Plan) -> str:
    """Plain DNS: whatever server is asked, this filter answers (R18: UDP and TCP, IPv4 and IPv6)."""
    port = f"redirect to :{plan.port}"
    if plan.fail == "closed":
        lines = [f"meta l4proto {{ tcp, udp }} {port}"]
    else:
        lines = [f"meta l4proto {{ tcp, udp }} meta l4proto @alive {port}"]
        for address, number in plan.fallback:
            family, target = ("ip", str(address)) if address.version == 4 else ("ip6", f"[{address}]")
            meta = "ipv4" if address.version == 4 else "ipv6"
            lines.append(
                f"meta nfproto {meta} meta l4proto {{ tcp, udp }} dnat {family} to {target}:{number}"
            )
    return _chain(
        "plain",
        "type nat hook prerouting priority dstnat; policy accept;",
        "iifname != @lan return",
        "ip saddr @exempt4 return",
        "ip6 saddr @exempt6 return",
        "meta l4proto { tcp, udp } th dport 53 jump lookups",
    ) + ("\n" + _chain("lookups", *lines))


def _encrypted(sieve: Sieve) -> str:
    """DoT and DoQ (port 853), and HTTPS to resolvers known by address, for all but open groups."""
    return _chain(
        "encrypted",
        "type filter hook forward priority filter; policy accept;",
        "iifname != @lan return",
        "ip saddr @exempt4 return",
        "ip6 saddr @exempt6 return",
        "meta l4proto { tcp, udp } th dport 853 jump who",
        "meta l4proto { tcp, udp } th dport 443 ip daddr @resolver4 jump who",
        "meta l4proto { tcp, udp } th dport 443 ip6 daddr @resolver6 jump who",
    ) + (
        "\n"
        + _chain(
            "who",
            "ether saddr @shut_mac goto refuse",
            "ether saddr @open_mac return",
            "ip saddr @shut4 goto refuse",
            "ip6 saddr @shut6 goto refuse",
            "ip saddr @open4 return",
            "ip6 saddr @open6 return",
            "iifname @shut_if goto refuse",
            "iifname @open_if return",
            *([] if sieve.default else ["goto refuse"]),
        )
    )


_REFUSE = """\
	chain refuse {
		counter comment "encrypted DNS refused"
		meta l4proto tcp reject with tcp reset
		reject with icmpx admin-prohibited
	}"""


def _chain(name: str, *lines: str) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}"


def _networks(name: str, networks: Iterable[Network]) -> tuple[str, str]:
    found = list(networks)
    v4 = [str(one) for one in found if one.version == 4]
    v6 = [str(one) for one in found if one.version == 6]
    return _set(f"{name}4", "ipv4_addr", v4, interval=True), _set(f"{name}6", "ipv6_addr", v6, interval=True)


def _set(name: str, kind: str, elements: Iterable[str], *, interval: bool = False) -> str:
    found = ", ".join(elements)
    lines = [f"type {kind}"]
    if interval:
        lines += ["flags interval", "auto-merge"]
    if found:
        lines.append(f"elements = {{ {found} }}")
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tset {name} {{\n{body}\t}}"

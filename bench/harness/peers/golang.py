"""The peers written in Go, built from the Go module proxy; GOMAXPROCS=1 is their one thread."""

from __future__ import annotations

from harness.peers.base import CACHE_ENTRIES, CACHE_MIB, ONE_THREAD, Peer, Site
from harness.process import Command
from harness.tools import GoModule

_WEB = 20_000  # a web interface that cannot be switched off listens this far above the DNS port


def _coredns(site: Site) -> Command:
    names = site.write_list("names.hosts", lambda name: f"0.0.0.0 {name}\n")
    text = f"""\
.:{site.port} {{
  bind 127.0.0.1
  hosts {names} {{
    no_reverse
    reload 0
    ttl 3600
    fallthrough
  }}
  cache 3600 {{
    success {CACHE_ENTRIES}
    denial {CACHE_ENTRIES}
  }}
  forward . {site.upstream} {{
    max_fails 0
  }}
}}
"""
    path = site.write("Corefile", text)
    return Command([site.program, "-quiet", "-conf", str(path)], site.folder, ONE_THREAD)


def _adguard(site: Site) -> Command:
    site.write_list("data/filters/1.txt", lambda name: f"||{name}^\n")
    text = f"""\
http:
  address: 127.0.0.1:{site.port + _WEB}
users: []
dns:
  bind_hosts: [127.0.0.1]
  port: {site.port}
  ratelimit: 0
  upstream_dns: ['{site.upstream}']
  bootstrap_dns: ['{site.upstream}']
  cache_size: {CACHE_MIB << 20}
  max_goroutines: 0
  use_private_ptr_resolvers: false
  hostsfile_enabled: false
  serve_plain_dns: true
querylog:
  enabled: false
statistics:
  enabled: false
filters:
  - enabled: true
    url: http://127.0.0.1:9/never-fetched.txt
    name: bench
    id: 1
filtering:
  protection_enabled: true
  filtering_enabled: true
  filters_update_interval: 0
  blocking_mode: nxdomain
  rewrites: []
clients:
  runtime_sources: {{whois: false, arp: false, rdns: false, dhcp: false, hosts: false}}
log:
  enabled: false
schema_version: 28
"""
    path = site.write("AdGuardHome.yaml", text)
    argv = [site.program, "--no-check-update", "-c", str(path), "-w", str(site.folder)]
    return Command(argv, site.folder, ONE_THREAD)


def _blocky(site: Site) -> Command:
    names = site.write_list("names.txt", lambda name: f"{name}\n*.{name}\n")
    text = f"""\
ports:
  dns: 127.0.0.1:{site.port}
upstreams:
  groups:
    default: ['{site.upstream}']
blocking:
  blockType: nxDomain
  denylists:
    bench: ['{names}']
  clientGroupsBlock:
    default: [bench]
  loading:
    refreshPeriod: 0
caching:
  maxTime: 24h
  maxItemsCount: {CACHE_ENTRIES}
  prefetching: false
log:
  level: error
"""
    path = site.write("blocky.yaml", text)
    return Command([site.program, "--config", str(path)], site.folder, ONE_THREAD)


PEERS = (
    Peer(
        "adguard", "AdGuard Home", _adguard,
        go=GoModule("github.com/AdguardTeam/AdGuardHome", "v0.107.52"),
        remarks="built without its web pages",
    ),
    Peer(
        "blocky", "Blocky", _blocky,
        go=GoModule("github.com/0xERR0R/blocky", "v0.26.2"),
    ),
    Peer(
        "coredns", "CoreDNS, hosts", _coredns,
        go=GoModule("github.com/coredns/coredns", "v1.14.7"), blocked="null",
        remarks="its hosts plugin blocks the listed names alone, nothing below them",
    ),
)  # fmt: skip

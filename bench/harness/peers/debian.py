"""The peers that Debian packages: one worker or thread, cache on, logging off, DNSSEC off, one upstream.

DNSSEC validation is off because the stub upstream signs nothing; filterd leaves it to its upstream.
"""

from __future__ import annotations

from harness.peers.base import (
    CACHE_ENTRIES,
    CACHE_MIB,
    RPZ_HEAD,
    UPSTREAM_HOST,
    UPSTREAM_PORT,
    Peer,
    Site,
    rpz,
)
from harness.process import Command

_UNBOUND = """\
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  verbosity: 0
  num-threads: 1
  module-config: "{modules}"
  do-ip6: no
  do-tcp: no
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  msg-cache-size: {mib}m
  rrset-cache-size: {mib}m
  outgoing-range: 4096
  num-queries-per-thread: 4096
  so-rcvbuf: 4m
  so-sndbuf: 4m
  qname-minimisation: no
{extra}
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: {host}@{upstream}
"""


def _unbound(site: Site, modules: str, extra: str) -> Command:
    text = _UNBOUND.format(
        port=site.port, folder=site.folder, modules=modules, mib=CACHE_MIB, host=UPSTREAM_HOST,
        upstream=UPSTREAM_PORT, extra=extra,
    )  # fmt: skip
    return Command([site.program, "-d", "-p", "-c", str(site.write("unbound.conf", text))], site.folder)


def _unbound_zones(site: Site) -> Command:
    names = site.write_list(
        "names.conf", lambda name: f'local-zone: "{name}." always_nxdomain\n', "server:\n"
    )
    return _unbound(site, "iterator", f'include: "{names}"')


def _unbound_rpz(site: Site) -> Command:
    zone = site.write_list("rpz.zone", rpz, RPZ_HEAD)
    return _unbound(site, "respip iterator", f'rpz:\n  name: "rpz.bench"\n  zonefile: "{zone}"')


def _dnsdist(site: Site) -> Command:
    names = site.write_list("names.txt", lambda name: f"{name}\n")
    text = f"""\
setLocal("127.0.0.1:{site.port}")
setACL({{"127.0.0.0/8"}})
setSecurityPollSuffix("")
setMaxUDPOutstanding(65535)
newServer({{address="{site.upstream}", sockets=16, checkInterval=60, maxCheckFailures=100}})
getPool(""):setCache(newPacketCache({CACHE_ENTRIES}, {{maxTTL=86400}}))
local listed = newSuffixMatchNode()
for name in io.lines("{names}") do listed:add(newDNSName(name)) end
addAction(SuffixMatchNodeRule(listed, true), RCodeAction(DNSRCode.NXDOMAIN))
"""
    path = site.write("dnsdist.conf", text)
    return Command([site.program, "--supervised", "--disable-syslog", "-C", str(path)], site.folder)


def _recursor(site: Site) -> Command:
    zone = site.write_list("rpz.zone", rpz, RPZ_HEAD)
    lua = site.write("rpz.lua", f'rpzFile("{zone}", {{defpol=Policy.NXDOMAIN, policyName="bench"}})\n')
    text = f"""\
local-address=127.0.0.1
local-port={site.port}
allow-from=127.0.0.0/8
daemon=no
disable-syslog=yes
quiet=yes
loglevel=2
threads=1
pdns-distributes-queries=no
max-mthreads=4096
dnssec=off
qname-minimization=no
security-poll-suffix=
socket-dir={site.folder}
dont-query=
forward-zones-recurse=.={site.upstream}
max-cache-entries={CACHE_ENTRIES * 2}
max-packetcache-entries={CACHE_ENTRIES}
lua-config-file={lua}
"""
    site.write("recursor.conf", text)
    return Command([site.program, f"--config-dir={site.folder}"], site.folder)


def _bind(site: Site) -> Command:
    zone = site.write_list("rpz.zone", rpz, RPZ_HEAD)
    text = f"""\
options {{
  directory "{site.folder}";
  listen-on port {site.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile none;
  recursion yes;
  allow-query {{ 127.0.0.0/8; }};
  forward only;
  forwarders {{ {UPSTREAM_HOST} port {UPSTREAM_PORT}; }};
  dnssec-validation no;
  qname-minimization off;
  querylog no;
  notify no;
  recursive-clients 10000;
  clients-per-query 0;
  max-clients-per-query 0;
  max-cache-size {CACHE_MIB * 2}m;
  response-policy {{ zone "rpz.bench"; }} qname-wait-recurse no;
}};
controls {{ }};
logging {{ category default {{ null; }}; category unmatched {{ null; }}; }};
zone "rpz.bench" {{ type primary; file "{zone}"; masterfile-format text; check-names ignore; }};
"""
    path = site.write("named.conf", text)
    return Command([site.program, "-f", "-n", "1", "-c", str(path)], site.folder)


def _kresd(site: Site) -> Command:
    zone = site.write_list("rpz.zone", rpz, RPZ_HEAD)
    text = f"""\
net.listen('127.0.0.1', {site.port}, {{ kind = 'dns' }})
net.ipv6 = false
trust_anchors.remove('.')
modules.unload('ta_update')
modules.unload('priming')
modules.unload('detect_time_skew')
cache.size = {CACHE_MIB * 2} * MB
log_level('err')
policy.add(policy.rpz(policy.DENY, '{zone}', false))
policy.add(policy.all(policy.STUB('{UPSTREAM_HOST}@{UPSTREAM_PORT}')))
"""
    path = site.write("kresd.conf", text)
    return Command([site.program, "-n", "-c", str(path), str(site.folder)], site.folder)


def _dnsmasq(site: Site) -> Command:
    names = site.write_list("names.conf", lambda name: f"local=/{name}/\n")
    text = f"""\
port={site.port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
no-poll
user=root
pid-file=
log-facility=-
cache-size={CACHE_ENTRIES}
cache-rr=ANY
dns-forward-max=10000
server={UPSTREAM_HOST}#{UPSTREAM_PORT}
conf-file={names}
"""
    path = site.write("dnsmasq.conf", text)
    return Command([site.program, "--keep-in-foreground", f"--conf-file={path}"], site.folder)


PEERS = (
    Peer("unbound", "Unbound, local-zone", _unbound_zones, "unbound", ("unbound",), version=("-V",)),
    Peer("unbound-rpz", "Unbound, RPZ", _unbound_rpz, "unbound", ("unbound",), version=("-V",)),
    Peer(
        "dnsdist", "dnsdist", _dnsdist, "dnsdist", ("dnsdist",),
        remarks="a load balancer with a packet cache: asks upstream from 16 fixed ports, resolves nothing",
    ),
    Peer("recursor", "PowerDNS Recursor, RPZ", _recursor, "pdns_recursor", ("pdns-recursor",)),
    Peer("bind", "BIND 9, RPZ", _bind, "named", ("bind9",), version=("-v",)),
    Peer("kresd", "Knot Resolver, RPZ", _kresd, "kresd", ("knot-resolver",)),
    Peer("dnsmasq", "dnsmasq", _dnsmasq, "dnsmasq", ("dnsmasq-base",)),
)  # fmt: skip

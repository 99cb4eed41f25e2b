"""The world of the end-to-end tests: what the upstream knows, what the lists name, what the school wants."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from filterd.config.paths import shipped

SOA = "@ 3600 IN SOA ns.root. hostmaster.root. 1 3600 600 86400 300"
LARGE = [f"{number:03d}{'x' * 200}" for number in range(40)]

ZONE = f"""\
$ORIGIN .
{SOA}
@ 3600 IN NS ns.root.
ns.root. A 127.0.0.1
{{which}}
mektep.example. A 198.51.100.1
mektep.example. A 198.51.100.2
mektep.example. AAAA 2001:db8:1::1
mektep.example. MX 10 mail.mektep.example.
mektep.example. TXT "one" "two words"
mektep.example. CAA 0 issue "ca.example"
mektep.example. TYPE65280 \\# 4 c0ffee00
mektep.example. TYPE65281 \\# 0
mektep.example. HTTPS 1 . alpn=h2,h3 ipv4hint=198.51.100.9
_x._tcp.mektep.example. SRV 1 2 443 mektep.example.
mail.mektep.example. A 198.51.100.3
alias.example. CNAME mektep.example.
long.example. 86400 A 198.51.100.40
short.example. 1 A 198.51.100.41
zero.example. 0 A 198.51.100.42
onlytxt.example. TXT "no address here"
case.example. TXT "MiXeD Case Stays"
large.example. TXT {LARGE[0]}
{"".join(f"large.example. TXT {text}{chr(10)}" for text in LARGE[1:])}
; what is blocked has data at the upstream, which must never be seen
casino.example. A 203.0.113.66
casino.example. AAAA 2001:db8:bad::1
casino.example. TXT "upstream data"
casino.example. HTTPS 1 . ipv4hint=203.0.113.66
*.casino.example. A 203.0.113.67
tracker.example. A 203.0.113.68
social.example. A 198.51.100.70
www.social.example. A 198.51.100.71
illegal.example. A 203.0.113.69
; ways that lead to blocked names
cloaked.example. CNAME tracker.example.
friends.example. CNAME social.example.
cloaked2.example. CNAME step.example.
step.example. CNAME deep.tracker.example.
deep.tracker.example. A 203.0.113.70
dname.example. DNAME casino.example.
svc.example. HTTPS 1 tracker.example. alpn=h2
svc.example. SVCB 1 tracker.example. alpn=dot
cleansvc.example. HTTPS 1 cdn.example. alpn=h2
cdn.example. A 198.51.100.80
nobody.example. CNAME missing.tracker.example.
; private addresses in public answers
rebind.example. A 192.168.1.1
rebind6.example. AAAA fd00::1
rebindmix.example. A 198.51.100.90
rebindmix.example. A 10.0.0.1
rebindhint.example. HTTPS 1 . ipv4hint=10.1.2.3
router.lan.example. A 192.168.1.2
files.office.example. A 10.9.8.7
ipv4only.arpa. A 192.0.0.170
ipv4only.arpa. A 192.0.0.171
flood.example. TXT "the top of many names"
*.flood.example. A 198.51.100.7
"""

LISTED = {
    "gambling": ("casino.example", "bet.example", "=exact.example"),
    "ads": ("tracker.example",),
    "social": ("social.example",),
    "games": ("arcade.example", "ipv4only.arpa"),
    "malware": ("virus.example",),
    "extremism": ("illegal.example",),
    "doh": ("use-application-dns.net",),
    "allow_help": ("help.casino.example",),
}
"""Names of the test's own lists by category."""

SCHOOL: dict[str, Any] = {
    "format": 1,
    "school": "mektep-1",
    "title": {"kk": "Мектеп", "ru": "Школа", "en": "School"},
    "region": "almaty",
    "default_group": "pupils",
    "names": {
        "allow": [{"name": "open.casino.example", "reason": "Used in lessons"}],
        "block": [{"name": "ruled.example", "reason": "Distracts"}],
    },
    "rebinding_allow": ["lan.example"],
    "groups": [
        {"id": "pupils", "tier": "middle", "clients": []},
        {"id": "little", "tier": "primary", "clients": ["127.0.1.16/28"]},
        {
            "id": "seniors",
            "tier": "senior",
            "clients": ["127.0.1.32/28"],
            "names": {"block": [{"name": "social.example", "reason": "Exam weeks"}]},
        },
        {
            "id": "lab",
            "tier": "senior",
            "clients": ["127.0.1.48/28"],
            "categories": {"block": ["social", "remote"]},
        },
        {"id": "teachers", "tier": "staff", "clients": ["127.0.1.64/28"]},
        {
            "id": "one-device",
            "tier": "staff",
            "clients": ["127.0.1.33"],  # inside seniors: the longer prefix wins
        },
    ],
}
PUPIL, LITTLE, SENIOR, LAB, TEACHER = "127.0.0.1", "127.0.1.17", "127.0.1.34", "127.0.1.49", "127.0.1.65"


def zone(which: str = "one", more: str = "") -> str:
    """Return the zone of an upstream; ``which.example`` tells the upstreams apart."""
    text = ZONE.format(which=f'which.example. 0 TXT "{which}"') + more
    return re.sub(r"^(\S+\.) (?=[A-Z])", r"\1 300 ", text, flags=re.MULTILINE)


class Papers:
    """The files that a school's admin keeps: lists, policy. Written anew by each change.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lists = folder / "blocklists"
        shutil.copytree(shipped("blocklists"), self.lists, dirs_exist_ok=True)
        self.catalogue = self.lists / "sources.yaml"
        self.baseline = folder / "baseline.yaml"
        shutil.copy(shipped("policies", "baseline.yaml"), self.baseline)
        self.school = folder / "school.yaml"
        self.write_school()
        sources = yaml.safe_load(self.catalogue.read_text())
        for category, names in LISTED.items():
            sources["sources"].append(
                {
                    "id": f"test-{category.replace('_', '-')}",
                    "title": f"Names of the tests: {category}",
                    "path": f"test/{category}.txt",
                    "format": "domains",
                    "category": category,
                    "origin": "local",
                    "licence": "Apache-2.0",
                    "enabled": True,
                }
            )
            self.write_list(category, *names)
        self.catalogue.write_text(yaml.safe_dump(sources, allow_unicode=True))

    def write_list(self, category: str, *names: str) -> None:
        """Write one of the test's own lists."""
        path = self.lists / "test" / f"{category}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names))

    def write_school(self, **changes: Any) -> None:
        """Write the school's policy with changes."""
        self.school.write_text(yaml.safe_dump({**SCHOOL, **changes}, allow_unicode=True))

    def write_answer(self, **answer: Any) -> None:
        """Write how blocked questions are answered into the school's policy."""
        self.write_school(answer=answer)

    def config(self, *upstreams: Any, **more: Any) -> dict[str, Any]:
        """Return a configuration that uses these papers."""
        return {
            "upstreams": [f"{one.host}:{one.port}" for one in upstreams] or ["192.0.2.53"],
            "lists": {"catalogue": str(self.catalogue), "categories": str(self.lists / "categories.yaml")},
            "policy": {"baseline": str(self.baseline), "school": str(self.school)},
            "allow_clients": ["127.0.0.0/16", "::1/128"],
            "limits": {"queries_per_second": 100_000, "burst": 100_000},
            "workers": 1,
            **more,
        }

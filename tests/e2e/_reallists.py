"""Every list of the sample data in one catalogue, each with a category of ours, as admins write it."""

from __future__ import annotations

from pathlib import Path

import yaml

from filterd.config.paths import shipped

UT1 = {
    "adult": "adult", "agressif": "violence", "ai": "ai", "arjel": "gambling", "audio-video": "video",
    "bitcoin": "cryptojacking", "chat": "stranger_chat", "child": "allow_edu", "cleaning": "allow_system",
    "cryptojacking": "cryptojacking", "dangerous_material": "weapons", "dating": "dating", "ddos": "hacking",
    "doh": "doh", "drogue": "drugs", "dynamic-dns": "bypass", "educational_games": "allow_edu",
    "fakenews": "misinfo", "gambling": "gambling", "games": "games", "hacking": "hacking",
    "lingerie": "mixed_adult", "liste_blanche": "allow_edu", "liste_bu": "allow_edu", "malware": "malware",
    "marketingware": "ads", "mixed_adult": "mixed_adult", "phishing": "phishing", "publicite": "ads",
    "radio": "video", "redirector": "bypass", "remote-control": "remote", "residential-proxies": "bypass",
    "sect": "cults", "sexual_education": "allow_health", "social_networks": "social",
    "stalkerware": "malware", "strict_redirector": "bypass", "strong_redirector": "bypass",
    "tricheur": "cheating", "update": "allow_system", "vpn": "bypass", "warez": "piracy",
}  # fmt: skip
"""Category of each UT1 folder that has one with us; the others are compiled as one that blocks nobody."""
OTHERS = (
    ("blocklistproject/hosts/*.txt", "hosts", {"crypto": "cryptojacking", "drugs": "drugs",
     "facebook": "social", "fortnite": "games", "piracy": "piracy", "ransomware": "malware",
     "scam": "phishing", "smart-tv": "ads", "tiktok": "social", "torrent": "piracy", "twitter": "social",
     "vaping": "alcohol_vape"}),
    ("blocklistproject/adguard/*.txt", "adblock", {"youtube-ags": "video", "drugs-ags": "drugs"}),
    ("blocklistproject/alt-version/*.txt", "domains", {"drugs-nl": "drugs", "phishing-nl": "phishing"}),
    ("blocklistproject/dnsmasq-version/*.txt", "dnsmasq", {}),
    ("blocklistproject/shrink-events/*.txt", "hosts", {}),
    ("hagezi-2022/adblock/*.txt", "adblock", {"nosafesearch": "unsafe_search", "fake": "phishing"}),
    ("hagezi-2022/domains/*.txt", "domains", {"light": "ads", "doh-vpn-proxy-bypass": "bypass"}),
    ("hagezi-2022/hosts/*.txt", "hosts", {}),
    ("hagezi-2022/dnsmasq/*.txt", "dnsmasq", {}),
    ("hagezi-2022/wildcard/*.txt", "wildcard", {"light": "ads"}),
    ("hagezi-2022/data/*", "domains", {}),
    ("stevenblack-2019/hosts", "hosts", {"hosts": "ads"}),
    ("urlhaus-filter-2022/urlhaus-filter-agh-online.txt", "adblock", {}),
    ("urlhaus-filter-2022/urlhaus-filter-domains.txt", "domains", {"urlhaus-filter-domains": "malware"}),
    ("urlhaus-filter-2022/urlhaus-filter-hosts.txt", "hosts", {}),
    ("urlhaus-filter-2022/urlhaus-filter-dnsmasq.conf", "dnsmasq", {}),
    ("urlhaus-filter-2022/urlhaus-filter-unbound.conf", "unbound", {}),
    ("urlhaus-filter-2022/urlhaus-filter-rpz.conf", "rpz", {}),
    ("ut1-history/*.domains", "domains", {"malware-phishing-union": "malware"}),
    ("rpz-samples/hagezi-2024-rpz-doh.excerpt.txt", "rpz", {"hagezi-2024-rpz-doh.excerpt": "doh"}),
)  # fmt: skip
NOBODY = "misinfo"
"""A category that no tier blocks: what stands in it is compiled and looked up, and changes nothing."""


def catalogue(folder: Path, target: Path) -> int:
    """Write a catalogue of the starter lists and every list of the sample data; return how many."""
    starters = yaml.safe_load(shipped("blocklists", "sources.yaml").read_text())["sources"]
    sources = [one for one in starters if one["origin"] == "local"]
    for one in sources:
        one["path"] = str(shipped("blocklists", one["path"]))
    found = [
        (path, "ut1", UT1.get(path.name, NOBODY)) for path in sorted(folder.glob("ut1/*")) if path.is_dir()
    ]
    for pattern, form, categories in OTHERS:
        paths = sorted(folder.glob(pattern))
        assert paths, pattern
        found += [(path, form, categories.get(path.stem, NOBODY)) for path in paths]
    for number, (path, form, category) in enumerate(found):
        sources.append(
            {
                "id": f"real-{number}",
                "title": "/".join(path.parts[-2:]),
                "path": str(path),
                "format": form,
                "category": category,
                "origin": "public",
                "homepage": "https://example.org/",
                "licence": "as its source says",
                "enabled": True,
            }
        )
    target.write_text(yaml.safe_dump({"sources": sources}))
    return len(sources)

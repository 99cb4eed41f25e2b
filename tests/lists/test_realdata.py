"""Real lists: the same list in several formats is one set, and all lists together become one index."""

from __future__ import annotations

import io
import random
from collections import Counter
from pathlib import Path

import lmdb
import pytest

from filterd.lists.catalogue import ListSource, Material
from filterd.lists.compile import compile_lists
from filterd.lists.formats import parse
from filterd.lists.guard import guard
from filterd.lists.report import CompileReport
from filterd.lists.rule import Reason, Rule
from filterd.rules.categories import Categories
from filterd.rules.index import Index
from filterd.rules.listinfo import META_KEY
from filterd.wire import names

pytestmark = pytest.mark.realdata

BLOCKLISTPROJECT_DRUGS = {
    "hosts": "hosts/drugs.txt",
    "domains": "alt-version/drugs-nl.txt",
    "adblock": "adguard/drugs-ags.txt",
    "dnsmasq": "dnsmasq-version/drugs-dnsmasq.txt",
}
URLHAUS = {
    "hosts": "hosts.txt",
    "domains": "domains.txt",
    "wildcard": "dnscrypt-blocked-names.txt",
    "dnsmasq": "dnsmasq.conf",
    "unbound": "unbound.conf",
    "rpz": "rpz.conf",
}
HAGEZI_BYPASS = ("adblock", "dnsmasq", "wildcard", "domains", "hosts")


def names_of(path: Path, form: str) -> frozenset[bytes]:
    with path.open("rb") as file:
        return frozenset(item.name for item in parse(file, form, guard=guard()) if isinstance(item, Rule))


def test_one_list_in_four_formats_is_one_set(realdata: Path):
    folder = realdata / "lists" / "blocklistproject"
    sets = {form: names_of(folder / path, form) for form, path in BLOCKLISTPROJECT_DRUGS.items()}
    assert {form: len(found) for form, found in sets.items()} == dict.fromkeys(sets, 26_029)
    assert len(set(sets.values())) == 1


def test_one_list_in_six_formats_with_rpz_is_one_set(realdata: Path):
    folder = realdata / "lists" / "urlhaus-filter-2022"
    sets = {form: names_of(folder / f"urlhaus-filter-{path}", form) for form, path in URLHAUS.items()}
    assert {form: len(found) for form, found in sets.items()} == dict.fromkeys(sets, 10_537)
    assert len(set(sets.values())) == 1


def test_one_list_with_and_without_covered_names_compiles_to_one_set(
    realdata: Path, tmp_path: Path, categories: Categories
):
    compiled = {}
    for form in HAGEZI_BYPASS:
        path = realdata / "lists" / "hagezi-2022" / form / "doh-vpn-proxy-bypass.txt"
        target = tmp_path / f"{form}.mdb"
        report = compile_lists([material(path, form)], categories, target, now=0)
        compiled[form] = (report.names, report.lists[0].names, contents(target))
    given = {form: count for form, (_, count, _) in compiled.items()}
    assert given == {"adblock": 714, "dnsmasq": 714, "wildcard": 714, "domains": 1205, "hosts": 1205}
    assert {count for count, _, _ in compiled.values()} == {714}
    assert len({content for _, _, content in compiled.values()}) == 1


def test_the_format_of_real_lists_is_told(realdata: Path):
    folder = realdata / "lists"
    lists = {
        **{folder / "blocklistproject" / path: form for form, path in BLOCKLISTPROJECT_DRUGS.items()},
        **{
            folder / "urlhaus-filter-2022" / f"urlhaus-filter-{path}": form
            for form, path in URLHAUS.items()
            if form != "wildcard"  # dnscrypt's plain names look like domains, and mean the same
        },
        **{folder / "hagezi-2022" / form / "doh-vpn-proxy-bypass.txt": form for form in HAGEZI_BYPASS},
        folder / "stevenblack-2019" / "hosts": "hosts",
        folder / "rpz-samples" / "hagezi-2024-rpz-doh.excerpt.txt": "rpz",
    }
    for path, form in lists.items():
        assert names_of(path, "auto") == names_of(path, form), path


def test_real_response_policy_zones(realdata: Path):
    zones = sorted((realdata / "lists" / "rpz-samples").rglob("*"))
    rules: Counter[str] = Counter()
    for path in zones:
        if path.is_file():
            with path.open("rb") as file:
                for item in parse(file, "rpz", guard=guard()):
                    rules["rules" if isinstance(item, Rule) else item.reason] += 1
    assert rules["rules"] > 20
    assert rules[Reason.TRIGGER] > 10
    assert not rules[Reason.NOT_UNDERSTOOD]


@pytest.fixture(scope="module")
def everything(
    realdata: Path, tmp_path_factory: pytest.TempPathFactory, categories: Categories
) -> tuple[CompileReport, Path]:
    """All lists of the sample data in one index."""
    target = tmp_path_factory.mktemp("everything") / "index.mdb"
    lists = all_lists(realdata / "lists")
    return compile_lists(lists, categories, target, now=0), target


def test_all_real_lists_compile_into_one_index(everything: tuple[CompileReport, Path]):
    report, target = everything
    assert report.size == target.stat().st_size
    assert report.names > 900_000
    assert sum(one.names for one in report.lists) > 1_500_000
    # The goal for a million names is 300 MB; the test's own process is part of what is measured.
    assert report.peak_memory < 600 << 20


def test_real_lists_lose_few_lines_and_each_loss_has_its_reason(everything: tuple[CompileReport, Path]):
    report, _ = everything
    lost = {
        one.id: one.rejects - sum(one.rejected.get(reason, 0) for reason in EXPECTED) for one in report.lists
    }
    assert {list_id: count for list_id, count in lost.items() if count} == {}


# Why lines of real lists give no rule. Anything else would be a parser that does not understand its list.
EXPECTED = (
    *(Reason.IP_ADDRESS, Reason.IP_GLUED, Reason.URL, Reason.REGEX, Reason.PUBLIC_SUFFIX, Reason.WHOLE_TLD),
    *(Reason.LOCAL_NAME, Reason.WILDCARD, Reason.EMPTY_LABEL),
)


def test_what_is_listed_is_found_and_what_is_not_is_not(
    everything: tuple[CompileReport, Path], realdata: Path
):
    report, target = everything
    numbers = {one.id: number for number, one in enumerate(report.lists)}
    index = Index.open(target)
    chance = random.Random(7)
    for path in sorted((realdata / "lists").glob("ut1/*/domains")):
        listed = sorted(names_of(path, "domains"))
        for name in chance.sample(listed, min(50, len(listed))):
            found = index.lookup(b"\x03www" + name)
            assert numbers[f"ut1-{path.parent.name.replace('_', '-')}"] in {
                match.entry.list_no for match in found
            }
    assert index.lookup(names.from_text("not-listed-anywhere.filterd.test")) == ()
    index.close()


def test_real_update_accidents_are_compiled_as_they_are(realdata: Path):
    """The gate judges a shrunken list; the parser says what is in it."""
    folder = realdata / "lists" / "blocklistproject" / "shrink-events"
    counts = {path.name: len(names_of(path, "hosts")) for path in folder.iterdir()}
    assert counts["2026-06-23b-emptied.gambling.txt"] == 0
    assert counts["2026-06-28-stub.gambling.txt"] == 10
    assert counts["2026-07-03b-after.crypto.txt"] == 1
    assert counts["2026-07-03a-before.crypto.txt"] > 20_000


def test_damaged_real_lists_never_raise(realdata: Path):
    """Random bytes written over real lists: every format goes on to the end."""
    chance = random.Random(11)
    lists = [item for item in all_lists(realdata / "lists") if item.source.format != "ut1"]
    for item in lists:
        assert item.path is not None
        content = bytearray(item.path.read_bytes()[:20_000])
        for _ in range(len(content) // 50):
            content[chance.randrange(len(content))] = chance.randrange(256)
        for form in (item.source.format, "auto"):
            for _ in parse(io.BytesIO(bytes(content)), form, guard=guard()):
                pass


def contents(path: Path) -> frozenset[tuple[bytes, bytes]]:
    """Every name of an index with its value."""
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment,
        environment.begin() as reader,
    ):
        return frozenset(item for item in reader.cursor() if item[0] != META_KEY)


def material(path: Path, form: str, list_id: str = "one") -> Material:
    source = ListSource(
        id=list_id,
        title=list_id,
        url="https://lists.example/",
        format=form,
        category="gambling",
        origin="public",
        licence="as its source",
    )
    return Material(source, path)


def all_lists(folder: Path) -> list[Material]:
    """Every list of the sample data with its format; v2fly's own syntax and BIND's, IE's are not ours."""
    found: list[tuple[Path, str, str]] = [
        *((path, "ut1", f"ut1-{path.name}") for path in sorted(folder.glob("ut1/*")) if path.is_dir()),
        *(
            (path, "domains", f"ut1-history-{path.stem}")
            for path in sorted(folder.glob("ut1-history/**/*.domains"))
        ),
        *(
            (path, "hosts", f"blp-{path.stem}")
            for path in sorted(folder.glob("blocklistproject/hosts/*.txt"))
        ),
        *(
            (path, "hosts", f"blp-{path.stem}")
            for path in sorted(folder.glob("blocklistproject/shrink-events/*"))
        ),
        *(
            (path, "adblock", f"blp-{path.stem}")
            for path in sorted(folder.glob("blocklistproject/adguard/*"))
        ),
        *(
            (path, "domains", f"blp-{path.stem}")
            for path in sorted(folder.glob("blocklistproject/alt-version/*"))
        ),
        *(
            (path, "dnsmasq", f"blp-{path.stem}")
            for path in sorted(folder.glob("blocklistproject/dnsmasq-version/*"))
        ),
        *(
            (path, form, f"hagezi-{form}-{path.stem}")
            for form in HAGEZI_BYPASS
            for path in sorted((folder / "hagezi-2022" / form).iterdir())
        ),
        *((path, "domains", path.name) for path in sorted(folder.glob("hagezi-2022/data/*"))),
        (folder / "stevenblack-2019" / "hosts", "hosts", "stevenblack"),
        *(
            (folder / "urlhaus-filter-2022" / f"urlhaus-filter-{path}", form, f"urlhaus-{form}")
            for form, path in {**URLHAUS, "adblock": "agh-online.txt"}.items()
        ),
        (folder / "rpz-samples" / "hagezi-2024-rpz-doh.excerpt.txt", "rpz", "hagezi-rpz"),
    ]
    return [
        material(path, form, "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split()))
        for path, form, name in found
    ]

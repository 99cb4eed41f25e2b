from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import lmdb
import pytest

from filterd.errors import PolicyError
from filterd.rules.categories import Categories, load_categories
from filterd.rules.index import Entry, encode, key
from filterd.rules.listinfo import META_KEY, ListInfo, write_meta
from filterd.rules.policy import Policy, merge_policy
from filterd.rules.yamlsource import parse

ROOT = Path(__file__).resolve().parents[2]
CATEGORIES = ROOT / "blocklists" / "categories.yaml"

BASELINE = """\
format: 1
title: {kk: н, ru: б, en: b}
"""

SCHOOL = """\
format: 1
school: s1
title: {kk: м, ru: ш, en: s}
default_group: guests
"""

GROUPS = """\
groups:
  - {id: little, tier: primary, clients: [10.1.0.0/16]}
  - {id: middle, tier: middle, clients: [10.5.0.0/16]}
  - {id: senior, tier: senior, clients: [10.10.0.0/16]}
  - {id: staff, tier: staff, clients: [10.100.0.0/16]}
  - {id: guests, tier: guest}
"""

BuildIndex = Callable[..., Path]
MakePolicy = Callable[..., Policy]


@pytest.fixture(scope="session")
def categories() -> Categories:
    """The product's own catalogue."""
    return load_categories(CATEGORIES)


@pytest.fixture(scope="session")
def build_index() -> BuildIndex:
    """Writes an index file as the compiler does: sorted, in one transaction, then immutable."""

    def build(
        path: Path,
        entries: Mapping[bytes, Iterable[Entry]],
        lists: Iterable[ListInfo] = (),
        version: str = "v1",
    ) -> Path:
        values = {key(name): encode(of_name) for name, of_name in entries.items()}
        values[META_KEY] = write_meta(version, 1_700_000_000, len(entries), lists)
        with (
            lmdb.open(str(path), subdir=False, map_size=1 << 26, sync=False, lock=False) as environment,
            environment.begin(write=True) as transaction,
        ):
            for index_key in sorted(values):
                transaction.put(index_key, values[index_key], append=True)
        return path

    return build


@pytest.fixture(scope="session")
def make_policy(categories: Categories) -> MakePolicy:
    """Merges layers written as text; what a test does not give is the plainest possible."""

    def make(
        baseline: str = "", school: str | None = "", groups: str = GROUPS, generation: int = 1
    ) -> Policy:
        top = parse(BASELINE + baseline, file="baseline.yaml", error=PolicyError)
        own = (
            None if school is None else parse(SCHOOL + school + groups, file="school.yaml", error=PolicyError)
        )
        return merge_policy(top, own, categories, generation=generation)

    return make

from __future__ import annotations

import re
from importlib.resources import files

from filterd.monitor.store import paperwork
from filterd.monitor.store.partitions import PARTITIONED
from filterd.monitor.store.schema import METADATA

SCRIPT = files("filterd.monitor.store").joinpath("citus.sql").read_text("utf-8")
CALL = re.compile(r"SELECT create_distributed_table\('(\w+)', '(\w+)'(?:, (\w+) => (.+?))?\);")


def test_every_table_is_distributed_once_by_its_school() -> None:
    calls = CALL.findall(SCRIPT)
    assert paperwork.AUDIT.metadata is METADATA
    assert sorted(name for name, *_ in calls) == sorted(METADATA.tables)
    for name, column, *_ in calls:
        table = METADATA.tables[name]
        assert column == next(iter(table.primary_key.columns)).name == "school"


def test_all_of_a_school_lies_on_one_worker() -> None:
    (first, *others) = CALL.findall(SCRIPT)
    assert first[2:] == ("shard_count", "64")
    assert {tuple(call[2:]) for call in others} == {("colocate_with", "'events'")}


def test_no_partition_is_distributed_by_name() -> None:
    assert not re.search("|".join(f"{part.table.name}_(p|default)" for part in PARTITIONED), SCRIPT)
    statements = [line for line in SCRIPT.splitlines() if line and not line.startswith("--")]
    assert len(statements) == 1 + len(METADATA.tables)

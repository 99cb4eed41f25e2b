"""The first schema: events, usage and their totals, boxes, processes, streams and gaps, marks."""

from __future__ import annotations

from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Columns: TypeAlias = list[sa.Column[Any]]

_TABLES = (
    "events",
    "usage",
    "usage_totals",
    "event_totals",
    "boxes",
    "processes",
    "streams",
    "gaps",
    "marks",
)


def upgrade() -> None:
    """Make all tables."""
    _make_events()
    _make(
        "usage",
        keys=[*_ids("school"), sa.Column("hour", sa.BigInteger), *_ids("group_id tier category outcome")],
        values=_counts("queries"),
        partition_by="RANGE (hour)",
    )
    _make("usage_totals", keys=_ids("school group_id tier category outcome"), values=_counts("queries"))
    _make("event_totals", keys=_ids("school category verdict"), values=_counts("events lookups"))
    _make(
        "boxes",
        keys=_ids("school box"),
        values=[
            *_counts("first_seen last_seen stored_batches duplicate_batches lost_batches future_events"),
            *_counts("ignored_values"),
        ],
    )
    stream = [*_ids("school box"), sa.Column("stream", sa.String(32))]
    _make(
        "processes",
        keys=stream,
        values=[
            *_counts("received at started"),
            *_ids("version policy_version index_version"),
            sa.Column("health", sa.Text, nullable=False),
        ],
    )
    stream = [*_ids("school box"), sa.Column("stream", sa.String(32))]
    _make("streams", keys=stream, values=_counts("high floor last_seen"))
    stream = [*_ids("school box"), sa.Column("stream", sa.String(32)), sa.Column("first", sa.BigInteger)]
    _make("gaps", keys=stream, values=_counts("last noticed"))
    _make("marks", keys=_ids("school name"), values=_counts("at"))


def downgrade() -> None:
    """Drop all tables."""
    for table in reversed(_TABLES):
        op.drop_table(table)


def _make_events() -> None:
    _make(
        "events",
        keys=[*_ids("school"), sa.Column("bucket", sa.BigInteger), sa.Column("key", sa.LargeBinary(16))],
        values=[
            *_ids("group_id tier"),
            sa.Column("pseudonym", sa.String(32), nullable=False),
            sa.Column("domain", sa.Text, nullable=False),
            sa.Column("name", sa.Text, nullable=False),
            *_ids("category list_id"),
            sa.Column("rule", sa.Text, nullable=False),
            *_ids("layer"),
            sa.Column("verdict", sa.String(16), nullable=False),
            *_ids("reason"),
            *_counts("count received"),
        ],
        partition_by="RANGE (bucket)",
    )
    op.create_index("ix_events_time", "events", ["bucket", "school", "key"])


def _make(name: str, *, keys: Columns, values: Columns, partition_by: str | None = None) -> None:
    primary = sa.PrimaryKeyConstraint(*[column.name for column in keys], name=f"pk_{name}")
    options: dict[str, Any] = {"postgresql_partition_by": partition_by} if partition_by else {}
    op.create_table(name, *keys, *values, primary, sqlite_with_rowid=False, **options)
    if partition_by and op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")


def _ids(names: str) -> Columns:
    return [sa.Column(name, sa.String(64), nullable=False) for name in names.split()]


def _counts(names: str) -> Columns:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names.split()]

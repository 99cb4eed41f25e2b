"""What reports and cases need: hints of events, roll-ups by day and month, uptime, self-tests, paperwork."""

from __future__ import annotations

from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Columns: TypeAlias = list[sa.Column[Any]]

_TABLES = (
    *("usage_days", "usage_months", "device_days", "dirty_days", "box_hours", "selftests"),
    *(
        "schools",
        "tokens",
        "review_requests",
        "submissions",
        "cards",
        "releases",
        "facts",
        "reports",
        "audit",
    ),
)


def upgrade() -> None:
    """Add a column and make the new tables."""
    op.add_column("events", sa.Column("hints", sa.String(64), nullable=False, server_default=""))
    _make_roll_ups()
    _make_boxes()
    _make_paperwork()
    _make_reports()


def downgrade() -> None:
    """Drop them."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.drop_column("events", "hints")


def _make_roll_ups() -> None:
    usage = _ids("tier category outcome")
    _make(
        "usage_days",
        keys=[*_ids("school"), *_numbers("day"), *_ids("group_id"), *usage],
        values=_numbers("queries"),
    )
    _make(
        "usage_months",
        keys=[*_ids("school"), *_numbers("month"), *_ids("tier category outcome")],
        values=_numbers("queries"),
    )
    _make(
        "device_days",
        keys=[
            *_ids("school"),
            *_numbers("day"),
            sa.Column("pseudonym", sa.String(32), nullable=False),
            *_ids("category"),
        ],
        values=[*_ids("group_id tier"), *_numbers("hits doubtful domains episodes"), *_texts("buckets")],
        partition_by="RANGE (day)",
    )
    _make("dirty_days", keys=[*_ids("school"), *_numbers("day")], values=_numbers("touched"))


def _make_boxes() -> None:
    _make("box_hours", keys=[*_ids("school box"), *_numbers("hour")], values=_numbers("steps"))
    _make(
        "selftests",
        keys=[*_ids("school box"), *_numbers("at")],
        values=[
            *_ids("policy_version index_version"),
            *_numbers("tested"),
            *_texts("failed no_source"),
            *_numbers("learning_tested learning_answered"),
            *_texts("error"),
        ],
    )


def _make_paperwork() -> None:
    _make(
        "schools",
        keys=_ids("school"),
        values=[
            *_texts("title_kk title_ru title_en"),
            *_ids("region district"),
            *_numbers("devices"),
            *_ids("operator_service"),
            *_texts("operator_since responsible"),
            *_numbers("changed"),
        ],
    )
    _make(
        "tokens",
        keys=[*_ids("school box"), _hash("sha256")],
        values=[*_numbers("issued"), *_texts("issued_by"), *_numbers("expires revoked")],
    )
    _make(
        "review_requests",
        keys=[*_ids("school"), *_numbers("number")],
        values=[
            *_numbers("asked"),
            *_ids("asked_as"),
            *_texts("domain"),
            *_ids("category"),
            *_texts("text"),
            *_ids("state"),
            *_numbers("decided"),
            *_texts("decided_by reason"),
            sa.Column("overblock", sa.Boolean, nullable=False),
        ],
    )
    _make(
        "submissions",
        keys=[*_ids("school"), *_numbers("number")],
        values=[
            *_texts("domain url"),
            *_ids("reason"),
            *_texts("evidence reviewer"),
            *_ids("state"),
            *_numbers("created changed"),
        ],
    )
    _make(
        "cards",
        keys=[*_ids("school"), *_numbers("number")],
        values=[
            *_ids("category tier pseudonym pattern"),
            *_numbers("opened closed"),
            *_ids("state"),
            *_texts("reviewer"),
            sa.Column("note", sa.LargeBinary, nullable=False),
        ],
    )
    _make(
        "releases",
        keys=[*_ids("school"), *_numbers("number")],
        values=[
            *_numbers("card"),
            *_texts("purpose asked_by"),
            *_numbers("asked"),
            *_texts("decided_by"),
            *_numbers("decided"),
            *_ids("state"),
            *_numbers("expires"),
        ],
    )


def _make_reports() -> None:
    _make(
        "facts",
        keys=[*_ids("school"), *_numbers("month"), *_ids("name")],
        values=[*_texts("value by"), *_numbers("at")],
    )
    _make(
        "reports",
        keys=[*_ids("school scope"), *_numbers("month version")],
        values=[*_numbers("made"), _hash("sha256"), *_texts("document signed_by"), *_numbers("signed")],
    )
    _make(
        "audit",
        keys=[*_ids("school"), *_numbers("number")],
        values=[
            *_numbers("at"),
            *_texts("who"),
            *_ids("what"),
            *_texts("details"),
            _hash("before"),
            _hash("hash"),
        ],
    )


def _make(name: str, *, keys: Columns, values: Columns, partition_by: str | None = None) -> None:
    primary = sa.PrimaryKeyConstraint(*[column.name for column in keys], name=f"pk_{name}")
    options: dict[str, Any] = {"postgresql_partition_by": partition_by} if partition_by else {}
    op.create_table(name, *keys, *values, primary, sqlite_with_rowid=False, **options)
    if partition_by and op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")


def _ids(names: str) -> Columns:
    return [sa.Column(name, sa.String(64), nullable=False) for name in names.split()]


def _texts(names: str) -> Columns:
    return [sa.Column(name, sa.Text, nullable=False) for name in names.split()]


def _numbers(names: str) -> Columns:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names.split()]


def _hash(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(64), nullable=False)

"""The tables of what boxes send and what is made of it, as SQLAlchemy Core sees them; migrations/ makes them.

Every table's primary key begins with the school, so that a region can distribute and partition by it.
Times are UTC seconds; a day is a calendar day of the monitor's zone, written as its number since 1970-01-01.
Nothing here can name a pupil: a device is a pseudonym, allowed traffic a count.

The tables that people fill stand in `paperwork.py`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
)
_ID = String(64)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _key(name: str) -> Column[str]:
    return Column(name, _ID, primary_key=True)


# A blocked lookup of one device in one 5-minute bucket. `key` is a digest of all that tells two events of a
# bucket apart (rows.py): the values themselves are too long for a primary key in PostgreSQL.
EVENTS = Table(
    "events",
    METADATA,
    _key("school"),
    Column("bucket", BigInteger, primary_key=True),
    Column("key", LargeBinary(16), primary_key=True),
    Column("group_id", _ID, nullable=False),
    Column("tier", _ID, nullable=False),
    Column("pseudonym", String(32), nullable=False),
    Column("domain", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("category", _ID, nullable=False),
    Column("list_id", _ID, nullable=False),
    Column("rule", Text, nullable=False),
    Column("layer", _ID, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason", _ID, nullable=False),
    Column("hints", _ID, nullable=False),  # why the lookup is doubtful: codes of batch.py, sorted, by comma
    _count("count"),
    _count("received"),
    Index("ix_events_time", "bucket", "school", "key"),  # the listing of all schools, and retention
    postgresql_partition_by="RANGE (bucket)",  # partitions.py
    sqlite_with_rowid=False,
)

# Lookups by hour.
USAGE = Table(
    "usage",
    METADATA,
    _key("school"),
    Column("hour", BigInteger, primary_key=True),
    _key("group_id"),
    _key("tier"),
    _key("category"),  # "" when the lookup was in none
    _key("outcome"),
    _count("queries"),
    postgresql_partition_by="RANGE (hour)",
    sqlite_with_rowid=False,
)

# The same by day and by month, added to in the transaction that stores a delivery: late batches correct them.
# ``month`` is year * 12 + month - 1.
USAGE_DAYS = Table(
    "usage_days",
    METADATA,
    _key("school"),
    Column("day", BigInteger, primary_key=True),
    _key("group_id"),
    _key("tier"),
    _key("category"),
    _key("outcome"),
    _count("queries"),
    sqlite_with_rowid=False,
)

USAGE_MONTHS = Table(
    "usage_months",
    METADATA,
    _key("school"),
    Column("month", BigInteger, primary_key=True),
    _key("tier"),
    _key("category"),
    _key("outcome"),
    _count("queries"),
    sqlite_with_rowid=False,
)

# One device's day in one category: what patterns, summaries and "how many devices" are made of. Made anew
# from the events of the day whenever DIRTY_DAYS names it; kept for one term (school.md, retention).
DEVICE_DAYS = Table(
    "device_days",
    METADATA,
    _key("school"),
    Column("day", BigInteger, primary_key=True),
    Column("pseudonym", String(32), primary_key=True),
    _key("category"),
    Column("group_id", _ID, nullable=False),
    Column("tier", _ID, nullable=False),
    _count("hits"),  # registrable domains x 5-minute buckets
    _count("doubtful"),  # of these, hits of which every lookup carries a hint
    _count("domains"),
    _count("episodes"),  # of hits that are not doubtful (patterns/episodes.py)
    Column("buckets", Text, nullable=False),  # of these hits: 5-minute steps of the day, ascending, by comma
    postgresql_partition_by="RANGE (day)",
    sqlite_with_rowid=False,
)

# Days of which events came since DEVICE_DAYS was made.
DIRTY_DAYS = Table(
    "dirty_days",
    METADATA,
    _key("school"),
    Column("day", BigInteger, primary_key=True),
    _count("touched"),  # when the latest of them came
    sqlite_with_rowid=False,
)

# When a box was filtering, by its own clock: one bit for each 5-minute step of the hour (uptime).
BOX_HOURS = Table(
    "box_hours",
    METADATA,
    _key("school"),
    _key("box"),
    Column("hour", BigInteger, primary_key=True),
    _count("steps"),  # bits 0-11
    sqlite_with_rowid=False,
)

# Self-tests of a box (R19), the evidence of the reports.
SELFTESTS = Table(
    "selftests",
    METADATA,
    _key("school"),
    _key("box"),
    Column("at", BigInteger, primary_key=True),
    Column("policy_version", _ID, nullable=False),
    Column("index_version", _ID, nullable=False),
    _count("tested"),
    Column("failed", Text, nullable=False),  # ids of categories, by comma
    Column("no_source", Text, nullable=False),
    _count("learning_tested"),  # names of the education allow-list asked for (3.1)
    _count("learning_answered"),
    Column("error", Text, nullable=False),
    sqlite_with_rowid=False,
)

# The same without the hour, added up in the same transaction: the counters of /metrics. Never purged, so
# that they never fall; bounded because label values are (labels.py).
USAGE_TOTALS = Table(
    "usage_totals",
    METADATA,
    _key("school"),
    _key("group_id"),
    _key("tier"),
    _key("category"),
    _key("outcome"),
    _count("queries"),
    sqlite_with_rowid=False,
)

EVENT_TOTALS = Table(
    "event_totals",
    METADATA,
    _key("school"),
    _key("category"),
    _key("verdict"),
    _count("events"),
    _count("lookups"),
    sqlite_with_rowid=False,
)

# When a box was heard of, and what was counted of it.
BOXES = Table(
    "boxes",
    METADATA,
    _key("school"),
    _key("box"),
    _count("first_seen"),
    _count("last_seen"),
    _count("stored_batches"),
    _count("duplicate_batches"),
    _count("lost_batches"),  # in gaps given up
    _count("future_events"),  # records of a clock that runs a day ahead
    _count("ignored_values"),  # health values this version does not know
    sqlite_with_rowid=False,
)

# What a process of a box last said of itself: each has an outbox, and so a stream, of its own.
PROCESSES = Table(
    "processes",
    METADATA,
    _key("school"),
    _key("box"),
    Column("stream", String(32), primary_key=True),
    _count("received"),
    _count("at"),
    _count("started"),
    Column("version", _ID, nullable=False),
    Column("policy_version", _ID, nullable=False),
    Column("index_version", _ID, nullable=False),
    Column("health", Text, nullable=False),  # JSON object: key of health.py -> number
    sqlite_with_rowid=False,
)

# Which batches are stored (sequences.py): a stream is one outbox file of one box.
STREAMS = Table(
    "streams",
    METADATA,
    _key("school"),
    _key("box"),
    Column("stream", String(32), primary_key=True),
    _count("high"),
    _count("floor"),
    _count("last_seen"),
    sqlite_with_rowid=False,
)

GAPS = Table(
    "gaps",
    METADATA,
    _key("school"),
    _key("box"),
    Column("stream", String(32), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    _count("last"),
    _count("noticed"),
    sqlite_with_rowid=False,
)

DEMONSTRATION = "demonstration"  # the mark of a store that `filterd demo` filled

# When the endpoint itself last did something; school "" is the endpoint.
MARKS = Table(
    "marks",
    METADATA,
    _key("school"),
    _key("name"),
    _count("at"),
    sqlite_with_rowid=False,
)

"""The tables that people fill: schools, tokens, review requests, submissions, cases, reports, audit.

The same rules as in `schema.py`: keys begin with the school (``""``: the region), times are UTC seconds.
No column may hold a pupil's name, number, address or device; notes on a case are encrypted.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, String, Table, Text

from filterd.monitor.store.schema import METADATA

_ID = String(64)


def _key(name: str) -> Column[str]:
    return Column(name, _ID, primary_key=True)


def _id(name: str) -> Column[str]:
    return Column(name, _ID, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _at(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


_count = _at


def _later(name: str) -> Column[int]:
    """Return the column of a time that is not known yet: 0."""
    return Column(name, BigInteger, nullable=False, server_default="0")


# A school as the region knows it; a school without a box stands here too, so that it is missed.
SCHOOLS = Table(
    "schools",
    METADATA,
    _key("school"),
    _text("title_kk"),
    _text("title_ru"),
    _text("title_en"),
    _id("region"),
    _id("district"),
    _count("devices"),  # of pupils and staff, as the school counts them; 0: not told
    _id("operator_service"),  # the operator's child-protection service: "yes", "no", "" not told
    _text("operator_since"),  # ISO date or ""
    _text("responsible"),  # the adult who answers for the report
    _at("changed"),
    sqlite_with_rowid=False,
)

# Tokens of boxes, as SHA-256 only. Two of one box are valid while they are being changed.
TOKENS = Table(
    "tokens",
    METADATA,
    _key("school"),
    _key("box"),
    Column("sha256", String(64), primary_key=True),
    _at("issued"),
    _text("issued_by"),
    _at("expires"),  # 0: never
    _at("revoked"),  # 0: not
    sqlite_with_rowid=False,
)

# "Please look at this block again", or "this site should be blocked" (R14), from pupils, parents and staff;
# holds nothing about who asked.
REVIEW_REQUESTS = Table(
    "review_requests",
    METADATA,
    _key("school"),
    Column("number", BigInteger, primary_key=True),
    Column("kind", _ID, nullable=False, server_default="unblock"),  # "unblock", "report"
    _at("asked"),
    _id("asked_as"),  # "pupil", "parent", "staff"
    _text("domain"),
    _id("category"),
    _text("text"),
    _id("state"),  # "open", "granted", "refused"
    _at("decided"),  # 0: not yet
    _text("decided_by"),
    _text("reason"),
    Column("overblock", Boolean, nullable=False),  # the block was a mistake, now corrected (report, part 8)
    sqlite_with_rowid=False,
)

# Resources to be submitted to Kibernadzor (1.13): prepared and sent by people, never by the program.
SUBMISSIONS = Table(
    "submissions",
    METADATA,
    _key("school"),
    Column("number", BigInteger, primary_key=True),
    _text("domain"),
    _text("url"),  # a person adds it: DNS knows only the domain
    _id("reason"),  # suicide, drugs, violence, pornography, casino, extremism, other
    _text("evidence"),
    _text("reviewer"),
    _id("state"),  # "candidate", "prepared", "sent", "confirmed", "refused"
    _at("created"),
    _at("changed"),
    _later("prepared"),  # when each state was first reached: a month counts what happened in it
    _later("sent"),
    _later("decided"),  # confirmed or refused
    sqlite_with_rowid=False,
)

# A pattern that the psychologist is to look at (summary of school.md).
CARDS = Table(
    "cards",
    METADATA,
    _key("school"),
    Column("number", BigInteger, primary_key=True),
    _id("category"),
    _id("tier"),
    _id("pseudonym"),
    _id("pattern"),  # "episode", "sustained"
    _at("opened"),
    _at("closed"),  # 0: open
    _id("state"),  # "open", "watching", "closed", "noise"
    _text("reviewer"),
    Column("note", LargeBinary, nullable=False),  # encrypted
    sqlite_with_rowid=False,
)

# Identity releases: asked by one person, approved by another, one device, 72 hours.
RELEASES = Table(
    "releases",
    METADATA,
    _key("school"),
    Column("number", BigInteger, primary_key=True),
    _count("card"),
    _text("purpose"),
    _text("asked_by"),
    _at("asked"),
    _text("decided_by"),
    _at("decided"),  # 0: not yet
    _id("state"),  # "asked", "approved", "refused", "expired"
    _at("expires"),
    sqlite_with_rowid=False,
)

# What people add to the report of a month, and facts of a region (specialists connected, of total).
FACTS = Table(
    "facts",
    METADATA,
    _key("school"),
    Column("month", BigInteger, primary_key=True),  # year * 12 + month - 1
    _key("name"),
    _text("value"),
    _text("by"),
    _at("at"),
    sqlite_with_rowid=False,
)

# Every version of every monthly report that was made; ``school`` "" with ``scope`` is a region or district.
REPORTS = Table(
    "reports",
    METADATA,
    _key("school"),
    _key("scope"),
    Column("month", BigInteger, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    _at("made"),
    Column("sha256", String(64), nullable=False),  # of `document`
    _text("document"),  # JSON of reports/monthly, from which every format and language is rendered
    _text("signed_by"),  # "" until the person responsible signs it
    _at("signed"),
    sqlite_with_rowid=False,
)

# What is still to be told by webhook (R17): only that there is something to read. Emptied as it is told.
NOTICES = Table(
    "notices",
    METADATA,
    _key("school"),
    Column("id", String(32), primary_key=True),  # random: the receiver knows a repeated one by it
    _id("kind"),  # "card", "review"
    _at("created"),
    _count("attempts"),
    _at("next"),
    sqlite_with_rowid=False,
)

# Who did what, each line holding the hash of the one before it.
AUDIT = Table(
    "audit",
    METADATA,
    _key("school"),
    Column("number", BigInteger, primary_key=True),
    _at("at"),
    _text("who"),
    _id("what"),
    _text("details"),  # JSON
    Column("before", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    sqlite_with_rowid=False,
)

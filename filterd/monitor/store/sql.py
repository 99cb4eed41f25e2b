"""The one statement that engines spell differently: insert, or add to what is there.

Statements are built once and kept: SQLAlchemy takes longer to build one than SQLite to run it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Table, bindparam, case, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

MOST = 1 << 62  # sums stop here: beyond 2**63 SQLite would turn to floats and PostgreSQL fail

Insert = sqlite.Insert | postgresql.Insert


def insert_new(connection: AsyncConnection | Connection, table: Table) -> Insert:
    """Return INSERT ... ON CONFLICT DO NOTHING."""
    return _insert_new(connection.dialect.name, table)


def upsert(
    connection: AsyncConnection | Connection,
    table: Table,
    *,
    add: tuple[str, ...] = (),
    replace: tuple[str, ...] = (),
    unite: tuple[str, ...] = (),
) -> Insert:
    """Return INSERT ... ON CONFLICT (primary key) DO UPDATE.

    Args:
        connection: whose dialect is spoken.
        table: the table.
        add: columns that are added up.
        replace: columns that are replaced.
        unite: columns of bits that are united.
    """
    return _upsert(connection.dialect.name, table, add, replace, unite)


def same(table: Table, *names: str) -> list[ColumnElement[bool]]:
    """Return the conditions that columns equal the parameters ``key_<name>``."""
    return [table.c[name] == bindparam(f"key_{name}", type_=table.c[name].type) for name in names]


def saturated(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    """Return the SQL of ``min(old + new, MOST)`` that cannot overflow; ``new`` is at most MOST."""
    most = literal(MOST, BigInteger)
    return case((old > most - new, most), else_=old + new)


def _insert(dialect: str, table: Table) -> Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _insert_new(dialect: str, table: Table) -> Insert:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _upsert(
    dialect: str, table: Table, add: tuple[str, ...], replace: tuple[str, ...], unite: tuple[str, ...]
) -> Insert:
    statement = _insert(dialect, table)
    changes: dict[str, Any] = {name: saturated(table.c[name], statement.excluded[name]) for name in add}
    changes |= {name: statement.excluded[name] for name in replace}
    changes |= {name: table.c[name].bitwise_or(statement.excluded[name]) for name in unite}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes)

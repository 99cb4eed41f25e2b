"""The statements that engines spell differently: insert or add to what is there, and reading by many keys.

Statements are built once and kept: SQLAlchemy takes longer to build one than SQLite to run it. `put` and
`pick` take many rows at once: on PostgreSQL they are one statement with an array a column, whatever the
number of rows, which costs a fifth of the same rows one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
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


async def put(
    connection: AsyncConnection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    add: tuple[str, ...] = (),
    replace: tuple[str, ...] = (),
    unite: tuple[str, ...] = (),
) -> None:
    """Insert rows; where the key is there already, change columns, or leave the row as it is.

    Args:
        connection: in a transaction.
        table: of the schema.
        columns: of each row, all of the primary key among them.
        rows: no two of one key; in the order of the key, so that row locks are taken in one order by all
            who write, and SQLite's pages are visited one after the other.
        add: columns to add up; they stop at MOST.
        replace: columns to take over.
        unite: columns of bits to unite.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        statement = _put(table, columns, _values(columns), add=add, replace=replace, unite=unite)
        await connection.exec_driver_sql(statement, list(rows))
    else:
        statement = _put(table, columns, _arrays(table, columns), add=add, replace=replace, unite=unite)
        await connection.exec_driver_sql(statement, tuple(map(list, zip(*rows, strict=True))))


async def pick(
    connection: AsyncConnection,
    table: Table,
    key: tuple[str, ...],
    keys: Sequence[tuple[Any, ...]],
    wanted: tuple[str, ...],
) -> list[tuple[Any, ...]]:
    """Return the rows of the keys in the order of the key: the key's columns, then those wanted.

    Args:
        connection: in a transaction.
        table: of the schema.
        key: columns that find a row, the first ones of the primary key.
        keys: their values.
        wanted: more columns.
    """
    found: list[tuple[Any, ...]] = []
    if connection.dialect.name == "sqlite":
        step = _SQLITE_VALUES // len(key)
        for start in range(0, len(keys), step):
            some = keys[start : start + step]
            source = "VALUES " + ", ".join([f"({', '.join('?' * len(key))})"] * len(some))
            statement = _pick(table, key, source, wanted)
            values = tuple(value for one in some for value in one)
            found += map(tuple, await connection.exec_driver_sql(statement, values))
    elif keys:
        statement = _pick(table, key, _arrays(table, key), wanted)
        arrays = tuple(map(list, zip(*keys, strict=True)))
        found += map(tuple, await connection.exec_driver_sql(statement, arrays))
    return found


_SQLITE_VALUES = 900  # of one statement; old builds take 999
_ARRAY_TYPES = {"VARCHAR": "text", "TEXT": "text", "BIGINT": "bigint", "BLOB": "bytea", "BOOLEAN": "boolean"}


def _names(columns: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in columns)


def _values(columns: tuple[str, ...]) -> str:
    return f"VALUES ({', '.join('?' * len(columns))})"


@cache
def _arrays(table: Table, columns: tuple[str, ...]) -> str:
    types = [_ARRAY_TYPES[str(table.c[name].type).partition("(")[0]] for name in columns]
    arrays = ", ".join(f"${place}::{type_}[]" for place, type_ in enumerate(types, 1))
    return f"SELECT * FROM unnest({arrays})"  # noqa: S608 - names of our own schema


@cache
def _put(
    table: Table,
    columns: tuple[str, ...],
    source: str,
    *,
    add: tuple[str, ...],
    replace: tuple[str, ...],
    unite: tuple[str, ...],
) -> str:
    name = f'"{table.name}"'
    key = _names(tuple(column.name for column in table.primary_key.columns))
    changes = [
        f'"{c}" = CASE WHEN {name}."{c}" > {MOST} - excluded."{c}" THEN {MOST}'
        f' ELSE {name}."{c}" + excluded."{c}" END'
        for c in add
    ]
    changes += [f'"{c}" = excluded."{c}"' for c in replace]
    changes += [f'"{c}" = {name}."{c}" | excluded."{c}"' for c in unite]
    otherwise = f"DO UPDATE SET {', '.join(changes)}" if changes else "DO NOTHING"
    return f"INSERT INTO {name} ({_names(columns)}) {source} ON CONFLICT ({key}) {otherwise}"


def _pick(table: Table, key: tuple[str, ...], source: str, wanted: tuple[str, ...]) -> str:
    names = _names(key)
    return (
        f'SELECT {_names(key + wanted)} FROM "{table.name}" WHERE ({names}) IN ({source})'  # noqa: S608
        f" ORDER BY {names}"
    )

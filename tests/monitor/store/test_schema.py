from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, make_url, text

from filterd.errors import StoreError
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.engine import migrate, parse_url
from filterd.monitor.store.schema import METADATA
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines


@pytest.fixture
def connection(engine: str, tmp_path: Any, fresh_database: Any) -> Any:
    """A connection to an empty database, of the engine's independent driver."""
    url = f"sqlite:///{tmp_path}/x.sqlite"
    if engine == "postgresql":
        url = fresh_database(migrated=False).replace("postgresql", "postgresql+psycopg", 1)
    opener = create_engine(url)
    with opener.connect() as opened:
        yield opened
    opener.dispose()


def partitions(connection: Connection) -> set[str]:
    """The tables that are parts of others; SQLite has none."""
    if connection.dialect.name == "sqlite":
        return set()
    found = connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"))
    return set(found)


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"} - partitions(connection)


def shape(connection: Connection, table: str) -> Any:
    """What both engines must agree on: columns and their order, null or not, keys, indexes."""
    made = inspect(connection)
    columns = [(c["name"], str(c["type"]).upper(), c["nullable"]) for c in made.get_columns(table)]
    same_type = {"BYTEA": "BLOB"}
    return (
        [(name, same_type.get(kind, kind), null) for name, kind, null in columns],
        made.get_pk_constraint(table)["constrained_columns"],
        sorted((str(i["name"]), tuple(i["column_names"])) for i in made.get_indexes(table)),
    )


def test_every_primary_key_begins_with_the_school() -> None:
    for table in METADATA.tables.values():
        assert next(iter(table.primary_key.columns)).name == "school", table.name


def test_no_column_could_hold_a_person() -> None:
    names = {column.name for table in METADATA.tables.values() for column in table.columns}
    assert not names & {"client", "address", "ip", "mac", "hostname", "user", "person", "pupil", "iin"}


def test_migrations_make_what_the_program_expects(connection: Connection) -> None:
    migrate(connection)
    parts = partitions(connection)

    def ours(thing: Any, name: str | None, kind: str, *_: object) -> bool:
        return (name if kind == "table" else thing.table.name) not in parts

    context = MigrationContext.configure(connection, opts={"include_object": ours})
    assert compare_metadata(context, METADATA) == []
    made = inspect(connection)
    for table in METADATA.sorted_tables:
        key = [column.name for column in table.primary_key.columns]
        assert made.get_pk_constraint(table.name)["constrained_columns"] == key


def test_down_and_up_again(connection: Connection) -> None:
    migrate(connection)
    full = tables(connection)
    assert full == set(METADATA.tables)
    migrate(connection, "base")
    assert tables(connection) == set()
    migrate(connection)
    assert tables(connection) == full
    migrate(connection)
    assert tables(connection) == full


def test_each_step_down_and_up_on_tables_with_rows(connection: Connection) -> None:
    migrate(connection, "0001")
    connection.execute(
        text(
            "INSERT INTO events (school, bucket, key, group_id, tier, pseudonym, domain, name, category,"
            " list_id, rule, layer, verdict, reason, count, received)"
            " VALUES ('s', 300, :key, 'g', 't', 'p', 'd', 'n', 'c', 'l', 'r', 'y', 'block', 'w', 7, 1)"
        ),
        {"key": b"k"},
    )
    migrate(connection)
    assert connection.execute(text("SELECT count, hints FROM events")).one() == (7, "")
    migrate(connection, "-1")
    assert connection.scalar(text("SELECT count FROM events")) == 7
    assert not tables(connection) & {"usage_days", "device_days", "audit"}
    migrate(connection)
    assert tables(connection) == set(METADATA.tables)


@pytest.mark.postgresql_only
def test_both_engines_have_the_same_schema(connection: Connection, tmp_path: Any) -> None:
    migrate(connection)
    opener = create_engine(f"sqlite:///{tmp_path}/other.sqlite")
    with opener.connect() as sqlite:
        migrate(sqlite)
        for table in METADATA.tables:
            assert shape(connection, table) == shape(sqlite, table), table
    opener.dispose()


@pytest.mark.sqlite_only
async def test_a_newer_schema_is_left_alone(settings: Any, tmp_path: Any) -> None:
    store = await Store.open(settings)
    await store.close()
    engine = create_engine(settings.database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer filterd"):
        await Store.open(settings)
    with engine.connect() as connection:
        assert tables(connection) == set(METADATA.tables)
    engine.dispose()
    assert list(tmp_path.glob("*corrupt*")) == []


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "sqlite"])
def test_databases_that_cannot_be_used(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        parse_url(url)
    assert caught.value.remedy


def test_urls() -> None:
    for text_ in ("sqlite:////a/b.sqlite", "sqlite+aiosqlite:////a/b.sqlite"):
        assert str(parse_url(text_)) == "sqlite+aiosqlite:////a/b.sqlite"
    assert parse_url("postgresql://u:p@h/d").drivername == "postgresql+asyncpg"
    assert parse_url("postgresql+asyncpg://u:p@[::1]:5433/d").host == "::1"


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@one:5432,two/d", "postgresql://u:p@/d?host=one:5432&host=two"]
)
def test_several_hosts_are_asked_for_the_one_that_takes_writes(url: str) -> None:
    found = parse_url(url)
    assert found.query == {"host": ("one:5432", "two"), "target_session_attrs": "read-write"}
    assert (found.username, found.password, found.database) == ("u", "p", "d")
    assert (
        parse_url(f"{url}{'&' if '?' in url else '?'}target_session_attrs=any").query["target_session_attrs"]
        == "any"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 1}, "cannot be reached"),
        ({"database": "no_such"}, "no such database"),
        ({"username": "no_such"}, "refuses the monitor's user"),
        ({"host": "no-such-host.invalid"}, "cannot be reached"),
    ],
)
async def test_a_server_that_cannot_be_used_says_why(fresh_database: Any, change: Any, said: str) -> None:
    url = make_url(fresh_database()).set(**change).render_as_string(hide_password=False)
    with pytest.raises(StoreError, match=said) as caught:
        await Store.open(MonitorSettings(listen=(("127.0.0.1", 0),), database=url, boxes={}))
    assert caught.value.remedy

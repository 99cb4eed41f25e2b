"""Transactions on a real PostgreSQL that break, and are done again only when nobody can be harmed by it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store import postgres
from filterd.monitor.store.store import Store

pytestmark = [pytest.mark.both_engines, pytest.mark.postgresql_only]
FAILS_ONCE_AT_COMMIT = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tries') = 1 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON marks DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.fixture
async def store(settings: Any, clock: Any) -> Any:
    opened = await Store.open(settings, clock)
    yield opened
    await opened.close()


def admin(settings: Any, statement: str, *values: object) -> None:
    with psycopg.connect(settings.database, autocommit=True) as connection:
        connection.execute(statement, values or None)  # type: ignore[arg-type]


async def add_mark(connection: AsyncConnection) -> None:
    await connection.execute(text("INSERT INTO marks VALUES ('', 'x', 1)"))


async def marks(store: Store) -> int:
    return int(await store.read(lambda c: c.scalar(text("SELECT count(*) FROM marks"))) or 0)


async def test_a_connection_that_breaks_within_is_a_delay(store: Store, settings: Any) -> None:
    attempts = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal attempts
        attempts += 1
        await add_mark(connection)
        if attempts < 3:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            await asyncio.to_thread(admin, settings, "SELECT pg_terminate_backend(%s)", pid)
        await connection.execute(text("UPDATE marks SET at = at + 1"))
        return attempts

    assert await store.write(work) == 3
    assert (store.retries, store.errors) == (2, 0)
    assert await marks(store) == 1


async def test_a_deadlock_is_a_delay(store: Store) -> None:
    names = ("a", "b")
    await store.write(lambda c: c.execute(text("INSERT INTO marks VALUES ('', 'a', 0), ('', 'b', 0)")))
    both = asyncio.Barrier(2)

    async def crossing(order: tuple[str, ...]) -> None:
        met = False

        async def work(connection: AsyncConnection) -> None:
            nonlocal met
            for name in order:
                await connection.execute(
                    text("UPDATE marks SET at = at + 1 WHERE name = :name"), {"name": name}
                )
                if not met:  # the first time only: then the other holds its first row too
                    met = True
                    await both.wait()

        await store.write(work)

    await asyncio.gather(crossing(names), crossing(names[::-1]))
    assert store.retries >= 1
    assert await store.read(lambda c: c.scalar(text("SELECT sum(at) FROM marks"))) == 4


@pytest.mark.parametrize(
    ("state", "repeatable", "stored"),
    [("57P01", False, 0), ("57P01", True, 1), ("40001", False, 1), ("40001", True, 1), ("53100", True, 0)],
)
async def test_a_commit_of_which_nobody_knows_is_done_again_only_if_that_is_safe(
    store: Store, settings: Any, state: str, repeatable: bool, stored: int
) -> None:
    admin(settings, FAILS_ONCE_AT_COMMIT.format(state=state))
    if stored:
        await store.write(add_mark, repeatable=repeatable)
    else:
        with pytest.raises(StoreError) as caught:
            await store.write(add_mark, repeatable=repeatable)
        assert caught.value.remedy
    assert await marks(store) == stored
    assert (store.retries, store.errors) == (stored, 1 - stored)


async def test_there_is_an_end_to_it(settings: Any, clock: Any) -> None:
    bounded = type(settings)(
        listen=settings.listen,
        database=settings.database,
        boxes={},
        limits=MonitorLimits(failover_seconds=0.3, busy_seconds=0.1),
    )
    store = await Store.open(bounded, clock)
    with psycopg.connect(settings.database) as other:
        other.execute("LOCK TABLE marks")
        with pytest.raises(StoreError, match="another program locks"):
            await store.mark("x")
        assert store.retries >= 1
    await store.mark("x")
    await store.close()


async def test_what_the_work_itself_raises_is_not_repeated(store: Store) -> None:
    attempts = []

    async def work(connection: AsyncConnection) -> None:
        attempts.append(1)
        await add_mark(connection)
        raise ValueError

    with pytest.raises(ValueError):
        await store.write(work, repeatable=True)
    assert (len(attempts), await marks(store)) == (1, 0)


async def test_a_read_sees_one_snapshot(store: Store) -> None:
    async def work(connection: AsyncConnection) -> list[int]:
        first = await connection.scalar(text("SELECT count(*) FROM marks"))
        await store.mark("meanwhile")
        return [first, await connection.scalar(text("SELECT count(*) FROM marks"))]

    assert await store.read(work) == [0, 0]
    assert await marks(store) == 1


async def test_a_reader_cannot_write_and_leaves_the_writer_able_to(store: Store) -> None:
    for _ in range(3):
        with pytest.raises(StoreError, match="takes no writes"):
            await store.read(lambda c: c.execute(text("DELETE FROM marks")))
        await store.mark("x")


async def test_several_monitors_may_start_at_once(fresh_database: Any, settings: Any) -> None:
    """On an empty database: one of them migrates, the others wait and find it done."""
    script = (
        "import asyncio, sys\n"
        "from filterd.monitor.settings import MonitorSettings\n"
        "from filterd.monitor.store.store import Store\n"
        "async def main():\n"
        "    at = MonitorSettings(listen=(('127.0.0.1', 0),), database=sys.argv[1], boxes={})\n"
        "    await (await Store.open(at)).close()\n"
        "asyncio.run(main())\n"
    )
    url = fresh_database(migrated=False)
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for one in started:
        _, told = await one.communicate()
        assert one.returncode == 0, told.decode()[-1500:]


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_rolled_back_is_rolled_back_also_at_the_commit(state: str) -> None:
    assert postgres.may_repeat(fault(state), committing=True)


@pytest.mark.parametrize("state", ["08006", "57P01", "57P03", "53300", "55P03", "25006", "23514"])
def test_passing_faults_are_repeated_before_the_commit_only(state: str) -> None:
    assert postgres.may_repeat(fault(state), committing=False)
    assert not postgres.may_repeat(fault(state), committing=True)


@pytest.mark.parametrize("state", ["53100", "22021", "23505", "42P01", "28P01", "3D000", "XX001", ""])
def test_other_faults_are_never_repeated(state: str) -> None:
    assert not postgres.may_repeat(fault(state), committing=False)
    assert not postgres.may_repeat(fault(state), committing=True)


class Told(Exception):
    def __init__(self, state: str) -> None:
        self.sqlstate = state


def fault(state: str) -> Exception:
    return DBAPIError("", {}, Told(state))

"""A real PostgreSQL for tests: one cluster a session, started when first needed; a fresh database a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import psycopg
import pytest
from harness.postgres import Cluster

from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Store

_EMPTY, _MIGRATED = "template1", "filterd_template"
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Cluster]:
    """The session's cluster, running; never stop, kill or fill it: ``Cluster.make`` makes one to break."""
    with Cluster.make() as cluster:
        yield cluster.start()


@pytest.fixture(scope="session")
def postgres(postgres_server: Cluster) -> Cluster:
    """The session's cluster with a template at the newest schema, made by the store's own migrations."""
    _create(postgres_server, _MIGRATED, _EMPTY)
    settings = MonitorSettings(listen=(("127.0.0.1", 0),), database=postgres_server.url(_MIGRATED), boxes={})

    async def migrate() -> None:
        await (await Store.open(settings)).close()

    with ThreadPoolExecutor(1) as thread:  # the test that asks first may have a loop running
        thread.submit(lambda: asyncio.run(migrate())).result()
    return postgres_server


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """A function that makes a database and returns its URL; ``migrated=False`` makes an empty one."""
    made: list[tuple[Cluster, str]] = []

    def make(*, migrated: bool = True) -> str:
        cluster: Cluster = request.getfixturevalue("postgres" if migrated else "postgres_server")
        name = f"test_{next(_NUMBERS)}"
        _create(cluster, name, _MIGRATED if migrated else _EMPTY)
        made.append((cluster, name))
        return cluster.url(name)

    yield make
    for cluster, name in made:
        _run(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def _create(cluster: Cluster, name: str, template: str) -> None:
    _run(cluster, f"CREATE DATABASE {name} TEMPLATE {template}")


def _run(cluster: Cluster, statement: str) -> None:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]

"""PostgreSQL as the store: a URL with several hosts, connections that give up in time, what its errors mean.

Knows no table. Only the server that takes writes is used: after a failover the next connection finds it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from filterd.monitor.settings import MonitorLimits

DRIVER = "postgresql+asyncpg"


class UnreachableError(SQLAlchemyError):
    """No server of the URL takes a connection now; ``__cause__`` says why."""


def parse(url_text: str) -> URL:
    """Return the URL in SQLAlchemy's way.

    Several hosts are written as libpq does: ``postgresql://user@one:5432,two:5432/filterd``. Of several
    only the one that takes writes is wanted, unless ``target_session_attrs`` says otherwise.

    Raises:
        ValueError: no URL.
        ArgumentError: no URL.
    """
    parts = urlsplit(url_text)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        url = make_url(url_text)
    else:
        url = make_url(urlunsplit((parts.scheme, user + at, parts.path or "/", parts.query, "")))
        url = url.update_query_dict({"host": tuple(hosts.split(","))})
    if not isinstance(url.query.get("host", ""), str) and "target_session_attrs" not in url.query:
        url = url.update_query_dict({"target_session_attrs": "read-write"})
    return url.set(drivername=DRIVER)


def make_engine(url: URL, limits: MonitorLimits) -> AsyncEngine:
    """Return an engine that connects when first used."""
    return create_async_engine(
        url,
        pool_size=limits.pool,
        max_overflow=0,
        pool_timeout=limits.store_seconds,
        pool_pre_ping=True,
        pool_use_lifo=True,  # few connections are used, and those that a failover broke are found out
        connect_args={
            "async_creator_fn": _connect,
            "timeout": limits.busy_seconds,
            "server_settings": {
                "application_name": "filterd-monitor",
                "lock_timeout": str(int(limits.busy_seconds * 1000)),
                # A monitor that hangs must not hold its locks for ever.
                "idle_in_transaction_session_timeout": str(int(limits.store_seconds * 1000)),
            },
        },
    )


def reading(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine for reading: one snapshot for a whole transaction, and no writing; the same pool."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def wait_for_migrations(connection: Connection) -> None:
    """Let only one monitor change the schema; the others wait, in the transaction of their migration."""
    connection.execute(text("SET LOCAL lock_timeout = '120s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(6120533, 1)"))


async def _connect(*arguments: Any, **options: Any) -> Any:
    """Connect, with one kind of error for all: SQLAlchemy passes the driver's on as they are.

    Host by host: the driver's own time limit is one for all hosts together, so a primary that lost its power
    (and refuses nothing) would use it up before the standby is asked.
    """
    host, port = options.pop("host", None), options.pop("port", None)
    places = list(zip(host, port, strict=True)) if isinstance(host, list) else [(host, port)]
    fault: Exception | None = None
    for one, at in places:
        try:
            return await asyncpg.connect(*arguments, host=one, port=at, **options)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            fault = fault or error
    raise UnreachableError(type(fault).__name__) from fault


# By SQLSTATE: what a person reads, and what to do (PostgreSQL's documentation, appendix A).
_EXPLANATIONS = {
    "53100": ("the database's disk is full", "free some space on the database server"),
    "53": ("the database has no resources left", "look at the database server's log"),
    "55P03": ("another program locks the store's tables", "try again; end the program that holds the lock"),
    "40P01": ("two writers waited for each other", "try again"),
    "25006": ("the database takes no writes", "name the primary, or all hosts, in the database's URL"),
    "28": ("the database refuses the monitor's user", "check user, password and pg_hba.conf"),
    "3D000": ("there is no such database", "create it: createdb NAME"),
    "42501": ("the database's user may not do that", "make it the owner of the database"),
    "08": ("the connection to the database broke", "try again; see the database server's log"),
    "57P": ("the database is stopping or starting", "try again"),
    "XX": ("the database reports damage", "look at the database server's log at once; restore a backup"),
}


# A transaction that ends with one of these was rolled back, and doing it again may go well.
_ROLLED_BACK = frozenset({"40001", "40P01"})
# The same, unless they come at the commit: then nobody knows.
_PASSING = ("08", "57P", "53300", "55P03", "25006")
# A row on its way into a default partition while the partition that it belongs to was made (partitions.py).
_OVERTAKEN = "23514"


def may_repeat(error: BaseException, *, committing: bool) -> bool:
    """Tell whether a transaction surely left nothing behind and may go well when it is done again.

    Args:
        error: by which it ended.
        committing: whether its commit had begun.
    """
    if isinstance(error, UnreachableError):
        return not committing
    state = _state(error)
    if state in _ROLLED_BACK:
        return True
    if committing:
        return False
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    return broken or state == _OVERTAKEN or state.startswith(_PASSING)


def _state(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, UnreachableError) else getattr(error, "orig", None)
    return str(getattr(cause, "sqlstate", "") or "")


def explain(error: BaseException) -> tuple[str, str] | None:
    """Return what an error of PostgreSQL means and the remedy; ``None`` when it is none or not known."""
    state = _state(error)
    for sign in (state, state[:3], state[:2]):
        if sign in _EXPLANATIONS:
            return _EXPLANATIONS[sign]
    if isinstance(error, UnreachableError):
        return "the database cannot be reached", "check its address and that it runs"
    return None

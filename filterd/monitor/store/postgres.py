"""PostgreSQL as the store: a URL with several hosts, connections that give up in time, what its errors mean.

Knows no table. Only the server that takes writes is used: after a failover the next connection finds it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from filterd.monitor.settings import MonitorLimits

DRIVER = "postgresql+asyncpg"


class UnreachableError(SQLAlchemyError):
    """No server of the URL takes a connection now; ``__cause__`` says why."""


def parse(text: str) -> URL:
    """Return the URL in SQLAlchemy's way.

    Several hosts are written as libpq does: ``postgresql://user@one:5432,two:5432/filterd``. Of several
    only the one that takes writes is wanted, unless ``target_session_attrs`` says otherwise.

    Raises:
        ValueError: no URL.
        ArgumentError: no URL.
    """
    parts = urlsplit(text)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        url = make_url(text)
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


async def _connect(*arguments: Any, **options: Any) -> Any:
    """Connect, with one kind of error for all: SQLAlchemy passes the driver's on as they are."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnreachableError(type(error).__name__) from error


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


def explain(error: BaseException) -> tuple[str, str] | None:
    """Return what an error of PostgreSQL means and the remedy; ``None`` when it is none or not known."""
    cause = error.__cause__ if isinstance(error, UnreachableError) else getattr(error, "orig", None)
    state = str(getattr(cause, "sqlstate", "") or "")
    for sign in (state, state[:3], state[:2]):
        if sign in _EXPLANATIONS:
            return _EXPLANATIONS[sign]
    if isinstance(error, UnreachableError):
        return "the database cannot be reached", "check its address and that it runs"
    return None

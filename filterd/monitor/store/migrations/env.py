"""Alembic's entry: runs the revisions on the connection that engine.py hands over; knows no URL."""

from __future__ import annotations

from alembic import context

from filterd.monitor.store import paperwork  # noqa: F401 - its tables belong to METADATA
from filterd.monitor.store.schema import METADATA


def run() -> None:
    """Run the migrations inside the transaction the caller has begun."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run()

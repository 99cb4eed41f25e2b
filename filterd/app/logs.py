"""One way to log: JSON lines for machines, readable ones on a terminal; always on standard error.

A trace shows where something went wrong, never the values it went wrong with: these are names that somebody
looked up, addresses, tokens.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_TRACES = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure(*, level: str = "info", human: bool | None = None) -> None:
    """Set up structlog for this process.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        human: readable lines instead of JSON; None: when standard error is a terminal.
    """
    readable = sys.stderr.isatty() if human is None else human
    last: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if readable
        else [_TRACES, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not readable),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")

"""The routes of the endpoint and what every response carries: security headers, readable errors.

Pages come beside these routes later; there is no HTML here, and nothing a browser would run.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web, web_response
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.access.directory import Directory
from filterd.monitor.access.doorkeeper import Caller, Doorkeeper
from filterd.monitor.access.rates import Rates
from filterd.monitor.access.registry import Registry
from filterd.monitor.access.tls import common_names
from filterd.monitor.ingest import decode
from filterd.monitor.ingest.accept import Ingest
from filterd.monitor.metrics import exposition
from filterd.monitor.metrics.boxstatus import BoxStatus, statuses
from filterd.monitor.metrics.exposition import Exposition
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.problems import CONTENT_TYPE, Problem
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Clock, Store
from filterd.monitor.web import listing, openapi, roster
from filterd.monitor.web.body import Budget, read_text
from filterd.monitor.web.operations import OPERATIONS, index
from filterd.monitor.web.quiet import Quiet

_log = structlog.get_logger(__name__)

# aiohttp writes its and Python's version into "Server", also where no application code runs (a request it
# cannot parse); this constant is the one place that all responses take it from.
web_response.SERVER_SOFTWARE = "filterd"  # type: ignore[attr-defined]

_PROBES = frozenset({"/healthz", "/readyz"})
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers use."""

    settings: MonitorSettings
    store: Store
    registry: Registry
    ingest: Ingest
    exposition: Exposition
    meter: Meter
    clock: Clock


class Api:
    """The handlers."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self._door = Doorkeeper(services.settings)
        self._document = openapi.document(
            page=services.settings.limits.page,
            metrics_need_token=services.settings.metrics_token_sha256 is not None,
        )
        self._quiet = Quiet()
        self._budget = Budget(services.settings.limits, services.meter)

    async def batches(self, request: web.Request) -> web.Response:
        """``POST /v1/batches``: store a delivery, then acknowledge its sequences."""
        started = time.perf_counter()
        meter, limits = self._s.meter, self._s.settings.limits
        box = ""
        try:
            directory = await self._s.registry.directory()
            box, school = self._door.box(caller_of(request), directory, self._s.clock())
            with self._budget.delivery() as held:
                text = await read_text(request, held, limits)
                meter.bytes.inc(held.size - len(text))
                delivery = decode.parse(text, box=box, school=school, limits=limits)
                stored = await self._s.ingest.accept(delivery)
        except Problem as problem:
            meter.deliveries.labels(problem.code).inc()
            self._tell(box, problem)
            raise
        except StoreError:
            meter.deliveries.labels("store").inc()
            raise
        meter.deliveries.labels("stored").inc()
        meter.batches.labels("new").inc(stored.new)
        meter.batches.labels("duplicate").inc(stored.duplicates)
        meter.records.labels("events").inc(stored.events)
        meter.records.labels("usage").inc(stored.usage)
        meter.seconds.observe(time.perf_counter() - started)
        return _json(stored.receipt.model_dump())

    def _tell(self, box: str, problem: Problem) -> None:
        speak, left_out = self._quiet.may((box, problem.code))
        if speak:
            sequence = problem.extra.get("sequence")
            _log.warning("delivery_refused", box=box, code=problem.code, sequence=sequence, left_out=left_out)

    async def events(self, request: web.Request) -> web.Response:
        """``GET /v1/events``: a page of events, for the admin."""
        self._door.admin(caller_of(request))
        wanted = listing.parse_filter(request.query.items(), self._s.settings.limits.page)
        hidden = self._s.settings.hidden_categories
        statement = listing.statement(wanted, hidden)
        rows = await self._s.store.read(lambda c: _all(c, statement))
        return _json(listing.document(rows, wanted, hidden))

    async def schools(self, request: web.Request) -> web.Response:
        """``GET /v1/schools``: a page of schools, for the admin."""
        self._door.admin(caller_of(request))
        directory, boxes, now = await self._roster()
        page = self._s.settings.limits.page
        return _shown(roster.schools_page(directory, boxes, list(request.query.items()), page, now))

    async def boxes(self, request: web.Request) -> web.Response:
        """``GET /v1/boxes``: a page of boxes, for the admin."""
        self._door.admin(caller_of(request))
        _directory, boxes, _now = await self._roster()
        page = self._s.settings.limits.page
        return _shown(roster.boxes_page(boxes, list(request.query.items()), page))

    async def _roster(self) -> tuple[Directory, list[BoxStatus], float]:
        directory, now = await self._s.registry.directory(), self._s.clock()
        silent = self._s.settings.limits.silent_seconds
        boxes = await self._s.store.read(lambda c: statuses(c, directory, silent_seconds=silent, now=now))
        return directory, boxes, now

    async def targets(self, request: web.Request) -> web.Response:
        """``GET /v1/targets``: for Prometheus' HTTP service discovery."""
        self._door.metrics(caller_of(request))
        directory = await self._s.registry.directory()
        found = roster.targets(directory, self._s.settings, request.host, self._s.clock())
        return web.json_response(text=roster.text_of(found))

    async def openapi(self, _request: web.Request) -> web.Response:
        """``GET /v1/openapi.json``."""
        return _json(self._document)

    async def metrics(self, request: web.Request) -> web.Response:
        """``GET /metrics``."""
        self._door.metrics(caller_of(request))
        body = await self._s.exposition.render()
        return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE})

    async def healthz(self, _request: web.Request) -> web.Response:
        """``GET /healthz``: the program runs."""
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """``GET /readyz``: the store takes a row, tried at most every five seconds."""
        await self._s.store.check()
        return _json({"status": "ready"})

    async def index(self, _request: web.Request) -> web.Response:
        """``GET /``: where to go on."""
        return _json(index())


def make_app(services: Services) -> web.Application:
    """Return the application."""
    api = Api(services)
    app = web.Application(middlewares=[_errors(services.meter), _rates(services)])
    app.add_routes([web.route(one.method, one.path, getattr(api, one.handler)) for one in OPERATIONS])
    app.on_response_prepare.append(_secure)
    return app


def caller_of(request: web.Request) -> Caller:
    """Return what auth needs of a request; the peer is the socket's, never a header's."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return Caller(str(peer[0]) if peer else "", headers, common_names(request.transport))


async def _all(connection: AsyncConnection, statement: Select[Any]) -> list[Row[Any]]:
    return list((await connection.execute(statement)).all())


def _shown(model: BaseModel) -> web.Response:
    return _json(model.model_dump())


def _json(value: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text + "\n", status=status, content_type=content_type)


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


def _rates(services: Services) -> Middleware:
    """Hold callers to their rate; probes of the program's own supervisor are not counted."""
    door, buckets = Doorkeeper(services.settings), Rates(services.settings.limits, time.monotonic)

    @web.middleware
    async def rates(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _PROBES:
            caller = caller_of(request)
            try:
                directory = await services.registry.directory()
            except StoreError:  # then nothing of the store can be asked either: count by address
                directory = Directory.of_settings(services.settings)
            buckets.take(door.holder(caller, directory, services.clock()), caller.peer)
        return await handler(request)

    return rates


def _errors(meter: Meter) -> Middleware:
    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            fault = problem
        except StoreError as error:
            fault = Problem(503, "store", error.message, remedy=error.remedy, headers={"Retry-After": "5"})
        except web.HTTPException as error:
            fault = _from_http(error)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - the last border: nothing of an unforeseen fault may reach the caller
            incident = uuid.uuid4().hex[:12]
            _log.exception("request_failed", incident=incident, path=request.path[:64])
            fault = Problem(500, "internal", "the monitor failed", remedy=f"look for {incident} in its log")
        meter.problems.labels(str(fault.status)).inc()
        response = _json(fault.document(), fault.status, CONTENT_TYPE)
        response.headers.update(fault.headers)
        return response

    return errors


def _from_http(error: web.HTTPException) -> Problem:
    """Turn aiohttp's own refusals (no such path, wrong method) into problems."""
    detail = {
        404: "there is nothing at this address",
        405: "this address does not know the method",
    }.get(error.status, error.reason)
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Problem(error.status, "http", detail, remedy="GET / lists the addresses", headers=headers)

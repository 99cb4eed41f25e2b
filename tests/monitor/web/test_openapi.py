"""The API holds what its OpenAPI document says: asked by schemathesis, by a client of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filterd.monitor.settings import MonitorLimits
from filterd.monitor.web import openapi
from filterd.monitor.web.models import SchoolsPage
from filterd.monitor.web.operations import OPERATIONS

ADMIN, OF_BOX0, SCRAPER = "token of the admin", "token of box 0", "token of the scraper"
UNHURRIED = MonitorLimits(
    address_rate=1e6, address_burst=10**6, holder_rate=1e6, holder_burst=10**6, store_seconds=30.0
)


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
async def api(start: Any, make: Any) -> Any:
    """An endpoint with a box whose ids schemathesis will hit upon, some events, and a token for metrics."""
    monitor = await start(
        boxes={"0": ("0", sha256(OF_BOX0))}, metrics_token_sha256=sha256(SCRAPER), limits=UNHURRIED
    )
    delivery = make.delivery(make.batch(1), box="0", school="0", health=make.health())
    assert (await monitor.post(delivery, token=OF_BOX0))[0] == 200
    return monitor


async def schemathesis(api: Any, folder: Path, token: str, *more: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "run", f"{api.url}/v1/openapi.json", "--max-examples", "8", "--seed", "1"]
    command += ["--header", f"Authorization: Bearer {token}", "--no-color", *more]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize(
    ("token", "more"),
    [
        (ADMIN, ("--exclude-path", "/v1/batches")),
        # JSON Schema takes 1.0 for an integer and knows no ascending order; ingest is stricter, with a 422.
        (OF_BOX0, ("--include-path", "/v1/batches", "--exclude-checks", "positive_data_acceptance")),
    ],
    ids=["admin", "box"],
)
async def test_schemathesis_finds_nothing(
    api: Any, tmp_path: Path, token: str, more: tuple[str, ...]
) -> None:
    done = await schemathesis(api, tmp_path, token, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = len(OPERATIONS) - 2 if token == ADMIN else 1  # it has read the document itself before
    assert f"Tested: {expected}\n" in done.stdout
    assert "Authentication failed" not in done.stdout
    assert (await api.get("/healthz"))[0] == 200
    assert "filterd_http_problems_total" in (await api.get("/metrics"))[1]
    assert '{status="500"}' not in await api.metric("filterd_http_problems_total")


async def test_schemathesis_would_find_an_answer_that_is_not_as_described(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: here a page of schools lacks its cursor."""
    monkeypatch.setattr(SchoolsPage, "model_dump", lambda _self: {"schools": []})
    done = await schemathesis(api, tmp_path, ADMIN, "--include-path", "/v1/schools")
    assert done.returncode != 0
    assert '"next" is a required property' in done.stdout


async def test_the_document_names_every_address_and_its_right(api: Any) -> None:
    status, document = await api.get("/v1/openapi.json", admin=False)
    assert (status, document["openapi"]) == (200, "3.1.0")
    assert set(document["paths"]) == {one.path for one in OPERATIONS}
    for one in OPERATIONS:
        described = document["paths"][one.path][one.method.lower()]
        assert described["security"] == ([{one.right: []}] if one.right else [])
        if one.method == "GET":
            found = (await api.get(one.path, admin=False))[0]
            assert found == (401 if one.right else 200), one.path
    secrets = (ADMIN, OF_BOX0, SCRAPER)
    assert not any(secret in json.dumps(document) for secret in secrets)


def test_open_metrics_are_described_as_open() -> None:
    paths = openapi.document(page=10, metrics_need_token=False)["paths"]
    assert paths["/metrics"]["get"]["security"] == []
    assert paths["/v1/events"]["get"]["parameters"][4]["schema"]["maximum"] == 10

"""A real upstream that knows the engines as the world does, and a school before it: a group for each tier."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

# The helpers of the end-to-end tests; with import mode "importlib" their folder is on no path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from _engines import SCHOOL, zone
from _programs import Filterd, Unbound

ROOT = Path(__file__).resolve().parents[2]


class Files:
    """The files of a school: the shipped baseline and lists, and a policy that a test may change."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.baseline = folder / "baseline.yaml"
        self.school = folder / "school.yaml"
        self.lists = folder / "blocklists"
        shutil.copy(ROOT / "policies" / "baseline.yaml", self.baseline)
        shutil.copytree(ROOT / "blocklists", self.lists, dirs_exist_ok=True)
        self.write()

    def write(self, **changes: Any) -> None:
        """Write the school's policy with changes."""
        self.school.write_text(yaml.safe_dump({**SCHOOL, **changes}, allow_unicode=True))

    def config(self, upstream: Unbound, **more: Any) -> dict[str, Any]:
        """Return a configuration that uses them."""
        return {
            "upstreams": [f"127.0.0.1:{upstream.port}"],
            "lists": {
                "catalogue": str(self.lists / "sources.yaml"),
                "categories": str(self.lists / "categories.yaml"),
            },
            "policy": {"baseline": str(self.baseline), "school": str(self.school)},
            "allow_clients": ["127.0.0.0/16"],
            "limits": {"queries_per_second": 100_000, "burst": 100_000},
            **more,
        }


@pytest.fixture(scope="session")
def make_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Unbound]]:
    """Starts upstreams; ended at the end of the session at the latest."""
    started: list[Unbound] = []

    def make() -> Unbound:
        started.append(Unbound(tmp_path_factory.mktemp("unbound"), zone()))
        return started[-1].wait()

    yield make
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def upstream(make_upstream: Callable[[], Unbound]) -> Unbound:
    """The upstream of most tests; never stopped."""
    return make_upstream()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Policy and lists that a test may change."""
    return Files(tmp_path / "files")


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Filterd]]:
    """Starts filters and sees to it that nothing of them is left."""
    started: list[Filterd] = []

    def begin(config: dict[str, Any]) -> Filterd:
        started.append(Filterd(tmp_path_factory.mktemp("f"), config))
        return started[-1].wait()

    yield begin
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory, upstream: Unbound) -> Iterator[Filterd]:
    """One filter for all tests that only ask."""
    folder = tmp_path_factory.mktemp("s")
    filterd = Filterd(folder / "f", Files(folder / "files").config(upstream))
    try:
        yield filterd.wait()
        assert filterd.end() == 0, filterd.said
        assert "Traceback" not in filterd.said, filterd.said
    finally:
        filterd.kill()

"""Real programs for every end-to-end test: upstreams, the filter, and what an admin writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Helpers stand beside the tests; with import mode "importlib" their folder is on no path.
sys.path.insert(0, str(Path(__file__).parent))

from _programs import Filterd, Program, Unbound
from _stub import Stub
from _world import Papers, zone


@pytest.fixture(scope="session")
def make_unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Unbound]]:
    """Starts upstreams; ended at the end of the session at the latest."""
    started: list[Unbound] = []

    def make(content: str | None = None, **more: Any) -> Unbound:
        unbound = Unbound(tmp_path_factory.mktemp("unbound"), content or zone(), **more)
        started.append(unbound)
        return unbound.wait()

    yield make
    for unbound in started:
        unbound.kill()


@pytest.fixture(scope="session")
def unbound(make_unbound: Callable[..., Unbound]) -> Unbound:
    """The upstream of most tests; never stopped."""
    return make_unbound()


@pytest.fixture(scope="session")
def office(make_unbound: Callable[..., Unbound]) -> Unbound:
    """An upstream of a zone of its own; never stopped."""
    return make_unbound(zone("office"))


@pytest.fixture(scope="session")
def slow() -> Iterator[Stub]:
    """An upstream whose answers take as long as the name says."""
    stub = Stub()
    yield stub
    stub.close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    """An upstream that writes down what it is asked."""
    stub = Stub()
    yield stub
    stub.close()


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    """Lists and policy that a test may change."""
    return Papers(tmp_path / "papers")


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Filterd]]:
    """Starts filters (by default waits until they serve) and sees to it that nothing of them is left."""
    yield from starter(tmp_path_factory)


@pytest.fixture(scope="module")
def shared_papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Lists and policy that the tests of a module change, and put back."""
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def shared_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Filterd]]:
    """As `start`, for filters that the tests of a module share."""
    yield from starter(tmp_path_factory)


def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Filterd]]:
    """Give a function that starts filters; end them afterwards."""
    started: list[Program] = []

    def begin(
        config: dict[str, Any], *, wait: bool = True, folder: Path | None = None, **more: Any
    ) -> Filterd:
        # A short path: that of a Unix socket below it has 107 bytes at most.
        one = Filterd(folder or tmp_path_factory.mktemp("f"), config, **more)
        started.append(one)
        return one.wait() if wait else one

    yield begin
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def school(
    tmp_path_factory: pytest.TempPathFactory, unbound: Unbound, office: Unbound, slow: Stub
) -> Iterator[Filterd]:
    """One filter for all tests that only ask; its policy and lists never change."""
    folder = tmp_path_factory.mktemp("school")
    papers = Papers(folder / "papers")
    config = papers.config(
        unbound.server,
        workers=2,
        zones={
            "office.example": [f"127.0.0.1:{office.port}"],
            "slow.example": [f"127.0.0.1:{slow.server.port}"],
        },
        local_names={"printer.example": ["192.168.7.7", "fd00::7"], "lms.casino.example": ["192.168.7.8"]},
        limits={
            "queries_per_second": 100_000,
            "burst": 100_000,
            "tcp_connections_per_client": 8,
            "tcp_idle": 1.0,
        },
    )
    filterd = Filterd(folder / "filterd", config)
    try:
        yield filterd.wait()
        assert filterd.end() == 0, filterd.said
        assert "Traceback" not in filterd.said, filterd.said
    finally:
        filterd.kill()

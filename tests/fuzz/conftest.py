"""A whole filter with one DNS process, an upstream that answers everything, and packets to send."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# With import mode "importlib" these folders are on no path.
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
sys.path.insert(0, str(Path(__file__).parent))

import _figures
from _echo_upstream import EchoUpstream
from _mutations import ordinary
from _product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One filter for all tests: what one of them breaks, the next one sees."""
    with EchoUpstream() as upstream:
        config = {
            "upstreams": [upstream.address],
            "cache": {"size_mib": 8},  # full early, so that its growth is no leak
            "limits": {"queries_per_second": 0, "in_flight": 100_000, "in_flight_per_client": 100_000},
        }
        one = Product(tmp_path_factory.mktemp("fuzz"), config)
        try:
            yield one.wait()
            assert one.end() == 0, one.said
            assert "Traceback" not in one.said, one.said
            assert "packet_failed" not in one.said
            assert "message_failed" not in one.said
            assert "lookup_failed" not in one.said
        finally:
            one.kill()


@pytest.fixture(scope="session")
def messages(realdata: Path) -> list[bytes]:
    """The 300 messages of a resolver's fuzz corpus."""
    found = [path.read_bytes() for path in sorted((realdata / "packets").glob("*/dns_message_parse.in/*"))]
    assert len(found) == 300
    return found


@pytest.fixture(scope="session")
def seeds(messages: list[bytes]) -> list[bytes]:
    """What mutated packets are made of: those messages, the same dressed as queries, ordinary queries."""
    dressed = [message[:2] + b"\x01\x00" + message[4:] for message in messages if len(message) > 12]
    return [*messages, *dressed, *(ordinary() * 4)]


@pytest.fixture
def dice() -> random.Random:
    """Seeded: a run that fails can be had again."""
    return random.Random(20261123)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests measured."""
    _figures.print_to(terminalreporter)

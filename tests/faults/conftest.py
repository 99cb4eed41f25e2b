"""The whole product with something broken around it; helpers stand beside the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# With import mode "importlib" these folders are on no path; the programs are those of the end-to-end tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

import _figures
from _product import Product


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Starts filters, waits until they serve, and sees to it that nothing of them is left."""
    started: list[Product] = []

    def begin(config: dict[str, Any] | None = None, *, wait: bool = True, **more: Any) -> Product:
        folder = more.pop("folder", tmp_path / f"filterd-{len(started)}")
        one = Product(folder, config or {}, **more)
        started.append(one)
        return one.wait() if wait else one

    yield begin
    for one in started:
        one.kill()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests measured."""
    _figures.print_to(terminalreporter)

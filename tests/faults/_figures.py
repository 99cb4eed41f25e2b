"""What tests measure, printed at the end of the run: for people, never a reason to fail."""

from __future__ import annotations

from typing import Any

_lines: list[str] = []


def note(title: str, **figures: Any) -> None:
    """Keep figures for the end of the run."""
    shown = ", ".join(
        f"{name.replace('_', ' ')} {value:.3g}"
        if isinstance(value, float)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in figures.items()
    )
    _lines.append(f"{title}: {shown}")


def print_to(reporter: Any) -> None:
    """Print the figures once."""
    if _lines:
        reporter.section("figures")
        for line in _lines:
            reporter.write_line(line)
        _lines.clear()

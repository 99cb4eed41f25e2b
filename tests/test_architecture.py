"""The house keeps its shape: imports run downwards, each module says what it is for, files stay short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "filterd").rglob("*.py"))
LONGEST = 400


def test_imports_run_downwards_only():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_module_says_what_it_is_for():
    silent = [str(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_no_module_is_longer_than_a_person_reads():
    long = {str(path): count for path in MODULES if (count := path.read_text("utf-8").count("\n")) > LONGEST}
    assert long == {}


def test_tasks_are_never_started_without_keeping_them():
    """A task that nobody holds may vanish in the middle of its work (asyncio.create_task documentation)."""
    loose = [
        f"{path.name}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr in {"create_task", "ensure_future"}
        and ast.unparse(node.value.func.value) != "group"  # an asyncio.TaskGroup keeps its tasks
    ]
    assert loose == []


def test_no_marker_of_unfinished_work():
    pattern = re.compile(r"#\s*(TODO|FIXME|XXX)|pytest\.mark\.(skip|xfail)|pytest\.skip")
    this = Path(__file__)
    sources = [path for path in [*MODULES, *(ROOT / "tests").rglob("*.py")] if path != this]
    assert [str(path) for path in sources if pattern.search(path.read_text("utf-8"))] == []

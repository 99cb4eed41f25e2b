from __future__ import annotations

import ast
from pathlib import Path

import filterd.wire

FOLDER = Path(filterd.wire.__file__).parent


def test_dnslib_builds_answers_made_here_and_reads_nothing():
    """Unsafe on hostile input, so one module only, and only what packs."""
    found = {}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dnslib"):
                found.setdefault(path.name, set()).update(alias.name for alias in node.names)
            assert not (isinstance(node, ast.Import) and any(a.name.startswith("dnslib") for a in node.names))
    assert found == {"synthesis.py": {"SOA", "DNSBuffer"}}


def test_the_map_of_the_room_names_functions_that_exist():
    from filterd.wire import answer, query, stored, synthesis  # noqa: PLC0415

    text = filterd.wire.__doc__ or ""
    modules = {"answer": answer, "query": query, "stored": stored, "synthesis": synthesis}
    mentioned = [word.strip("(),`") for word in text.split() if "." in word.strip("(),`.")]
    assert len(mentioned) >= 6
    for word in mentioned:
        module, name = word.split(".")
        assert hasattr(modules[module], name), word

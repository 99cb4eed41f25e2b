"""R21: a damaged index never takes the school's internet down; the policy says what happens instead."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

import pytest
from _ask import ask
from _programs import until


def versions(filterd):
    return sorted(entry for entry in (filterd.state / "lists").iterdir() if entry.name[0].isdecimal())


def cut(version):
    os.truncate(version / "index.mdb", 100)


@contextmanager
def no_compilation(filterd):
    """Hold the compiler's lock, or the damage is mended before it is seen."""
    with (filterd.state / "lists" / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def close_without_lists(papers):
    text = papers.baseline.read_text()
    assert "without_lists: open" in text
    papers.baseline.write_text(text.replace("without_lists: open", "without_lists: closed"))


@pytest.fixture
def ended(start, papers, unbound):
    """A filter that ran once, and ended."""
    filterd = start(papers.config(unbound.server))
    assert ask(filterd.v4, "casino.example").blocked
    assert filterd.end() == 0
    return filterd


@pytest.mark.parametrize("closed", [False, True])
def test_r21_no_list_can_be_read(start, papers, unbound, ended, closed):
    if closed:
        close_without_lists(papers)
    for version in versions(ended):
        cut(version)
    with no_compilation(ended):
        filterd = start(papers.config(unbound.server), folder=ended.folder)
        assert filterd.logged("no_lists")
        answer = ask(filterd.v4, "mektep.example")
        if closed:
            assert (answer.rcode, answer.errors[0][0]) == ("SERVFAIL", 14)
        else:
            assert sorted(answer.data) == ["198.51.100.1", "198.51.100.2"]
        assert ask(filterd.v4, "ruled.example").blocked, "rules by name hold without lists"
        assert ask(filterd.v4, "open.casino.example").data == ["203.0.113.67"], "what a rule opens is open"


def test_r21_a_damaged_index_is_compiled_anew(start, papers, unbound, ended):
    for version in versions(ended):
        cut(version)
    filterd = start(papers.config(unbound.server), folder=ended.folder)
    until(lambda: ask(filterd.v4, "casino.example").blocked, "lists compiled anew")
    assert ask(filterd.v4, "mektep.example").rcode == "NOERROR"


def test_r21_an_older_version_serves_when_the_newest_cannot_be_read(start, papers, unbound, ended):
    papers.write_list("games", "arcade.example", "new.arcade2.example")
    assert ended.run("lists", "compile").returncode == 0
    older, newest = versions(ended)
    cut(newest)
    with no_compilation(ended):
        filterd = start(papers.config(unbound.server), folder=ended.folder)
        assert ask(filterd.v4, "casino.example").blocked
        assert not ask(filterd.v4, "new.arcade2.example").blocked
        assert filterd.logged("dns_ready")[0]["index"] == older.name

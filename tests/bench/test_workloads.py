from __future__ import annotations

from collections import Counter

from harness import workloads
from harness.workloads import Asked, make_workloads, read_asked

ALLOWED = [f"good{number}.kz" for number in range(50)]
BLOCKED = [f"bad{number}.kz" for number in range(50)]


def flags(lines):
    return Counter(line.split()[2] for line in lines)


def test_a_third_of_the_hits_is_blocked_and_the_first_name_is_the_most_frequent():
    lines = workloads.hits(ALLOWED, BLOCKED, 2000)
    assert flags(lines) == {"a": 1400, "b": 600}
    names = Counter(line.split()[0] for line in lines)
    assert names["good0.kz"] > 3 * names["good9.kz"]
    assert {line.split()[1] for line in lines} == {"A", "AAAA", "HTTPS"}


def test_two_runs_ask_the_same():
    assert workloads.hits(ALLOWED, BLOCKED, 500) == workloads.hits(ALLOWED, BLOCKED, 500)
    assert workloads.morning(ALLOWED, BLOCKED, 500) == workloads.morning(ALLOWED, BLOCKED, 500)


def test_the_morning_has_blocked_fresh_and_edns_questions():
    found = flags(workloads.morning(ALLOWED, BLOCKED, 5000))
    assert set(found) == {"a", "ae", "au", "aue", "b", "be"}
    assert 0.1 < (found["b"] + found["be"]) / 5000 < 0.3


def test_listed_and_special_names_are_not_asked_as_allowed(tmp_path):
    (tmp_path / "knot-bench_lru_set1.tsv").write_text(
        "b.kz.\nA.kz.\na.kz.\nwww.bad.kz.\nx.local.\n1.in-addr.arpa.\na.root-servers.net.\n"
    )
    (tmp_path / "web-requests-2019.tsv").write_text("c.kz\tc.kz\tdocument\nbad.kz\tc.kz\tscript\n")
    asked = read_asked(tmp_path, frozenset({"bad.kz"}))
    assert asked == Asked(("a.kz", "b.kz"), ("c.kz",))


def test_files(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{name}\n" for name in BLOCKED))
    files = make_workloads(tmp_path / "asked", names, Asked(tuple(ALLOWED), tuple(ALLOWED)))
    assert files.listed_name == "bad0.kz"
    assert files.allowed_name == "good0.kz"
    hits = files.hits.read_text().splitlines()
    assert set(files.warm.read_text().splitlines()) == set(hits)
    assert all(len(line.split()) == 2 for line in files.dnsperf.read_text().splitlines())
    assert flags(files.verify.read_text().splitlines())["b"] == len(BLOCKED)
    assert files.file("blocked") == files.blocked
    assert files.file("rate-100") == files.hits

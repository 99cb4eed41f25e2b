from __future__ import annotations

from harness.stats import Sample, Step, pick, ratio, rotated, schedule, spread


def test_spread():
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high, found.count, found.percent) == (2.0, 1.0, 3.0, 3, 50.0)
    assert spread([]) is None
    assert spread([0.0]).percent == 0.0


def test_ratios_are_taken_within_a_round():
    ours, theirs = {0: 10.0, 1: 40.0, 2: 5.0}, {0: 5.0, 1: 20.0, 3: 1.0}
    assert ratio(ours, theirs).median == 2.0
    assert ratio(ours, {}) is None
    assert ratio({0: 1.0}, {0: 0.0}) is None


def test_pick():
    samples = [
        Sample(10, "a", "hits", 0, {"qps": 1.0}),
        Sample(10, "a", "hits", 1, {"qps": 2.0}),
        Sample(10, "a", "misses", 0, {"qps": 3.0}),
        Sample(20, "a", "hits", 0, {"qps": 4.0}),
        Sample(10, "b", "hits", 0, {}),
    ]
    assert pick(samples, 10, "a", "hits", "qps") == {0: 1.0, 1: 2.0}
    assert pick(samples, 10, "b", "hits", "qps") == {}


def test_every_round_begins_with_another_peer():
    assert [rotated("abc", number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert rotated([], 3) == []


def test_peers_alternate_within_a_workload_when_all_are_kept():
    steps = schedule(["a", "b"], ["hits", "misses"], 2, kept=True)
    assert steps[:4] == [Step(0, p, w) for w in ("hits", "misses") for p in "ab"]
    assert [step.peer for step in steps[4:]] == ["b", "a", "b", "a"]


def test_workloads_follow_each_other_when_one_peer_fits_at_a_time():
    steps = schedule(["a", "b"], ["hits", "misses"], 1, kept=False)
    assert steps == [Step(0, p, w) for p in "ab" for w in ("hits", "misses")]

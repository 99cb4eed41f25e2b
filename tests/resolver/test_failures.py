from __future__ import annotations

import pytest

from filterd.resolver import failures as module
from filterd.resolver.cache import Key
from filterd.resolver.failures import Failures

KEY = Key(0, b"\x03www\x00", 1, 1, 0)


def test_9520_each_further_failure_doubles_the_wait_up_to_the_cap():
    failures = Failures(10)
    now, waits = 0.0, []
    for _ in range(6):
        failure = failures.add(KEY, 2, None, now)
        waits.append(failure.until - now)
        now = failure.until
    assert waits == [1, 2, 4, 8, 10, 10]


def test_9520_at_least_a_second_and_at_most_five_minutes():
    assert module.FIRST >= 1
    failures, now = Failures(300), 0.0
    for _ in range(20):
        now = failures.add(KEY, 2, None, now).until
    last = failures.add(KEY, 2, None, now)
    assert last.until - now == 300


def test_a_failure_is_known_until_its_time_is_over():
    failures = Failures(30)
    failure = failures.add(KEY, 5, (22, "x"), 0.0)
    assert failures.get(KEY, 0.999) is failure
    assert failures.get(KEY, 1.0) is None
    assert failures.get(KEY._replace(bits=1), 0.0) is None


@pytest.mark.parametrize("end", ["forget", "clear"])
def test_an_answer_or_a_recovery_forgets_it(end):
    failures = Failures(30)
    failures.add(KEY, 2, None, 0.0)
    failures.forget(KEY) if end == "forget" else failures.clear()
    assert failures.get(KEY, 0.0) is None
    assert failures.add(KEY, 2, None, 0.0).until == 1.0


def test_an_old_failure_is_forgiven():
    failures = Failures(30)
    failures.add(KEY, 2, None, 0.0)
    assert failures.add(KEY, 2, None, 1000.0).until == 1001.0


def test_the_table_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 10)
    failures = Failures(30)
    for number in range(50):
        failures.add(KEY._replace(qtype=number), 2, None, 0.0)
    assert len(failures) == 10
    assert failures.evicted == 40

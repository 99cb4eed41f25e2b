from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.events import outboxrows
from filterd.events.batch import Delivery
from filterd.events.delivery import (
    FAR_SECONDS,
    MAX_RETRY_AFTER,
    NEAR_SECONDS,
    Answer,
    Reply,
    Size,
    backoff,
    compose,
    divide,
    judge,
    pause,
    retry_after,
)
from filterd.events.outboxreader import StoredBatch

NOW = 1_760_000_000.0  # Thu, 09 Oct 2025 08:53:20 GMT


def test_what_is_composed_is_a_delivery(event, health):
    ((payload, _),) = outboxrows.payloads([event("a.kz"), event('quoted\\"name.kz')])
    body = compose(
        box="box-1",
        school="school-1",
        stream="0a" * 16,
        batches=[StoredBatch(3, payload), StoredBatch(9, b'{"events":[],"usage":[]}')],
        health=health,
    )
    delivery = Delivery.model_validate_json(body)
    assert [batch.sequence for batch in delivery.batches] == [3, 9]
    assert [one.name for one in delivery.batches[0].events] == ["a.kz", 'quoted\\"name.kz']
    assert (delivery.box, delivery.school, delivery.health) == ("box-1", "school-1", health)


def test_an_empty_delivery_is_one():
    body = compose(box="b", school="s", stream="0" * 32, batches=[], health=None)
    assert Delivery.model_validate_json(body).batches == []


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, Answer.STORED),
        (400, Answer.BAD_CONTENT),
        (413, Answer.BAD_CONTENT),
        (422, Answer.BAD_CONTENT),
        (401, Answer.NOT_ALLOWED),
        (403, Answer.NOT_ALLOWED),
        (0, Answer.LATER),
        (408, Answer.LATER),
        (429, Answer.LATER),
        (500, Answer.LATER),
        (503, Answer.LATER),
        (204, Answer.WRONG_PLACE),
        (301, Answer.WRONG_PLACE),
        (404, Answer.WRONG_PLACE),
        (405, Answer.WRONG_PLACE),
        (415, Answer.WRONG_PLACE),
    ],
)
def test_what_a_status_means(status, answer):
    assert judge(status) is answer


@given(st.integers(0, 999))
def test_only_refused_content_ever_leads_to_putting_apart(status):
    assert (judge(status) is Answer.BAD_CONTENT) == (status in {400, 413, 422})


def test_the_wait_grows_has_a_cap_and_is_spread():
    random = Random(1)
    tops = [max(backoff(n, base=0.5, cap=60, random=random) for _ in range(500)) for n in range(1, 12)]
    assert all(top <= min(60, 0.5 * 2**n) for n, top in enumerate(tops))
    assert 50 < tops[-1] <= 60
    assert min(backoff(9, base=0.5, cap=60, random=random) for _ in range(500)) < 2
    assert backoff(10**6, base=0.5, cap=60, random=random) <= 60


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        (" 120 ", 120),
        ("999999999999999999999", MAX_RETRY_AFTER),
        ("-3", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("Thu, 09 Oct 2025 08:54:20 GMT", 60),
        ("Thu, 09 Oct 2025 08:54:20 -0000", 60),
        ("Thu, 09 Oct 2025 08:00:00 GMT", 0),
        ("Thu, 09 Oct 2125 08:00:00 GMT", MAX_RETRY_AFTER),
        ("Thu, 99 Oct 2025 08:00:00 GMT", 0),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_retry_after_survives_any_text(value):
    assert 0 <= retry_after(value, NOW) <= MAX_RETRY_AFTER


batches = st.lists(st.integers(1, 10**6), min_size=2, max_size=64, unique=True).map(
    lambda numbers: [StoredBatch(number, b"{}") for number in sorted(numbers)]
)


@given(batches, st.binary() | st.integers().map(lambda n: json.dumps({"sequence": n}).encode()))
def test_divided_parts_are_smaller_and_lose_nothing(found, problem):
    first, second = divide(found, problem)
    assert sorted([*first, *second]) == found
    assert len(first) < len(found)
    assert len(second) < len(found)


@given(batches, st.data())
def test_a_named_batch_is_divided_off(found, data):
    culprit = data.draw(st.sampled_from(found))
    first, _ = divide(found, json.dumps({"sequence": culprit.sequence}).encode())
    assert list(first) == [culprit]


def test_a_reply_in_one_line():
    assert Reply(422, b"no good \xff").detail == "422 no good \ufffd"
    assert Reply(0, note="ConnectionError: refused").detail == "ConnectionError: refused"


MIB = 1024 * 1024


def test_requests_shrink_on_a_slow_line_and_grow_again():
    size = Size(8192, MIB, 30.0)
    size.learn(30.0, 300_000, answered=False)  # timed out
    assert size.bytes == 150_000
    size.learn(20.0, 150_000, answered=True)  # it took long
    assert size.bytes == 75_000
    size.learn(10.0, 75_000, answered=True)  # as it should be on a slow line
    assert size.bytes == 75_000
    size.learn(0.1, 70_000, answered=True)
    assert size.bytes == 150_000
    for _ in range(9):
        size.learn(0.1, size.bytes, answered=True)
    assert size.bytes == MIB


def test_a_refused_connection_and_a_small_report_say_nothing_of_the_line():
    size = Size(8192, MIB, 30.0)
    size.learn(0.001, MIB, answered=False)
    size.learn(30.0, 0, answered=False)  # health alone
    assert size.bytes == MIB
    size.learn(30.0, MIB, answered=False)
    size.learn(0.1, 100, answered=True)
    assert size.bytes == MIB // 2


def test_requests_never_shrink_below_the_least():
    size = Size(8192, MIB, 30.0)
    for _ in range(30):
        size.learn(30.0, size.bytes, answered=False)
    assert size.bytes == 8192


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:8053", True),
        ("http://[::1]:8053/x", True),
        ("http://localhost:8053", True),
        ("https://monitor.example.kz", False),
        ("http://192.0.2.1:8053", False),
    ],
)
def test_what_goes_to_an_endpoint_of_many_is_gathered_longer(url, near):
    assert pause(url) == (NEAR_SECONDS if near else FAR_SECONDS)

from __future__ import annotations

import threading

from filterd.events.recorder import Recorder


def test_taken_in_order_and_only_once(lookup):
    recorder = Recorder()
    first, second = lookup("a.example.kz"), lookup("b.example.kz")
    recorder.blocked(*first)
    recorder.blocked(*second)
    assert recorder.take() == [first, second]
    assert recorder.take() == []


def test_a_lookup_over_the_bound_is_dropped_and_counted(lookup):
    recorder = Recorder(max_pending=2)
    for _ in range(5):
        recorder.blocked(*lookup())
    assert (len(recorder), recorder.dropped) == (2, 3)
    recorder.take()
    recorder.blocked(*lookup())
    assert (len(recorder), recorder.dropped) == (1, 3)


def test_counts_are_what_came_since_the_last_take():
    recorder = Recorder()
    recorder.count("class-7a", "middle", "", "allowed")
    recorder.count("class-7a", "middle", "", "allowed", 41)
    recorder.count("class-7a", "middle", "games", "blocked")
    assert recorder.take_counts() == {
        ("class-7a", "middle", "", "allowed"): 42,
        ("class-7a", "middle", "games", "blocked"): 1,
    }
    assert recorder.take_counts() == {}
    recorder.count("class-7a", "middle", "", "allowed")
    assert recorder.take_counts() == {("class-7a", "middle", "", "allowed"): 1}


def test_a_new_count_over_the_bound_is_dropped_and_counted():
    recorder = Recorder(max_counts=1)
    recorder.count("a", "middle", "", "allowed", 2)
    recorder.count("b", "middle", "", "allowed", 3)
    recorder.count("a", "middle", "", "allowed", 4)
    assert recorder.take_counts() == {("a", "middle", "", "allowed"): 6}
    assert recorder.dropped_counts == 3


def test_nothing_is_lost_or_doubled_while_one_thread_records_and_another_takes(lookup):
    recorder = Recorder(max_pending=10**9)
    total = 200_000
    one = lookup()
    taken: list[object] = []
    counted = 0
    done = threading.Event()

    def record() -> None:
        for number in range(total):
            recorder.blocked(*one)
            recorder.count("g", "t", str(number % 50), "blocked")
        done.set()

    thread = threading.Thread(target=record)
    thread.start()
    while not done.is_set():
        taken += recorder.take()
        counted += sum(recorder.take_counts().values())
    thread.join()
    taken += recorder.take()
    counted += sum(recorder.take_counts().values())
    assert (len(taken), counted) == (total, total)


def test_many_at_once_are_bounded_like_one_by_one(lookup):
    recorder = Recorder(max_pending=3)
    recorder.extend([lookup("a.kz"), lookup("b.kz")])
    recorder.extend([lookup("c.kz"), lookup("d.kz")])
    recorder.extend([lookup("e.kz")])
    assert (recorder.take(), recorder.dropped) == ([lookup("a.kz"), lookup("b.kz"), lookup("c.kz")], 2)


def test_a_cell_counts_like_count(lookup):
    recorder = Recorder(max_counts=1)
    cell = recorder.cell("a", "middle", "", "allowed")
    cell[0] += 2
    recorder.count("a", "middle", "", "allowed")
    assert recorder.take_counts() == {("a", "middle", "", "allowed"): 3}
    cell[0] += 4
    recorder.cell("b", "middle", "", "allowed")[0] += 7
    assert recorder.take_counts() == {("a", "middle", "", "allowed"): 4}
    assert recorder.dropped_counts == 7

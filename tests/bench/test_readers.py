"""What is read from other programs and from /proc."""

from __future__ import annotations

import os
import socket

import pytest
from harness import load, memory, process, profile_count, samples, tools

SMAPS = """\
5600-5700 r--p 00000000 08:01 12   /usr/bin/x
Rss:                 100 kB
Shared_Clean:         60 kB
Private_Clean:        30 kB
Private_Dirty:        10 kB
VmFlags: rd mr
7f00-7f10 rw-p 00000000 00:00 0
Rss:                2048 kB
Private_Dirty:      2048 kB
Private_Hugetlb:      99 kB
7f20-7f30 r--s 00000000 08:01 13   /var/lib/state dir/index.mdb
Rss:                1024 kB
Private_Clean:      1024 kB
"""


def test_smaps():
    found = list(memory.parse_smaps(SMAPS.splitlines()))
    assert found == [
        ("/usr/bin/x", 100, 40, 60),
        ("", 2048, 2048, 0),
        ("/var/lib/state dir/index.mdb", 1024, 1024, 0),
    ]


def test_memory_of_this_process_and_of_none():
    assert memory.memory_of([os.getpid()]).private > 1
    assert memory.memory_of([]).private == 0


def test_dnsperf():
    text = " Queries completed: 99\n Run time (s): 2.5\n Queries lost: 3 (0.1%)\n"
    text += " Queries per second: 12345.6\n Average Latency (s): 0.00012 (min 0)\n"
    assert load.parse_dnsperf(text) == {
        "qps": 12345.6, "answered": 99.0, "seconds": 2.5, "lost": 3.0, "mean_us": pytest.approx(120),
    }  # fmt: skip
    with pytest.raises(load.LoadFailed):
        load.parse_dnsperf("Error: no")


@pytest.mark.parametrize(("text", "cores"), [("0", {0}), ("0,2", {0, 2}), ("1-3", {1, 2, 3})])
def test_cores(text, cores):
    assert process.core_set(text) == cores


def test_cpu_time_of_this_process():
    assert process.cpu_seconds(os.getpid()) > 0
    assert process.cpu_seconds(2**22 + 1) == 0
    assert process.core_seconds(0) > 0


HEAD = b"ab\x81"
NAME = b"\x01a\x00\x00\x01\x00\x01"


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (HEAD + b"\x83\0\1\0\0\0\0\0\0" + NAME, True),
        (HEAD + b"\x85\0\1\0\0\0\0\0\0" + NAME, True),
        (HEAD + b"\x82\0\1\0\0\0\0\0\0" + NAME, False),
        (HEAD + b"\x80\0\1\0\0\0\0\0\0" + NAME, True),
        (HEAD + b"\x80\0\1\0\1\0\0\0\0" + NAME + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\0\0\0\0", True),
        (HEAD + b"\x80\0\1\0\1\0\0\0\0" + NAME + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4", False),
        (None, False),
    ],
)
def test_what_counts_as_blocked(packet, expected):
    assert process.blocked(packet) is expected


def test_stacks():
    stacks = [
        {
            "stack": [["/x/main/filterd/server/fast.py", "serve", 7], ["/x/main/filterd/a.py", "main", 1]],
            "count": 3,
        },
        {
            "stack": [["/usr/lib/python3.11/selectors.py", "select", 9], ["/x/main/filterd/a.py", "main", 1]],
            "count": 1,
        },
        {"stack": [], "count": 1},
    ]
    found = samples.read(stacks)
    assert found.total == 5
    assert found.own == {"filterd/server/fast.py:serve": 3, "python3.11/selectors.py:select": 1}
    assert found.under["filterd/a.py:main"] == 4
    assert samples.top(found.own, found.total, 10.0, 1) == [["filterd/server/fast.py:serve", "60.0%", "6.00"]]


def test_paths_are_shortened():
    assert samples.short("/v/lib/python3.11/site-packages/lmdb/cffi.py") == "lmdb/cffi.py"
    assert samples.short("<string>") == "<string>"


def test_callgrind_dump():
    assert profile_count.instructions("summary: 0\ntotals: 0\npart: 2\ntotals: 1234\n") == 1234
    with pytest.raises(load.LoadFailed):
        profile_count.instructions("nothing")


def test_a_port_that_is_taken_is_noticed():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(process.StartFailed, match="is taken"):
            process.check_free(other.getsockname()[1])


def test_one_bench_at_a_time(tmp_path):
    with tools.alone(tmp_path), pytest.raises(tools.Missing, match="another bench"), tools.alone(tmp_path):
        pass

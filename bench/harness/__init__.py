"""Side-by-side measurement of DNS filters on one machine: ``bench/compare`` and ``bench/profile``.

    names.py      the lists: real names first, then names derived from them, the same for every peer
    workloads.py  what is asked: hits, misses, a school morning; each question says what its answer must be
    tools.py      makes the C programs of ../src, installs Debian packages, builds the Go peers
    peers/        how each server is configured, started and told the list; one value a peer
    process.py    a server on its core: start, freeze, stop; its CPU time
    memory.py     its memory: private, shared, mapped
    load.py       runs the load generator or dnsperf and reads what they print
    runner.py     one list size: verify, start, rounds; every figure becomes a Sample
    stats.py      medians, spreads, ratios
    report.py     tables and JSON;  svg.py, plots.py  pictures
    compare.py    the command

A server that answers wrongly is shown as broken and never ranked; one that cannot be had is shown as absent
with the reason. Nothing here imports ``filterd``: it is started as everyone else is.
"""

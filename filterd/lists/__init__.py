"""Lists: from text that others publish to one index that the rules read.

    papers.py      where the lists of a box stand and which it takes
    catalogue.py   which lists exist (blocklists/sources.yaml), and the sets they are chosen by
    exceptions.py  sites that people freed or blocked
    gathering.py   what is compiled on this box: chosen lists with their texts, exceptions

    rule.py        what a line says, or why it says nothing
    formats/       one parser a format: bytes in, Rule or Rejected out; a bad line never ends a list
    guard.py       names that no list may hold unless its entry says so: public suffixes, whole TLDs
    reading.py     a list with its text -> rules and checksum

    fetch.py       one file over HTTPS: conditional, resumed, bounded; addresses, resolving, partfile
    archive.py     what was fetched -> the texts in it, as a stream; unpacking.py writes them
    scan.py        a copy read once: how much is in it, what it says of names that matter
    gate.py        what a copy and an index must show before use; guarding, limits, popular
    shelf.py       the fetched copies: the last good one, the refused one, and why
    update.py      all of that for all lists
    status.py      how each list stands

    compile.py     lists -> one LMDB file, in bounded memory: sorting.py, merging.py, building.py
    identity.py    what makes one index another: checksums, versions
    report.py      what a compilation tells, as JSON
    worker.py      a compilation in a process of its own, with low priority
    activate.py    versions beside each other, one of them current, switched at once
    history.py     what was activated, refused and rolled back, by whom
    staged.py      compile, gate, switch, watch, keep or go back

    bundle.py      policy and lists of a region in one signed file; signing, bundlestore, bundlefetch
    hygiene.py     what lists are worth
    showing.py     what `filterd lists show` and `filterd lists find` tell
    checking.py    whether lists kept by people are in order

A process that answers queries imports activate.py alone, to learn which index is current; nothing here runs
inside the DNS loop.
"""

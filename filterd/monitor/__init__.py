"""The monitoring endpoint: what the boxes of one or many schools send, kept and shown.

One delivery's way: ``web`` receives it, ``access`` tells which box posts, ``ingest`` turns bytes into checked
batches and these into rows (pure up to here), and stores them with their sequence numbers in one transaction
of ``store``; only then the box is told to forget them. ``upkeep`` sums days up by the pure functions of
``patterns``, forgets in time and makes partitions; ``metrics`` shows what is stored; ``service`` ties them to
sockets.

Never imports resolver/, server/ or lists/: with this endpoint gone, DNS goes on.
"""

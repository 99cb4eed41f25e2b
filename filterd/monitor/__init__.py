"""The monitoring endpoint: what the boxes of one or many schools send, kept and shown.

One delivery's way: ``web`` receives it, ``auth`` tells which box posts, ``decode`` turns bytes into checked
batches, ``rows`` turns batches into rows (all pure up to here), ``ingest`` stores them and their sequence
numbers in one transaction of ``store``, and only then the box is told to forget them. ``metrics`` and
``listing`` read what is stored; ``retention`` forgets it in time; ``service`` ties them to sockets.

Never imports resolver/, server/ or lists/: with this endpoint gone, DNS goes on.
"""

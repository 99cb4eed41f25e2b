"""From a blocked lookup to the monitoring endpoint: recorded, collapsed, kept on disk, shipped.

    Recorder ──take──► collapse ──► Writer ──commit──► Outbox ◄──read, forget── Shipper ──POST──► endpoint
    (DNS loop)         (pure)       (thread)           (SQLite)                 (another process)

A batch is known for ever by (box, stream, sequence): the outbox forgets it only when the endpoint says that
it is stored, and the endpoint stores each once. Nothing here ever makes the DNS loop wait; what cannot be
kept is dropped and counted. Only blocked lookups are recorded by name, allowed traffic only as counts, and
no address or MAC goes beyond the recorder: a device is a pseudonym from there on.
"""

"""filterd: a content-filtering DNS proxy for schools.

Rooms, imports run downwards only (a test holds it):

    cli, app          commands; the composition root
    config            YAML -> frozen values
    server | monitor  listeners and workers | the monitoring endpoint
    resolver | events | lists
    rules             question + view + index -> verdict; pure
    wire              bytes <-> question and answer; pure
    errors            the exception tree
"""

__version__ = "0.1.0"

"""The composition root: builds the rooms' objects from a configuration and connects them; holds no rules.

prepare      state folder, secrets, verified policy, compiled index
run          the supervisor process: sockets, children, shipper
worker       the DNS process (python -m filterd.app.worker)
endpoint     the monitoring endpoint's process (python -m filterd.app.endpoint)
logs         one way to log for all processes
encrypted    files that encrypted DNS needs, checked; its part of the status
explanation  what `filterd explain` tells
selftest     what `filterd selftest` asks; selftestlog keeps it as evidence
lists*       updates, status, report and bundles of lists, for the commands; boxhealth tells of them
"""

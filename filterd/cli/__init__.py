"""The command ``filterd``: parses arguments, calls the composition root, prints; holds no logic.

root      the group, options shared by commands, errors as one line
serving   run, serve, monitor
asking    check, explain, status, reload
selftest  selftest
lists     lists compile, show, find
listsupdating  lists update, status, accept, activate, rollback, history, exceptions, report
bundle    bundle keygen, build, sign, verify, apply, show
policy    policy show, test, diff, simulate, schema
policychanges  policy override, log, undo
report   report monthly, yearly, list, sign
boxes     box add, rotate, revoke, list
schools   school import, list, set; fact set, list
cases     review list, grant, refuse; case export, notify
kibernadzor  kibernadzor add, candidates, list, set, export
auditing  audit show, verify, heads
"""

from filterd.cli.root import main

__all__ = ["main"]

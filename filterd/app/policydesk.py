"""Every change of the policy of a running filter passes here: verified, kept, logged, then put in force.

Reload, undo and overrides alike. A change that cannot be logged is not made (R6); only at a start does
serving go before the log. Blocking: the supervisor calls it in a thread, one call at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import structlog

from filterd.app.policyfiles import Draft, draft, in_force, keep, kept, switch, version_in_force, versions
from filterd.app.policylog import Asked, PolicyLog
from filterd.app.policyoverrides import MAX_OVERRIDES, OverrideStore, asked_for
from filterd.config.load import Config
from filterd.config.paths import StatePaths
from filterd.errors import FilterdError, PolicyError, StartError
from filterd.lists import activate
from filterd.rules.decide import permit
from filterd.rules.index import Index
from filterd.rules.overrides import Override, check
from filterd.rules.policy import Policy
from filterd.rules.verdict import Reason
from filterd.wire import names

log = structlog.get_logger(__name__)

_UNDONE = "undone"


class PolicyDesk:
    """Changes the policy in a state folder and tells what was changed.

    Args:
        state: the folder.
        clock: UTC seconds.

    Attributes:
        policy: in force, overrides apart; None before :meth:`start`.
        refused: why the configured policy is not the one in force; empty when it is.
    """

    def __init__(self, state: StatePaths, clock: Callable[[], float] = time.time) -> None:
        self._folder = state.policies
        self._lists = state.lists
        self._log = PolicyLog(state.policy_log)
        self._overrides = OverrideStore(state.overrides)
        self._clock = clock
        self.policy: Policy | None = None
        self.refused = ""

    def start(self, config: Config, asked: Asked) -> Policy:
        """Put the configured policy in force; if it is wrong, or was undone, the last one stays.

        Raises:
            FilterdError: it is wrong, and there is none to fall back on.
        """
        try:
            made = draft(config)
        except FilterdError as error:
            return self._stay(str(error), error)
        if self._undone() == made.policy.version:
            return self._stay(f"version {made.policy.version} was undone; `filterd reload` takes it again")
        return self._activate(made, "start", asked, must_log=False)

    def reload(self, config: Config, asked: Asked) -> Policy:
        """Put the configured policy in force.

        Raises:
            FilterdError: it is wrong or cannot be kept or logged; the one before stays in force.
        """
        try:
            return self._activate(draft(config), "reload", asked)
        except FilterdError as error:
            self.refused = str(error)
            raise

    def undo(self, asked: Asked, to: str = "") -> Policy:
        """Put an earlier version in force: the one before the last change, or a given one.

        It stays through restarts until a reload takes the configured files again.

        Raises:
            FilterdError: there is none, it is not kept any more, or it cannot be logged.
        """
        now = version_in_force(self._folder)
        target = self._named(to) if to else self._before(now)
        policy = kept(self._folder, target)
        if target == now:
            raise PolicyError(f"version {target} is in force already", remedy="see `filterd policy log`")
        self._add(asked, "undo", now, target)
        self._switch(target)
        (self._folder / _UNDONE).write_text(now, "ascii")
        self.policy, self.refused = policy, f"version {now} was undone"
        return policy

    def overrides(self) -> list[dict[str, Any]]:
        """Return the overrides that hold, as plain data with a few words each."""
        return [{**asdict(one), "text": one.text} for one in self._overrides.active(self._clock())]

    def add_override(self, given: Mapping[str, Any], asked: Asked) -> Override:
        """Give an override.

        Raises:
            FilterdError: not understood, locked, given already, too many, or it cannot be logged.
        """
        now = self._clock()
        policy = self._serving()
        active = self._overrides.active(now)
        number = next((change.number for change in self._log.newest()), 0) + 1
        made = asked_for(dict(given), number, zone=policy.zone, now=now, author=asked.who, reason=asked.why)
        check(made, {group: policy.view(group, now) for group in policy.groups})
        self._check_lists(made, policy, now)
        same = [one for one in active if _about(one) == _about(made)]
        if same:
            raise PolicyError(
                f"override {same[0].id} says that or its opposite already", remedy="end that one first"
            )
        if len(active) >= MAX_OVERRIDES:
            raise PolicyError(f"there are {MAX_OVERRIDES} overrides", remedy="end some of them")
        self._add(asked, "override_add", policy.version, policy.version, asdict(made))
        self._overrides.write([*active, made])
        return made

    def end_override(self, number: int, asked: Asked) -> Override:
        """End an override early.

        Raises:
            FilterdError: there is none with this number, or it cannot be logged.
        """
        active = self._overrides.active(self._clock())
        found = next((one for one in active if one.id == number), None)
        if found is None:
            raise PolicyError(f"no override {number} holds now", remedy="see `filterd policy override list`")
        version = self._serving().version
        self._add(asked, "override_end", version, version, asdict(found))
        self._overrides.write([one for one in active if one is not found])
        return found

    def _serving(self) -> Policy:
        if self.policy is None:
            raise PolicyError("no policy is in force yet", remedy="try again in a moment")
        return self.policy

    def _check_lists(self, made: Override, policy: Policy, now: float) -> None:
        """Refuse to promise a name that a locked category keeps blocked."""
        path = activate.current(self._lists)
        if made.kind != "name" or not made.allow or path is None:
            return
        trial, name = policy.under([made]), names.from_text(made.value)
        index = Index.open(path)
        try:
            for group in policy.groups:
                if made.concerns(group):
                    verdict = permit(name, trial.view(group, now), index)
                    if verdict.blocked and verdict.reason is Reason.LOCKED:
                        raise PolicyError(
                            f"{made.value!r} is in the locked category {verdict.category!r} ({group})",
                            remedy="no override lifts a lock; if the list is wrong, tell who keeps it",
                        )
        finally:
            index.close()

    def _activate(self, made: Draft, what: str, asked: Asked, *, must_log: bool = True) -> Policy:
        before = version_in_force(self._folder)
        version = made.policy.version
        keep(self._folder, made)
        if version != before:
            try:
                self._add(asked, what, before, version)
            except StartError as error:
                if must_log:
                    raise
                log.error("policy_log_failed", error=str(error))  # noqa: TRY400 - the line says all
        self._switch(version)
        (self._folder / _UNDONE).unlink(missing_ok=True)
        self.policy, self.refused = made.policy, ""
        return made.policy

    def _stay(self, why: str, error: FilterdError | None = None) -> Policy:
        try:
            self.policy = in_force(self._folder)
        except FilterdError as damaged:
            raise (error or damaged) from damaged
        self.refused = why
        log.error("policy_refused", error=why, serving=self.policy.version)
        return self.policy

    def _switch(self, version: str) -> None:
        try:
            switch(self._folder, version)
        except OSError as error:
            raise StartError(
                f"cannot put the policy in force: {error.strerror}", remedy="check the disk"
            ) from error

    def _add(
        self, asked: Asked, what: str, old: str, new: str, more: Mapping[str, Any] | None = None
    ) -> None:
        self._log.add(asked, what, old=old, new=new, at=self._clock(), more=more)

    def _undone(self) -> str:
        try:
            return (self._folder / _UNDONE).read_text("ascii")
        except OSError:
            return ""

    def _named(self, text: str) -> str:
        found = [one for one in versions(self._folder) if one.startswith(text)]
        if len(found) != 1:
            raise PolicyError(f"{text!r} names {len(found)} kept versions", remedy="see `filterd policy log`")
        return found[0]

    def _before(self, now: str) -> str:
        for change in self._log.newest():
            if change.new == now and change.old not in ("", now):
                return change.old
        raise PolicyError("there is no version before this one", remedy="see `filterd policy log`")


def _about(override: Override) -> tuple[str, str, str]:
    return override.group, override.kind, override.value

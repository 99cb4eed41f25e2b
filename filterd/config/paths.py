"""Where things are: the state folder of this box, and the lists and policies that come with filterd."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from filterd.errors import StartError


def shipped(*parts: str) -> Path:
    """Return the path of a shipped file: beside the package in a checkout, else under share/filterd.

    Raises:
        StartError: the installation is incomplete.
    """
    checkout = Path(__file__).resolve().parents[2]
    for base in (checkout, Path(sys.prefix, "share", "filterd")):
        path = base.joinpath(*parts)
        if (base / "blocklists" / "categories.yaml").is_file() and path.exists():
            return path
    raise StartError(f"{'/'.join(parts)} is missing from this installation", remedy="install filterd again")


def default_state() -> Path:
    """Return ``/var/lib/filterd`` for root, else the user's state folder (XDG)."""
    if os.geteuid() == 0:
        return Path("/var/lib/filterd")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "filterd"


@dataclass(frozen=True, slots=True)
class StatePaths:
    """Every file and folder that filterd writes; all below one folder."""

    root: Path

    @property
    def lists(self) -> Path:
        """Compiled indexes, one folder a version, and the link to the current one."""
        return self.root / "lists"

    @property
    def fetched(self) -> Path:
        """Fetched lists, one folder a list."""
        return self.root / "fetched"

    @property
    def bundles(self) -> Path:
        """What was taken from signed bundles, and the link to the one in force."""
        return self.root / "bundle"

    @property
    def lists_status(self) -> Path:
        """What the last update of the lists found, as JSON for pages and health."""
        return self.root / "lists.json"

    @property
    def selftests(self) -> Path:
        """Dated evidence of the self-tests, one JSON line each."""
        return self.root / "selftest.jsonl"

    @property
    def outboxes(self) -> Path:
        """The folder of outbox files, one for each DNS process."""
        return self.root / "outbox"

    @property
    def policies(self) -> Path:
        """Policies as they were put in force, one folder a version, and the link to the one in force."""
        return self.root / "policies"

    @property
    def policy_log(self) -> Path:
        """Who changed the policy, when, why: one line a change, each sealed by the next."""
        return self.root / "policy.log.jsonl"

    @property
    def overrides(self) -> Path:
        """The temporary overrides."""
        return self.root / "overrides.json"

    @property
    def control(self) -> Path:
        """The socket by which commands ask the running filter."""
        return self.root / "control.sock"

    @property
    def store(self) -> Path:
        """The endpoint's SQLite store."""
        return self.root / "monitor.sqlite"

    @property
    def box_secret(self) -> Path:
        """The key of pseudonyms and cookies; never leaves the box."""
        return self.root / "box.secret"

    @property
    def release_keys(self) -> Path:
        """Public keys to which identities are sealed; without them none are noted."""
        return self.root / "release.keys"

    @property
    def identities(self) -> Path:
        """Which device a pseudonym is: sealed, never shipped."""
        return self.root / "identities.sqlite"

    @property
    def box_token(self) -> Path:
        """The token by which this box delivers to its own endpoint."""
        return self.root / "box.token"

    @property
    def admin_token(self) -> Path:
        """The token by which an admin asks the endpoint from elsewhere."""
        return self.root / "admin.token"

    def make(self) -> None:
        """Make the folders, for their owner only.

        Raises:
            StartError: not permitted, or something else is there.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.lists, self.outboxes, self.policies):
                folder.mkdir(exist_ok=True, mode=0o700)
            probe = self.root / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StartError(
                f"cannot write to the state folder {self.root}: {error.strerror}",
                remedy="name another with --state, or run as the user it belongs to",
            ) from error

"""The servers that take part: one value each, and how to have them."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import tools
from harness.peers import debian, golang, ours
from harness.peers.base import Peer
from harness.tools import TOP, Missing


def has_workers() -> bool:
    """Return whether the filterd of this checkout has the setting ``workers``."""
    return "workers:" in (TOP / "filterd" / "config" / "model.py").read_text()


def all_peers() -> dict[str, Peer]:
    """Return every peer by name, filterd first."""
    own = [ours.filterd("filterd", 1), ours.filterd("filterd-2", 2)] if has_workers() else []
    own = own or [ours.filterd("filterd", None)]
    peers = (*own, *debian.PEERS, *golang.PEERS, ours.REFLECTOR)
    return {peer.name: peer for peer in peers}


def program_of(peer: Peer, build: Path, *, go: bool) -> str:
    """Return the path of a peer's program, built first where need be.

    Raises:
        Missing: it cannot be had; says why.
    """
    if peer.go is not None:
        if not go:
            raise Missing("building Go peers was switched off (--no-go)")
        return str(tools.go_build(build, peer.go))
    if peer.program == "filterd":
        path = Path(sys.executable).with_name("filterd")
        if not path.exists():
            raise Missing(f"{path} is missing: run the bench with the Python that filterd is installed for")
        return str(path)
    own = build / "bin" / peer.program
    return str(own) if own.exists() else tools.find(peer.program)

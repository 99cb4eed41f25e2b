"""One upstream resolver as we know it: how fast it is, whether it answers, when to ask again.

Numbers only: never owns a socket or a timer; time comes in as an argument.
"""

from __future__ import annotations

import ipaddress
import socket

from filterd.resolver.settings import UpstreamAddress

FIRST_RTO = 0.4  # seconds, while nothing is known
MIN_RTO, MAX_RTO = 0.03, 0.8
DOWN_AFTER = 3  # losses in a row ...
SILENT_FOR = 2.0  # ... and seconds without any answer: one burst of lost packets is no outage
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # between probes of a silent upstream
FORGOTTEN_IN = 60.0  # seconds after which a measured time counts half
UNWILLING_AFTER = 5  # answers in a row that refuse: others go first, but it is not dead


class Upstream:
    """State of one upstream resolver.

    Args:
        address: where it listens.
        number: its index, the same as in the settings: metrics name upstreams by it.
    """

    __slots__ = (
        "address",
        "down",
        "family",
        "lost",
        "number",
        "pause",
        "queries",
        "replies",
        "rttvar",
        "secure",
        "seen_at",
        "sockaddr",
        "srtt",
        "unanswered",
        "unwilling",
    )

    def __init__(self, address: UpstreamAddress, number: int) -> None:
        version = ipaddress.ip_address(address.host).version
        self.address = address
        self.number = number
        self.secure = address.secure  # over an encrypted stream and nothing else
        self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        self.sockaddr = (address.host, address.port)
        self.srtt = 0.0  # 0: nothing measured yet
        self.rttvar = 0.0
        self.unanswered = 0  # in a row
        self.unwilling = 0  # in a row
        self.seen_at = float("-inf")
        self.down = False
        self.pause = FIRST_PAUSE
        self.queries = 0
        self.replies = 0
        self.lost = 0

    @property
    def rto(self) -> float:
        """Seconds to wait before another one is asked as well (RFC 6298, with limits for people waiting)."""
        if not self.srtt:
            return FIRST_RTO
        return min(max(self.srtt + 4 * self.rttvar, MIN_RTO), MAX_RTO)

    def rank(self, now: float) -> tuple[bool, float]:
        """Order of preference: willing, then fast. Old measurements count less, so they are made again."""
        age = max(now - self.seen_at, 0.0) if self.srtt else 0.0
        return self.unwilling >= UNWILLING_AFTER, self.srtt / (1 + age / FORGOTTEN_IN)

    def answered(self, rtt: float, now: float) -> bool:
        """Note an answer; return whether the upstream came back from the dead."""
        self.replies += 1
        if self.srtt:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4
            self.srtt += (rtt - self.srtt) / 8
        else:
            self.srtt, self.rttvar = rtt, rtt / 2
        self.unanswered = 0
        self.seen_at = now
        came_back = self.down
        self.down = False
        self.pause = FIRST_PAUSE
        return came_back

    def lost_one(self, waited: float, now: float) -> bool:
        """Note a query without answer; return whether the upstream counts as down from now on.

        Its round-trip time is not known then, only that it is longer than the wait: a flapping upstream moves
        back in the queue by that, and one that was busy with a single name does not move far.
        """
        self.lost += 1
        self.unanswered += 1
        self.srtt += max(max(waited, self.rto) - self.srtt, 0.0) / 4
        if self.down or self.unanswered < DOWN_AFTER or now - self.seen_at < SILENT_FOR:
            return False
        self.down = True
        return True

    def next_pause(self) -> float:
        """Return the seconds until the next probe, doubling up to a cap."""
        pause = self.pause
        self.pause = min(2 * pause, LONGEST_PAUSE)
        return pause

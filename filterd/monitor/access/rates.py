"""How many requests a second a caller may make: a token bucket for each, bounded in number.

Who has shown a token is counted by it, wherever it comes from; all others by their address (an IPv6 caller by
its /64, which is one customer's). Pure but for the clock it is given.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable

from filterd.monitor.problems import Problem
from filterd.monitor.settings import MonitorLimits


class Rates:
    """The buckets.

    Args:
        limits: rates, bursts and how many callers are remembered.
        ticks: seconds that never go back.
    """

    def __init__(self, limits: MonitorLimits, ticks: Callable[[], float]) -> None:
        self._limits = limits
        self._ticks = ticks
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, holder: str, peer: str) -> None:
        """Count one request.

        Args:
            holder: who has shown a token; ``""``: nobody.
            peer: the address it comes from.

        Raises:
            Problem: 429 with Retry-After.
        """
        limits = self._limits
        if holder:
            key, rate, burst = f"holder {holder}", limits.holder_rate, limits.holder_burst
        else:
            key, rate, burst = _network(peer), limits.address_rate, limits.address_burst
        now = self._ticks()
        left, at = self._buckets.pop(key, (float(burst), now))
        left = min(float(burst), left + (now - at) * rate)
        if left < 1:
            self._buckets[key] = (left, now)
            seconds = max(1, math.ceil((1 - left) / rate))
            raise Problem(
                429,
                "too-many",
                "too many requests",
                remedy=f"come again in {seconds} seconds",
                headers={"Retry-After": str(seconds)},
            )
        self._buckets[key] = (left - 1, now)
        while len(self._buckets) > limits.callers:
            self._buckets.popitem(last=False)


def _network(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))

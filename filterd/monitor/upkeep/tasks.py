"""The one list of what the endpoint does in the background, with the pace of each."""

from __future__ import annotations

from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Clock, Store
from filterd.monitor.upkeep.devicedays import DeviceDays
from filterd.monitor.upkeep.retention import Retention
from filterd.monitor.upkeep.scheduler import Task

HOUR = 3600.0


def upkeep_tasks(store: Store, settings: MonitorSettings, meter: Meter, clock: Clock) -> list[Task]:
    """Return the tasks of an endpoint."""
    retention = Retention(store, settings, meter, clock)
    return [
        Task("partitions", HOUR, retention.make_partitions),  # a week ahead, so an hour of failures is none
        Task("retention", HOUR, retention.purge),
        # Self-harm is to be seen the same day; more often would sum up a region's running day for ever.
        Task("device_days", HOUR / 4, DeviceDays(store, settings, clock).make),
    ]

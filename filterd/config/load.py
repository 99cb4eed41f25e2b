"""Read and verify a configuration, and turn it into the frozen values that the rooms take.

A configuration travels to child processes as plain data (:meth:`Config.dump`), so that all of them run the
one that was verified, whatever is written into the file meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filterd.config.model import ConfigModel
from filterd.config.paths import StatePaths, default_state, shipped
from filterd.errors import ConfigError
from filterd.lists.papers import CHOICE, Choice, Papers, bundle_in_force, read_choice
from filterd.monitor.settings import MonitorSettings
from filterd.resolver.settings import ResolverSettings, UpstreamAddress
from filterd.rules.yamlsource import Source, load, parse, validate
from filterd.server.clients import private_networks
from filterd.server.settings import Endpoint, RateLimit, ServerSettings, TcpLimits
from filterd.wire import names

RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class Config:
    """A verified configuration.

    Args:
        model: what was written, with defaults.
        raw: the same as plain data, for child processes.
        base: folder that relative paths count from.
        trial: an unpacked bundle to look at in the place of the one in force.
    """

    model: ConfigModel
    raw: Mapping[str, Any]
    base: Path
    trial: Path | None = None

    @property
    def state(self) -> StatePaths:
        """Where this box keeps its state."""
        state = self.model.state
        return StatePaths(self._path(state) if state is not None else default_state())

    @property
    def bundle(self) -> Path | None:
        """The folder of the region's bundle in force (or on trial); None when this box takes none."""
        if self.model.lists.bundle is None:
            return None
        return self.trial if self.trial is not None else bundle_in_force(self.state.bundles)

    @property
    def categories(self) -> Path:
        """The catalogue of categories: the bundle's, the configured one, or the shipped one."""
        return self._of_bundle("categories.yaml") or self._path_or(
            self.model.lists.categories, "blocklists", "categories.yaml"
        )

    @property
    def catalogue(self) -> Path:
        """The catalogue of lists, likewise."""
        return self._of_bundle("sources.yaml") or self._path_or(
            self.model.lists.catalogue, "blocklists", "sources.yaml"
        )

    @property
    def papers(self) -> Papers:
        """Where the lists of this box stand, and which it takes; those of a bundle as the region chose."""
        lists, bundle = self.model.lists, self.bundle
        own = self._path_or(lists.exceptions, "blocklists", "exceptions.yaml")
        choice = Choice(
            tuple(lists.sets) if lists.sets is not None else None, tuple(lists.add), tuple(lists.remove)
        )
        regional = self._of_bundle("exceptions.yaml")
        return Papers(
            catalogue=self.catalogue,
            categories=self.categories,
            fetched=bundle / "fetched" if bundle is not None else self.state.fetched,
            choice=read_choice(bundle / CHOICE) if bundle is not None else choice,
            exceptions=(own,) if regional is None else (regional, own),
        )

    @property
    def popular(self) -> Path:
        """The file of popular sites that no list should suddenly block."""
        return self._of_bundle("popular.txt") or self._path_or(
            self.model.lists.popular, "blocklists", "popular.txt"
        )

    @property
    def ca_file(self) -> Path | None:
        """Certificates of authorities, besides the system's, that sources of lists may be signed by."""
        file = self.model.lists.update.ca_file
        return self._path(file) if file is not None else None

    @property
    def baseline(self) -> Path:
        """The baseline policy."""
        return self._of_bundle("policy", "baseline.yaml") or self._path_or(
            self.model.policy.baseline, "policies", "baseline.yaml"
        )

    @property
    def region(self) -> Path | None:
        """The region's policy, if there is one."""
        region = self.model.policy.region
        configured = self._path(region) if region is not None else None
        return self._of_bundle("policy", "region.yaml") or configured

    @property
    def school(self) -> Path:
        """The school's policy."""
        return self._path_or(self.model.policy.school, "policies", "schools", "example.yaml")

    @property
    def token_file(self) -> Path | None:
        """The file with the token of an endpoint elsewhere."""
        file = self.model.delivery.token_file
        return self._path(file) if file is not None else None

    @property
    def workers(self) -> int:
        """How many DNS processes serve: ``auto`` is one a core that this process may use."""
        workers = self.model.workers
        return len(os.sched_getaffinity(0)) if workers == "auto" else workers

    def server(self) -> ServerSettings:
        """Return the listeners' values."""
        limits = self.model.limits
        allowed = self.model.allow_clients
        return ServerSettings(
            listen=tuple(self.model.listen),
            allow_clients=tuple(allowed) if allowed is not None else private_networks(),
            rate=RateLimit(limits.queries_per_second, limits.burst),
            tcp=TcpLimits(
                connections=limits.tcp_connections,
                connections_per_client=limits.tcp_connections_per_client,
                idle=limits.tcp_idle,
            ),
            in_flight=limits.in_flight,
            in_flight_per_client=limits.in_flight_per_client,
            lease_files=tuple(str(self._path(file)) for file in self.model.dhcp_leases),
        )

    def resolver(self) -> ResolverSettings:
        """Return the resolver's values; ``system`` upstreams are read from resolv.conf now."""
        model, cache = self.model, self.model.cache
        return ResolverSettings(
            upstreams=self.upstreams(),
            zones=MappingProxyType(
                {names.from_text(zone): _addresses(found) for zone, found in model.zones.items()}
            ),
            cache_bytes=(cache.size_mib << 20) // self.workers,
            max_ttl=cache.max_ttl,
            min_ttl=cache.min_ttl,
            negative_ttl=cache.negative_ttl,
            stale_for=cache.stale_days * 86_400,
            trusted_ad=model.trust_upstream_ad,
            rebinding_allow=tuple(names.from_text(name) for name in model.private_answers_allowed),
            local_names=MappingProxyType(
                {
                    names.from_text(name): tuple(address.packed for address in found)
                    for name, found in model.local_names.items()
                }
            ),
        )

    def upstreams(self) -> tuple[UpstreamAddress, ...]:
        """Return the upstreams, those of the system in the place of ``system``; never ourselves."""
        found: list[Endpoint] = []
        for upstream in self.model.upstreams:
            if isinstance(upstream, Endpoint):
                found.append(upstream)
            else:
                found.extend(system_upstreams())
        own = set(self.model.listen)
        return _addresses(list(dict.fromkeys(upstream for upstream in found if upstream not in own)))

    def monitor(
        self, own_token: str, admin_token: str, school: str, hidden_categories: frozenset[str]
    ) -> MonitorSettings:
        """Return the endpoint's values; this box's own token is always known to its own endpoint.

        Args:
            own_token: by which this box delivers.
            admin_token: by which an admin asks from elsewhere.
            school: of this box.
            hidden_categories: ids of the categories whose names are never displayed (R1).
        """
        model = self.model.monitor
        boxes = {box: (found.school, found.token_sha256) for box, found in model.boxes.items()}
        boxes.setdefault(self.model.box, (school, _sha256(own_token)))
        return MonitorSettings(
            listen=tuple((endpoint.host, endpoint.port) for endpoint in model.listen),
            database=self.database,
            boxes=MappingProxyType(boxes),
            admin_token_sha256=_sha256(admin_token),
            local_admin=model.local_admin,
            retention_days_events=model.retention_days,
            zone=model.zone,
            hidden_categories=hidden_categories,
        )

    @property
    def database(self) -> str:
        """URL of the endpoint's database."""
        return self.model.monitor.database or f"sqlite+aiosqlite:///{self.state.store}"

    def dump(self) -> bytes:
        """Return the configuration for a child process; :func:`undump` reads it."""
        return json.dumps({"raw": self.raw, "base": str(self.base)}).encode()

    def _path(self, path: Path) -> Path:
        return (self.base / path.expanduser()).resolve()

    def _of_bundle(self, *parts: str) -> Path | None:
        bundle = self.bundle
        path = bundle.joinpath(*parts) if bundle is not None else None
        return path if path is not None and path.is_file() else None

    def _path_or(self, path: Path | None, *default: str) -> Path:
        return self._path(path) if path is not None else shipped(*default)


def load_config(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read and verify a configuration; without a file, the embedded defaults.

    Args:
        path: the file, or None.
        overrides: keys from the command line, dotted for nested ones: ``{"monitor.listen": [...]}``.

    Raises:
        ConfigError: with file, line, column and remedy.
    """
    source = load(path, error=ConfigError) if path is not None else _embedded()
    raw = dict(source.data or {}) if isinstance(source.data, dict) or not source.data else source.data
    validate(ConfigModel, source)  # first as written, so that an error names the line
    for key, value in (overrides or {}).items():
        _override(raw, key, value)
    base = path.resolve().parent if path is not None else Path.cwd()
    return _checked(raw, base)


def undump(data: bytes) -> Config:
    """Return the configuration that :meth:`Config.dump` wrote."""
    found = json.loads(data)
    return _checked(found["raw"], Path(found["base"]))


def _checked(raw: dict[str, Any], base: Path) -> Config:
    source = parse(json.dumps(raw), file="", error=ConfigError)
    try:
        config = Config(validate(ConfigModel, source), raw, base)
    except ConfigError as error:  # the file was right as written: an option of the command line is not
        raise ConfigError(error.message, file="command line", remedy=error.remedy) from error
    try:
        config.server()
        config.resolver()
    except ValueError as error:
        raise ConfigError(str(error), remedy="see docs/admin.md") from error
    return config


def _embedded() -> Source:
    return parse("{}", file="embedded defaults", error=ConfigError)


def _override(raw: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    for part in outer:
        raw[part] = dict(raw.get(part) or {})
        raw = raw[part]
    raw[last] = value


def system_upstreams(path: Path = RESOLV_CONF) -> list[Endpoint]:
    """Return the name servers of resolv.conf(5); none when it cannot be read."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) >= 2 and fields[0] == "nameserver":
            found.append(Endpoint(fields[1].partition("%")[0], 53))
    return found


def _addresses(endpoints: list[Endpoint]) -> tuple[UpstreamAddress, ...]:
    return tuple(UpstreamAddress(endpoint.host, endpoint.port) for endpoint in endpoints)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""The model of ``filterd.yaml``: every key, its default and its limits; no I/O.

Every default is what a school box wants, so an empty file is a good one.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from filterd.errors import BadName
from filterd.server.settings import Endpoint, Network
from filterd.wire import names

DNS_PORT = 53


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def endpoint(value: Any, *, default_port: int = DNS_PORT) -> Endpoint:
    """Return ``ADDRESS``, ``ADDRESS:PORT`` or ``[V6]:PORT`` as an endpoint.

    Raises:
        ValueError: not an IP literal or not a port.
    """
    if isinstance(value, Endpoint):
        return value
    if not isinstance(value, str):
        raise ValueError("write ADDRESS:PORT as text")  # noqa: TRY004 - pydantic reports ValueError
    host, port = _split(value.strip())
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address; write 127.0.0.1:53 or [::1]:53") from None
    if port and not (port.isdecimal() and 0 <= int(port) <= 65_535):
        raise ValueError(f"{port!r} is not a port (0-65535)")
    return Endpoint(str(address), int(port) if port else default_port)


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, ""


def _upstream(value: Any) -> Endpoint | str:
    return "system" if value == "system" else endpoint(value)


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; write one as Asia/Almaty") from None
    return value


def _name(value: Any) -> str:
    try:
        return names.to_text(names.from_text(value))
    except (BadName, TypeError, AttributeError) as error:
        raise ValueError(f"{value!r} is not a domain name") from error


EndpointValue = Annotated[Endpoint, BeforeValidator(endpoint)]
UpstreamValue = Annotated[Endpoint | str, BeforeValidator(_upstream)]
DomainName = Annotated[str, BeforeValidator(_name)]
AddressValue = Annotated[ipaddress.IPv4Address | ipaddress.IPv6Address, BeforeValidator(ipaddress.ip_address)]
NetworkValue = Annotated[Network, BeforeValidator(lambda v: ipaddress.ip_network(v, strict=False))]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


class CacheModel(_Model):
    """The answer cache."""

    size_mib: Annotated[int, Field(ge=1, le=4096)] = 64
    max_ttl: Annotated[int, Field(ge=1, le=7 * 86_400)] = 86_400
    min_ttl: Annotated[int, Field(ge=0, le=3600)] = 0
    negative_ttl: Annotated[int, Field(ge=1, le=86_400)] = 3600
    stale_days: Annotated[float, Field(ge=0, le=7)] = 1.0


class LimitsModel(_Model):
    """Limits per client and in all; 0 queries a second switches the rate limit off."""

    queries_per_second: Annotated[int, Field(ge=0, le=10_000_000)] = 1000
    burst: Annotated[int, Field(ge=1, le=10_000_000)] = 4000
    in_flight: Annotated[int, Field(ge=1, le=100_000)] = 4000
    in_flight_per_client: Annotated[int, Field(ge=1, le=100_000)] = 200
    tcp_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    tcp_connections_per_client: Annotated[int, Field(ge=1, le=100_000)] = 50
    tcp_idle: Seconds = 10.0


class PolicyModel(_Model):
    """The policy layers; relative paths count from the configuration file."""

    baseline: Path | None = None
    region: Path | None = None
    school: Path | None = None


HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s@]+$", max_length=2000)]
ListName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
PublicKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]  # 32 bytes in base64


class UpdateModel(_Model):
    """How lists and bundles are fetched."""

    mirror: HttpsUrl | None = None
    ca_file: Path | None = None
    allow_private: Annotated[list[NetworkValue], Field(max_length=100)] = []
    addresses: dict[DomainName, Annotated[list[AddressValue], Field(min_length=1)]] = {}
    parallel: Annotated[int, Field(ge=1, le=32)] = 4
    timeout: Seconds = 900.0
    max_age_days: Annotated[int, Field(ge=1, le=3650)] = 14
    watch: Annotated[float, Field(ge=0, le=86_400)] = 600.0


class BundleModel(_Model):
    """The signed bundle of policy and lists that this box takes from its region."""

    url: HttpsUrl
    keys: Annotated[list[PublicKey], Field(min_length=1, max_length=8)]


class ListsModel(_Model):
    """The lists; relative paths count from the configuration file."""

    categories: Path | None = None
    catalogue: Path | None = None
    sets: Annotated[list[ListName], Field(max_length=50)] | None = None
    add: Annotated[list[ListName], Field(max_length=1000)] = []
    remove: Annotated[list[ListName], Field(max_length=1000)] = []
    exceptions: Path | None = None
    popular: Path | None = None
    update: UpdateModel = UpdateModel()
    bundle: BundleModel | None = None


class DeliveryModel(_Model):
    """The monitoring endpoint this box reports to."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")] = "http://127.0.0.1:8053"
    token_file: Path | None = None
    spool_mib: Annotated[int, Field(ge=1, le=65_536)] = 256


class BoxModel(_Model):
    """A box that may deliver to this endpoint."""

    school: str
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class MonitorModel(_Model):
    """The monitoring endpoint served here."""

    listen: Annotated[list[EndpointValue], Field(min_length=1, max_length=16)] = [Endpoint("127.0.0.1", 8053)]
    database: str | None = None
    local_admin: bool = True
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    zone: Annotated[str, AfterValidator(_zone)] = "Asia/Almaty"  # in which days and months of reports begin
    boxes: dict[str, BoxModel] = {}


class ConfigModel(_Model):
    """The whole file."""

    box: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,63}$")] = "box"
    state: Path | None = None
    listen: Annotated[list[EndpointValue], Field(min_length=1, max_length=64)] = [
        Endpoint("127.0.0.1", 5353),
        Endpoint("::1", 5353),
    ]
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    allow_clients: Annotated[list[NetworkValue], Field(max_length=1000)] | None = None
    upstreams: Annotated[list[UpstreamValue], Field(min_length=1, max_length=16)] = ["system"]
    trust_upstream_ad: bool = False
    zones: dict[DomainName, Annotated[list[EndpointValue], Field(min_length=1)]] = {}
    local_names: dict[DomainName, list[AddressValue]] = {}
    private_answers_allowed: list[DomainName] = []
    dhcp_leases: list[Path] = []
    cache: CacheModel = CacheModel()
    limits: LimitsModel = LimitsModel()
    policy: PolicyModel = PolicyModel()
    lists: ListsModel = ListsModel()
    delivery: DeliveryModel = DeliveryModel()
    monitor: MonitorModel = MonitorModel()

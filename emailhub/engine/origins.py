"""Where a request comes from and whom it asks for: addresses, proxies, Host and Origin headers. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlsplit

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9._-]{0,253}))(?::(?P<port>\d{1,5}))?", re.ASCII)
_LONGEST_ADDRESS = 45
"""Characters of an IPv6 address with an IPv4 one at its end."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class HostPort:
    """A Host header or an origin's host, compared without case, trailing dot and default port."""

    __slots__ = ("name", "port")

    def __init__(self, name: str, port: str | None) -> None:
        self.name = name
        self.port = port

    @property
    def address(self) -> Address | None:
        """The address, when the host is one and not a name."""
        return address(self.name)

    @property
    def is_loopback(self) -> bool:
        """Whether it names this machine to itself: localhost (RFC 6761 §6.3) or a loopback address."""
        found = self.address
        return found.is_loopback if found else self.name == "localhost" or self.name.endswith(".localhost")


def host_port(text: str) -> HostPort | None:
    """`text` as host and port (RFC 9110 §7.2); None when it is neither."""
    found = _HOST.fullmatch(text.lower())
    if found is None or int(found["port"] or 0) > 65535:
        return None
    name = found["name"]
    if name.startswith("["):
        return HostPort(name[1:-1], found["port"]) if address(name[1:-1]) else None
    return HostPort(name.removesuffix("."), found["port"])


def address(text: str) -> Address | None:
    """`text` as an IP address, an IPv4 one inside IPv6 as itself; None for anything else."""
    name = text.partition("%")[0]
    return _address(name) if len(name) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=512)
def _address(text: str) -> Address | None:
    # Every request shows the same few peers and hosts, some of them several times.
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def within(client: str, networks: Iterable[Network]) -> bool:
    """Whether the address `client` is in one of `networks`."""
    found = address(client)
    return found is not None and any(found in network for network in networks if network.version == found.version)


def client_of(peer: str, forwarded_for: str | None, proxies: Sequence[Network]) -> str:
    """The address a request really comes from: the rightmost one in X-Forwarded-For that is no trusted proxy.

    The header counts only when `peer` is a trusted proxy; what stands left of the first stranger is its claim.
    """
    client = peer
    for hop in reversed((forwarded_for or "").split(",")):
        if not within(client, proxies):
            return client
        found = address(_without_port(hop.strip()))
        if found is None:
            return client
        client = str(found)
    return client


def scheme_of(peer: str, scheme: str, forwarded_proto: str | None, proxies: Sequence[Network]) -> str:
    """http or https as the browser sees it; X-Forwarded-Proto counts only from a trusted proxy, its last value."""
    claimed = (forwarded_proto or "").rpartition(",")[2].strip().lower()
    return claimed if claimed in _DEFAULT_PORTS and within(peer, proxies) else scheme


def site_of(url: str) -> tuple[str, HostPort] | None:
    """Scheme and host of a URL or an Origin header; None for `null` and whatever else has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    found = host_port(parts.netloc.rpartition("@")[2])
    return (parts.scheme, found) if found and parts.scheme in _DEFAULT_PORTS else None


def same_site(origin: str, scheme: str, host: HostPort) -> bool:
    """Whether the page at `origin` was served by `scheme`://`host`.

    A Host without a port fits the default port of the origin's own scheme as well: a proxy that ends TLS and says
    nothing of it is common, and an attacker cannot serve a page from there.
    """
    site = site_of(origin)
    if site is None or site[1].name != host.name:
        return False
    port = site[1].port or _DEFAULT_PORTS[site[0]]
    return port == host.port if host.port else port in {_DEFAULT_PORTS[site[0]], _DEFAULT_PORTS[scheme]}


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop

"""Which addresses belong to everybody's internet, and not to the network this hub stands in."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# IPv6 that leads to an IPv4 address: mapped and compatible, translated (RFC 6052, RFC 8215), Teredo, 6to4.
_CARRYING_V4 = [
    IPv6Network(network)
    for network in (
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
]
# Older Pythons call the whole block of the protocols' own addresses public but for a few (RFC 6890).
_PROTOCOLS = IPv4Network("192.0.0.0/24")
# A cloud's own services behind a public address.
_METADATA = frozenset({IPv4Address("168.63.129.16")})


def is_public(address: str) -> bool:
    """Whether `address`, of IPv4 or IPv6, may be connected to on behalf of a stranger. False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if found.is_multicast or not found.is_global:
        return False
    if isinstance(found, IPv6Address):
        return (
            found.scope_id is None and not found.is_site_local and not any(found in network for network in _CARRYING_V4)
        )
    return found not in _PROTOCOLS and found not in _METADATA

"""Addresses as two 64-bit halves, prefixes over them, and the space that is never judged.

An IPv4 address is the IPv6 address ::ffff:a.b.c.d. The unit of profiling is the IPv4 /32 and the IPv6 /64.
"""

import ipaddress
from typing import NamedTuple

from profiler.errors import AddressError

#: The upper 32 bits of the lower half of an IPv4-mapped address.
V4_MARK = 0xFFFF << 32
_U64 = (1 << 64) - 1
_V4_MAPPED = V4_MARK

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA special-purpose registries (RFC 6890 and its registries, read 2026), multicast, and the 6to4, Teredo and
# NAT64 prefixes, whose addresses stand for somebody else's.
_RESERVED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_RESERVED6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
# The root servers' addresses (IANA root hints, 2026): listing one would only ever be a forgery's success.
_ROOT_SERVERS = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "198.41.0.4", "170.247.170.2", "192.33.4.12", "199.7.91.13", "192.203.230.10", "192.5.5.241",
        "192.112.36.4", "198.97.190.53", "192.36.148.17", "192.58.128.30", "193.0.14.129", "199.7.83.42",
        "202.12.27.33", "2001:503:ba3e::2:30", "2801:1b8:10::b", "2001:500:2::c", "2001:500:2d::d",
        "2001:500:a8::e", "2001:500:2f::f", "2001:500:12::d0d", "2001:500:1::53", "2001:7fe::53",
        "2001:503:c27::2:30", "2001:7fd::1", "2001:500:9f::42", "2001:dc3::35",
    )
)  # fmt: skip
_ROOT_KEYS = frozenset(
    int(address) if address.version == 4 else int(address) >> 64 << 64 for address in _ROOT_SERVERS
)


class Key(NamedTuple):
    """An address as the profiler keeps it: the two halves of an IPv6 address, in host byte order."""

    hi: int
    lo: int

    @property
    def is_v4(self) -> bool:
        """Whether this is an IPv4 address."""
        return self.hi == 0 and self.lo >> 32 == 0xFFFF

    def __str__(self) -> str:
        return str(self.address())

    def address(self) -> IPAddress:
        """Return the address as a standard library object."""
        if self.is_v4:
            return ipaddress.IPv4Address(self.lo & 0xFFFFFFFF)
        return ipaddress.IPv6Address(self.hi << 64 | self.lo)

    def unit(self) -> "Key":
        """Return the unit of profiling that the address belongs to: itself, or its IPv6 /64."""
        return self if self.is_v4 else Key(self.hi, 0)


def key_of(address: IPAddress) -> Key:
    """Return the halves of ``address``; an IPv4-mapped IPv6 address and its IPv4 address give the same."""
    if address.version == 4:
        return Key(0, _V4_MAPPED | int(address))
    value = int(address)
    return Key(value >> 64, value & _U64)


def parse(text: str) -> Key:
    """Return the address that ``text`` spells.

    Raises:
        AddressError: the text is no address; leading zeros and zone indices are refused.
    """
    try:
        address = ipaddress.ip_address(text)
        if address.version == 6 and address.scope_id is not None:
            raise ValueError
    except ValueError:
        raise AddressError(f"{text!r} is not an IPv4 or IPv6 address") from None
    return key_of(address)


def parse_network(text: str) -> IPNetwork:
    """Return the prefix that ``text`` spells; a bare address is a prefix of full length.

    Raises:
        AddressError: the text is no prefix, or has bits set right of its length.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise AddressError(f"{text!r} is not a prefix: {error}") from None


def is_reserved(key: Key) -> bool:
    """Whether the address is private, reserved, multicast or a root server's: never judged, never listed."""
    address = key.address()
    if address.version == 4:
        return int(address) in _ROOT_KEYS or any(address in network for network in _RESERVED)
    if address not in _GLOBAL_UNICAST:
        return True
    return int(address) >> 64 << 64 in _ROOT_KEYS or any(address in network for network in _RESERVED6)


def overlaps_reserved(network: IPNetwork) -> bool:
    """Whether any part of the prefix is space that is never listed."""
    if network.version == 4:
        return any(network.overlaps(other) for other in _RESERVED) or any(
            address in network for address in _ROOT_SERVERS
        )
    return (
        not network.subnet_of(_GLOBAL_UNICAST)
        or any(network.overlaps(other) for other in _RESERVED6)
        or any(address in network for address in _ROOT_SERVERS)
    )

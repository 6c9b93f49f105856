"""Between prefixes as people write them and the places that a snapshot keeps."""

import ipaddress

from dnsbl.errors import ListingRefusedError
from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import V6_BITS, Place
from profiler.address import IPNetwork, Key, overlaps_reserved

#: A hand-made or declared listing wider than this is a slip of the hand, not a wish.
WIDEST_V4 = 8
WIDEST_V6 = 19


def network_of(key: Key) -> IPNetwork:
    """Return the prefix that listing this address means: itself, or its IPv6 /64."""
    if key.is_v4:
        return ipaddress.IPv4Network((key.lo & 0xFFFFFFFF, 32))
    return ipaddress.IPv6Network((key.hi << 64, V6_BITS))


def place_of(layer: Layer, network: IPNetwork) -> Place:
    """Return where a prefix stands; IPv6 prefixes longer than /64 stand for their /64."""
    if network.version == 4:
        return Place(layer, True, int(network.network_address), network.prefixlen)
    return Place(layer, False, int(network.network_address) >> 64, min(network.prefixlen, V6_BITS))


def check_listable(network: IPNetwork, never: list[IPNetwork]) -> None:
    """Raise ListingRefusedError, saying why, if this prefix must never be listed."""
    if overlaps_reserved(network):
        raise ListingRefusedError(f"{network} holds private, reserved or root server space: never listed")
    for other in never:
        if other.version == network.version and other.overlaps(network):
            raise ListingRefusedError(f"{network} overlaps {other} of the never-list (listing.never)")
    if network.version == 6 and network.prefixlen > V6_BITS:
        raise ListingRefusedError(f"{network}: IPv6 is listed by /{V6_BITS} or wider: use its /{V6_BITS}")
    widest = WIDEST_V4 if network.version == 4 else WIDEST_V6
    if network.prefixlen < widest:
        raise ListingRefusedError(f"{network} is wider than /{widest}: list its parts")

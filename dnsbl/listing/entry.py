"""One published listing, as the snapshot takes it: the bridge between the listing store and the zones."""

from typing import NamedTuple

from dnsbl.listing.codes import Layer

#: IPv6 is listed by /64 or shorter, so the upper 64 bits are all that a snapshot keeps.
V4_BITS = 32
V6_BITS = 64


class Place(NamedTuple):
    """Where a listing stands: a layer and a prefix in it. Equal places replace each other."""

    layer: Layer
    is_v4: bool
    #: The IPv4 address as 32-bit number, or the upper 64 bits of the IPv6 address; host bits are zero.
    value: int
    #: 0 to 32, or 0 to 64.
    prefix_length: int


class Entry(NamedTuple):
    """A listing with what its answers need: times in seconds since 1970, ``expires`` 0 for never."""

    place: Place
    #: The reason in words, at most 120 ASCII characters; few distinct ones, as they are interned.
    reason: str
    since: int
    expires: int = 0
    #: 0 to 3, only in the MTA layer.
    trust: int = 0

"""What a zone takes of a listing, under the name by which the answering rooms know it."""

from dnsbl.listing.entry import V4_BITS, V6_BITS, Entry, Place

__all__ = ["V4_BITS", "V6_BITS", "Entry", "Place"]

from dnsbl.listing.entry import V4_BITS, V6_BITS, Entry, Place

__all__ = ["V4_BITS", "V6_BITS", "Entry", "Place"]

"""What can go wrong on the answering side, each error naming its remedy."""


class DnsblError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(DnsblError):
    """The configuration cannot be used; the message says which key, what is wrong and what would be right."""


class ZoneError(DnsblError):
    """A zone file cannot be used; the message says which file and key, and what would be right."""


class ListenError(DnsblError):
    """A socket cannot be opened; the message says which, and which key chooses another."""


class StoreError(DnsblError):
    """The store refuses: the name exists, is unknown, or the file is of another version."""


class ListingRefusedError(DnsblError):
    """A listing that must never be: reserved space, the never-list, or a prefix that is too wide."""


class ExportError(DnsblError):
    """A zone cannot be written in the form asked for; the message says which part, and what can be done."""

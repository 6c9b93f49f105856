"""The keys that secondaries sign with: from ``[[tsig]]`` in the configuration and the files that it names."""

from collections.abc import Sequence
from pathlib import Path

import dns.tsig

from dnsbl.config import Tsig
from dnsbl.errors import ConfigError
from dnsbl.wire.tsig import ALGORITHMS, make_key


def tsig_keys(configured: Sequence[Tsig]) -> dict[str, dns.tsig.Key]:
    """Return the keys by name, in lower case, without the final dot.

    Raises:
        ConfigError: a key cannot be used; says which, and what would be right.
    """
    keys: dict[str, dns.tsig.Key] = {}
    for one in configured:
        name = one.name.rstrip(".").lower()
        if name in keys:
            raise ConfigError(f"tsig: the name {name!r} appears twice")
        if one.algorithm not in ALGORITHMS:
            raise ConfigError(f"tsig {name!r}: algorithm = {one.algorithm!r}: one of {', '.join(ALGORITHMS)}")
        try:
            keys[name] = make_key(name, one.algorithm, Path(one.secret_file).read_text("ascii").strip())
        except OSError as error:
            raise ConfigError(f"tsig {name!r}: {one.secret_file} cannot be read: {error.strerror}") from None
        except (ValueError, UnicodeError) as error:
            raise ConfigError(f"tsig {name!r}: {one.secret_file} holds no secret in base64: {error}") from None
    return keys

"""Where a command reads records from: a file, plain or compressed, or stdin."""

import bz2
import gzip
import io
import lzma
import sys
import time
import zlib
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dnsbl.errors import ConfigError, DnsblError
from profiler.keyed import KEY_BYTES
from profiler.parse.registry import Context

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STDIN = "-"
CHUNK_BYTES = 1 << 18
#: A file that claims to be older has lost its time.
OLDEST_SECONDS = 946_684_800.0  # 2000-01-01
#: Nothing is kept, and equal input is to give equal output: so no secret.
_KEY = bytes(KEY_BYTES)

_OPENERS: Mapping[str, Callable[[Any], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".zst": zstd.ZstdFile,
    ".zstd": zstd.ZstdFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_DAMAGE = (EOFError, zlib.error, zstd.ZstdError, lzma.LZMAError, gzip.BadGzipFile)


class DamagedError(DnsblError):
    """A compressed file is damaged or cut short."""


class LogFile:
    """A log that is read once, from its start; ``name`` may be ``-`` for stdin."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: Any = sys.stdin.buffer if name == STDIN else Path(name).open("rb")  # noqa: SIM115
        stat = None if name == STDIN else Path(name).stat()
        #: Bytes on the disk, 0 if nobody knows.
        self.size_bytes = stat.st_size if stat else 0
        #: Seconds since 1970: when it was last written to.
        self.modified = stat.st_mtime if stat and stat.st_mtime > OLDEST_SECONDS else time.time()
        opener = _OPENERS.get(Path(name).suffix)
        self._stream: Any = io.BufferedReader(opener(self._file), CHUNK_BYTES) if opener else self._file

    def close(self) -> None:
        """Close the file."""
        if self._name != STDIN:
            self._file.close()

    def read_bytes(self) -> int:
        """Return how many of the bytes on the disk were read so far."""
        return self._file.tell() if self.size_bytes else 0

    def context(self, timezone: str) -> Context:
        """Return what a parser needs to know: as of when the file was written, so that it stays the same.

        Raises:
            ConfigError: there is no such time zone.
        """
        try:
            zone = zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise ConfigError(f"time zone {timezone!r} is not known: use a name like Europe/Vienna") from None
        return Context(hash_key=_KEY, now=int(self.modified * 1e6), timezone=zone)

    def chunks(self, *, live: bool = False) -> Iterator[bytes]:
        """Yield the unpacked bytes in equal portions, or with ``live`` as they come.

        Raises:
            DamagedError: what was compressed cannot be unpacked.
        """
        read = self._stream.read1 if live else self._stream.read
        try:
            while data := read(CHUNK_BYTES):
                yield data
        except _DAMAGE as error:
            raise DamagedError(
                f"{self._name}: damaged or cut short: {error}; unpack it by hand to see more"
            ) from None

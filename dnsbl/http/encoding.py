"""Content codings of a posted body: compressed bytes in as they arrive, pieces of bounded size out. Sans-io.

Several gzip members (RFC 1952 section 2.2) or Zstandard frames (RFC 8878 section 3) one after another are one
body. However much a body would expand to, no more than one piece of it is ever in memory here.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from dnsbl.http.problems import Kind, ProblemError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1 << 20
#: RFC 9659: a zstd content coding uses windows of at most 8 MiB.
ZSTD_WINDOW_BYTES_LOG2 = 23
_GZIP_WBITS = 31


class Decoder(Protocol):
    """Undoes one content coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces, each of at most ``PIECE_BYTES``. ProblemError if ``data`` is corrupt."""
        ...

    def finish(self) -> None:
        """Say that the body has ended. ProblemError if it was cut short."""
        ...


class IdentityDecoder:
    """Takes the body as it is."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield ``data`` in pieces."""
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]

    def finish(self) -> None:
        """Every end is a good one."""


class GzipDecoder:
    """RFC 1952, any number of members."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces."""
        while data:
            if self._member is None:
                self._member = zlib.decompressobj(_GZIP_WBITS)
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise _corrupt("gzip", error) from None
            if piece:
                yield piece
            data = self._member.unconsumed_tail
            if self._member.eof:
                data = self._member.unused_data
                self._member = None
            elif not data and len(piece) == PIECE_BYTES:
                yield from self._rest()

    def _rest(self) -> Iterator[bytes]:
        # zlib may keep output back when the last piece was filled to the brim with no input left over.
        assert self._member is not None
        while not self._member.eof and (piece := self._member.decompress(b"", PIECE_BYTES)):
            yield piece
        if self._member.eof:
            self._member = None

    def finish(self) -> None:
        """Check that the last member was whole."""
        if self._member is not None:
            raise _truncated("gzip")


class ZstdDecoder:
    """RFC 8878, any number of frames."""

    def __init__(self) -> None:
        self._frame: zstd.ZstdDecompressor | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces."""
        while data or (self._frame is not None and not self._frame.needs_input):
            if self._frame is None:
                options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_BYTES_LOG2}
                self._frame = zstd.ZstdDecompressor(options=options)
            try:
                piece = self._frame.decompress(data, PIECE_BYTES)
            except zstd.ZstdError as error:
                raise _corrupt("zstd", error) from None
            if piece:
                yield piece
            data = b""
            if self._frame.eof:
                data = self._frame.unused_data
                self._frame = None

    def finish(self) -> None:
        """Check that the last frame was whole."""
        if self._frame is not None:
            raise _truncated("zstd")


#: Content coding to decoder (RFC 9110 section 8.4.1, where x-gzip means gzip).
DECODERS: dict[str, Callable[[], Decoder]] = {
    "identity": IdentityDecoder,
    "gzip": GzipDecoder,
    "x-gzip": GzipDecoder,
    "zstd": ZstdDecoder,
}
TAKEN = "gzip, zstd, identity"


def open_decoder(content_encoding: str | None) -> Decoder:
    """Return the decoder for a Content-Encoding header.

    Raises:
        ProblemError: the coding is not taken, or several are stacked; says which are.
    """
    name = (content_encoding or "identity").strip().lower()
    if name not in DECODERS:
        raise ProblemError(
            Kind.BAD_MEDIA,
            f"Content-Encoding {name!r} is not taken: use one of {TAKEN}",
            headers={"Accept-Encoding": TAKEN},
        )
    return DECODERS[name]()


def _corrupt(name: str, error: Exception) -> ProblemError:
    return ProblemError(Kind.BAD_BODY, f"the body is not valid {name} ({error}): compress and send it again")


def _truncated(name: str) -> ProblemError:
    return ProblemError(Kind.BAD_BODY, f"the {name} body ends in the middle: send it again, whole")

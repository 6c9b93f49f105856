"""Which of the representations on offer a client prefers (RFC 9110 section 12.5.1). Pure."""

from collections.abc import Sequence

HTML = "text/html"
JSON = "application/json"
CSV = "text/csv"


def best(accept: str | None, offered: Sequence[str]) -> str:
    """Return the media type of ``offered`` that ``accept`` prefers.

    Among equals, and where nothing fits, the earliest offered: an answer in another type is of more use than 406.
    """
    if not accept:
        return offered[0]
    ranges = [_media_range(part) for part in accept.split(",")]
    return max(offered, key=lambda media: _quality(media, ranges))


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                quality = 0.0
    return name, quality


def _quality(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    for pattern in (media, media.split("/")[0] + "/*", "*/*"):
        for name, quality in ranges:
            if name == pattern:
                return quality
    return 0.0

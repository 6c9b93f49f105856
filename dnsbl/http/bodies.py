"""Small request bodies: JSON objects and forms, read whole within a bound of size and time."""

import asyncio
from typing import NamedTuple

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError

from dnsbl.http.problems import Kind, ProblemError

SMALL_BODY_BYTES = 1 << 14
SMALL_BODY_SECONDS = 10.0
REASON_CHARACTERS = 500
#: The reason of who gives none: an ISP's script has cleaned the machine, and that is all there is to say.
NOT_STATED = "not stated"
FORM = "application/x-www-form-urlencoded"


class DelistRequest(NamedTuple):
    """What a delisting asks for; ``token`` only from the form on the page."""

    reason: str
    token: str = ""


class _DelistJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = NOT_STATED


async def read_delist_json(request: web.Request) -> DelistRequest:
    """Return the JSON body ``{"reason": …}``, or what no body means. ProblemError if it is anything else."""
    if not request.body_exists:
        return DelistRequest(NOT_STATED)
    _check_media(request, "application/json")
    try:
        asked = msgspec.json.decode(await _read(request), type=_DelistJson)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProblemError(Kind.BAD_REQUEST, f'send {{"reason": "…"}}: {error}') from None
    return DelistRequest(_checked(asked.reason))


async def read_delist_form(request: web.Request) -> DelistRequest:
    """Return the form's fields ``reason`` and ``token``. ProblemError if it is no such form."""
    _check_media(request, FORM)
    await _read(request)
    fields = await request.post()
    return DelistRequest(_checked(str(fields.get("reason", ""))), str(fields.get("token", "")).strip())


def _check_media(request: web.Request, media: str) -> None:
    if request.content_type != media or request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError(Kind.BAD_MEDIA, f"send the body as {media}, not compressed")


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(SMALL_BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise ProblemError(Kind.TOO_SLOW, f"the body must come within {SMALL_BODY_SECONDS:g} s") from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise ProblemError(Kind.BAD_BODY, "the body ended before its announced end: send it again") from None


def _checked(text: str) -> str:
    reason = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not 0 < len(reason) <= REASON_CHARACTERS:
        raise ProblemError(
            Kind.BAD_REQUEST, f"say in 1 to {REASON_CHARACTERS} characters what was found and what was done"
        )
    return reason

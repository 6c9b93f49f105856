"""Zone files: ``zones/*.toml`` to :class:`Zone`, each checked before anything is served from it.

A directory in, frozen values or :class:`~dnsbl.errors.ZoneError` out. Knows nothing of wire format or listings.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from dnsbl.errors import ZoneError
from dnsbl.listing.codes import BLOCKING_LAYERS, LAYER_NAMES, LAYERS_BY_NAME, MTA_TRUST_LEVELS, Layer
from dnsbl.zone.access import OPEN, Access, read_access

KINDS = ("block", "allow", "class")
NEGATIVE_TTL_SECONDS = 60
LONGEST_TTL_SECONDS = 7 * 86400
DNS_PORT = 53
NAME_BYTES = 255
LABEL_BYTES = 63
MAX_NAMESERVERS = 8
MAX_NAMESERVER_ADDRESSES = 4
TEMPLATE_BYTES = 512
#: A reply's TXT records must leave room for all layers of an address over UDP more often than not.
RENDERED_BYTES = 600
REASON_BYTES = 120
TEXT_VARIABLES = ("reason", "since", "url", "address", "class")
#: What the RFC 5782 test point says where the operator's own layer is published.
OPERATOR_TEST_CODE = int(ipaddress.IPv4Address("127.0.0.2"))

_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
_NOT_LISTED_CODE = ipaddress.IPv4Address("127.0.0.1")
_ERROR_CODES = ipaddress.IPv4Network("127.255.255.0/24")
_LONGEST_ADDRESS = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"
_SINCE = "2000-01-01 00:00 UTC"
_PRINTABLE = re.compile(r"[ -~]*")


@dataclass(frozen=True)
class Answer:
    """What a zone says of the listings of one layer."""

    layer: Layer
    #: The A record as a 32-bit number; in the MTA layer the trust is added to it.
    code: int
    ttl: int
    #: The TXT record with ``$reason $since $url $address $class``.
    text: str

    @property
    def codes(self) -> range:
        """Every code that it may answer."""
        return range(self.code, self.code + (len(MTA_TRUST_LEVELS) if self.layer is Layer.MTA else 1))


@dataclass(frozen=True)
class Soa:
    """The SOA record without its serial, which is the snapshot's, and MINIMUM, the zone's negative TTL."""

    mname: str
    rname: str
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800


@dataclass(frozen=True)
class NameServer:
    """A name server of a zone; its addresses are answered for its name, too."""

    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Zone:
    """A published zone. Names are absolute, in lower case, without the final dot; TTLs in seconds."""

    name: str
    origin: str
    kind: str
    ttl: int
    negative_ttl: int
    soa: Soa
    nameservers: tuple[NameServer, ...]
    answers: tuple[Answer, ...]
    #: Only the test points answer.
    dry_run: bool = False
    #: Who may have it by transfer: prefixes, and ``key:NAME`` for whoever signs with that key.
    transfer: tuple[str, ...] = ()
    #: Secondaries that are told of changes: (address, port).
    notify: tuple[tuple[str, int], ...] = ()
    #: Who may ask.
    access: Access = OPEN

    @property
    def test_code(self) -> int:
        """The A record of the test point (RFC 5782 §5)."""
        layers = {answer.layer for answer in self.answers}
        return OPERATOR_TEST_CODE if Layer.OPERATOR in layers else self.answers[0].code


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _AnswerFile(_Struct, frozen=True):
    layer: str
    code: str
    text: str
    ttl: int | None = None


class _SoaFile(_Struct, frozen=True):
    mname: str = ""
    rname: str = ""
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800


class _NameServerFile(_Struct, frozen=True):
    name: str
    addresses: tuple[str, ...] = ()


class _ZoneFile(_Struct, frozen=True):
    name: str
    kind: str = "block"
    ttl: int = 300
    negative_ttl: int = NEGATIVE_TTL_SECONDS
    dry_run: bool = False
    transfer: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    keys: str = ""
    refused: str = "refused"
    soa: _SoaFile = _SoaFile()
    nameservers: tuple[_NameServerFile, ...] = ()
    answer: tuple[_AnswerFile, ...] = ()


def packaged_zones() -> Path:
    """Return the directory of the zone files that come with Vedette, installed or in a source tree."""
    installed = Path(__file__).parent / "defaults"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "zones"


def load_zones(directory: Path, origin: str, public_url: str) -> tuple[Zone, ...]:
    """Return the zones of all ``*.toml`` files of a directory, in the order of the files' names.

    Args:
        directory: where the zone files are.
        origin: the domain under which relative zone names live.
        public_url: the base of ``$url``; only its length matters here.

    Raises:
        ZoneError: a file cannot be used; says which file and key, and what would be right.
    """
    if not directory.is_dir():
        raise ZoneError(
            f"{directory}: no such directory: give one with zone files (*.toml), or leave `zones` empty"
        )
    zones: dict[str, tuple[Zone, Path]] = {}
    for path in sorted(directory.glob("*.toml")):
        zone = read_zone(path, origin, public_url)
        if zone.origin in zones:
            other = zones[zone.origin][1].name
            raise ZoneError(f"{path}: name: {zone.origin} is already the zone of {other}: give it another name")
        zones[zone.origin] = zone, path
    if not zones:
        raise ZoneError(f"{directory}: no zone file (*.toml) in it: add one, or leave `zones` empty")
    return tuple(zone for zone, _ in zones.values())


def read_zone(path: Path, origin: str, public_url: str) -> Zone:
    """Return the zone of one file, with the arguments and errors of :func:`load_zones`."""
    return _zone(path, _read(path), origin, public_url)


def _read(path: Path) -> _ZoneFile:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ZoneError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZoneError(f"{path}: not valid TOML: {error}") from None
    try:
        return msgspec.convert(values, _ZoneFile, strict=True)
    except msgspec.ValidationError as error:
        raise ZoneError(f"{path}: {error}{_known_keys(str(error))}") from None


def _known_keys(message: str) -> str:
    if "unknown field" not in message:
        return ""
    owners: dict[str, type[msgspec.Struct]] = {
        "answer": _AnswerFile,
        "soa": _SoaFile,
        "nameservers": _NameServerFile,
    }
    owner = next((struct for key, struct in owners.items() if f"`$.{key}" in message), _ZoneFile)
    return f"; known keys: {', '.join(field.name for field in msgspec.structs.fields(owner))}"


def _zone(path: Path, file: _ZoneFile, origin: str, public_url: str) -> Zone:
    base = origin.rstrip(".").lower()
    name = file.name.lower()
    absolute = _name(path, "name", name if name.endswith(".") else f"{name}.{base}")
    if file.kind not in KINDS:
        raise ZoneError(f"{path}: kind = {file.kind!r}: one of {', '.join(KINDS)}")
    for key, ttl in (("ttl", file.ttl), ("negative_ttl", file.negative_ttl)):
        _check_ttl(path, key, ttl)
    nameservers = _nameservers(path, file, base)
    soa = Soa(
        _name(path, "soa.mname", file.soa.mname or nameservers[0].name),
        _name(path, "soa.rname", file.soa.rname or f"hostmaster.{base}"),
        *(
            _check_ttl(path, f"soa.{key}", getattr(file.soa, key), 2**31 - 1)
            for key in ("refresh", "retry", "expire")
        ),
    )
    answers = tuple(_answer(path, file, number, public_url) for number in range(len(file.answer)))
    _check_answers(path, file.kind, answers)
    return Zone(
        file.name.rstrip(".").lower(),
        absolute,
        file.kind,
        file.ttl,
        file.negative_ttl,
        soa,
        nameservers,
        answers,
        file.dry_run,
        tuple(_allowed(path, text) for text in file.transfer),
        tuple(_secondary(path, text) for text in file.notify),
        read_access(path, file.allow, file.keys, file.refused),
    )


def _allowed(path: Path, text: str) -> str:
    if text.startswith("key:"):
        return f"key:{_name(path, 'transfer', text.removeprefix('key:'))}"
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ZoneError(
            f"{path}: transfer: {text!r}: a prefix like 192.0.2.53/32 or key:NAME is needed: {error}"
        ) from None


def _secondary(path: Path, text: str) -> tuple[str, int]:
    host, at, port = text.partition("@")
    try:
        address = str(ipaddress.ip_address(host))
        number = int(port) if at else DNS_PORT
    except ValueError:
        number = 0
    if not 0 < number < 1 << 16:
        raise ZoneError(f"{path}: notify: {text!r}: an address like 192.0.2.53 or 192.0.2.53@5353 is needed")
    return address, number


def _name(path: Path, key: str, text: str) -> str:
    labels = text.rstrip(".").lower().split(".")
    too_long = len(text.rstrip(".")) + 2 > NAME_BYTES
    if not text.isascii() or too_long or any(not 0 < len(label) <= LABEL_BYTES for label in labels):
        raise ZoneError(f"{path}: {key} = {text!r}: a domain name in ASCII is needed, like bl.example.org")
    if re.search(r"[^a-z0-9._-]", ".".join(labels)):
        raise ZoneError(f"{path}: {key} = {text!r}: only letters, digits, hyphens and underscores in a name")
    return ".".join(labels)


def _check_ttl(path: Path, key: str, seconds: int, longest: int = LONGEST_TTL_SECONDS) -> int:
    if not 1 <= seconds <= longest:
        raise ZoneError(f"{path}: {key} = {seconds}: between 1 and {longest} seconds")
    return seconds


def _nameservers(path: Path, file: _ZoneFile, base: str) -> tuple[NameServer, ...]:
    if not file.nameservers:
        return (NameServer(f"ns.{base}", ("127.0.0.1",)),)
    if len(file.nameservers) > MAX_NAMESERVERS:
        raise ZoneError(f"{path}: nameservers: at most {MAX_NAMESERVERS}")
    found = []
    for number, server in enumerate(file.nameservers):
        key = f"nameservers[{number}]"
        for family in (4, 6):
            addresses = [text for text in server.addresses if _address(path, key, text).version == family]
            if len(addresses) > MAX_NAMESERVER_ADDRESSES:
                raise ZoneError(f"{path}: {key}.addresses: at most {MAX_NAMESERVER_ADDRESSES} a family")
        found.append(NameServer(_name(path, f"{key}.name", server.name), server.addresses))
    if len({server.name for server in found}) < len(found):
        raise ZoneError(f"{path}: nameservers: a name appears twice: give all its addresses in one entry")
    return tuple(found)


def _address(path: Path, key: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ZoneError(f"{path}: {key}.addresses: {text!r} is not an IP address") from None


def _answer(path: Path, file: _ZoneFile, number: int, public_url: str) -> Answer:
    answer = file.answer[number]
    key = f"answer[{number}]"
    if answer.layer not in LAYERS_BY_NAME:
        raise ZoneError(f"{path}: {key}.layer = {answer.layer!r}: one of {', '.join(LAYERS_BY_NAME)}")
    ttl = _check_ttl(path, f"{key}.ttl", file.ttl if answer.ttl is None else answer.ttl)
    _check_text(path, f"{key}.text", answer.text, public_url)
    layer = LAYERS_BY_NAME[answer.layer]
    made = Answer(layer, _code(path, f"{key}.code", answer.code), ttl, answer.text)
    for code in made.codes:
        _code(path, f"{key}.code", answer.code, code)
    if made.codes[-1] >> 8 != made.code >> 8:
        raise ZoneError(
            f"{path}: {key}.code = {answer.code!r}: the trust (0 to 3) is added: at most .252 in the end"
        )
    return made


def _code(path: Path, key: str, text: str, value: int | None = None) -> int:
    try:
        code = ipaddress.IPv4Address(text if value is None else value)
    except ValueError:
        raise ZoneError(f"{path}: {key} = {text!r}: an address like 127.0.0.4 is needed") from None
    if code not in _LOOPBACK or code == _NOT_LISTED_CODE or code in _ERROR_CODES:
        raise ZoneError(
            f"{path}: {key} = {text!r}: a code lies in 127.0.0.0/8, but is neither 127.0.0.1, which means not "
            "listed, nor in 127.255.255.0/24, which means errors"
        )
    return int(code)


def render(text: str, *, reason: str, since: str, url: str, address: str, layer: Layer) -> str:
    """Return an answer's text with its variables replaced, in the plain way."""
    values = {"reason": reason, "since": since, "url": url, "address": address, "class": LAYER_NAMES[layer]}
    return Template(text).substitute(values)


def _check_text(path: Path, key: str, text: str, public_url: str) -> None:
    if not text or len(text) > TEMPLATE_BYTES or not _PRINTABLE.fullmatch(text):
        raise ZoneError(f"{path}: {key}: 1 to {TEMPLATE_BYTES} printable ASCII characters")
    url = f"{public_url}/ip/{_LONGEST_ADDRESS}"
    longest = {"reason": "x" * REASON_BYTES, "since": _SINCE, "url": url, "address": _LONGEST_ADDRESS}
    longest_class = max(LAYER_NAMES.values(), key=len)
    try:
        length = len(Template(text).substitute(longest, **{"class": longest_class}))
    except (KeyError, ValueError):
        variables = " ".join(f"${name}" for name in TEXT_VARIABLES)
        raise ZoneError(f"{path}: {key} = {text!r}: the variables are {variables}; $$ is a dollar sign") from None
    if length > RENDERED_BYTES:
        raise ZoneError(f"{path}: {key}: up to {length} characters with its variables: at most {RENDERED_BYTES}")


def _check_answers(path: Path, kind: str, answers: Sequence[Answer]) -> None:
    if not answers:
        raise ZoneError(f"{path}: answer: at least one [[answer]] with layer, code and text is needed")
    layers = [answer.layer for answer in answers]
    if (double := _first_double(layers)) is not None:
        raise ZoneError(f"{path}: answer: layer {LAYER_NAMES[Layer(double)]!r} appears twice: join the two")
    if (double := _first_double([code for answer in answers for code in answer.codes])) is not None:
        code = ipaddress.IPv4Address(double)
        raise ZoneError(f"{path}: answer: code {code} is given to two layers: each needs its own (MTA: four)")
    if kind == "block" and Layer.MTA in layers:
        raise ZoneError(
            f'{path}: kind = "block": a legitimate mail server (layer "mta") would be refused: use kind = "allow" '
            'in a zone of its own, or kind = "class"'
        )
    if kind == "allow" and BLOCKING_LAYERS.intersection(layers):
        raise ZoneError(
            f'{path}: kind = "allow": only the layer "mta" may be allowed: use kind = "block" or "class"'
        )


def _first_double(values: Iterable[int]) -> int | None:
    seen: set[int] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None

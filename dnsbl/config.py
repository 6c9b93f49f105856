"""The configuration: one TOML file, each key also as an environment variable, every default on loopback.

``[dns] port = 53`` in the file is ``VEDETTE_DNS_PORT=53`` in the environment, which wins. Nothing here opens a
socket or a zone file: values in, values or :class:`~dnsbl.errors.ConfigError` out.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dnsbl.errors import ConfigError

ENVIRONMENT_PREFIX = "VEDETTE_"
MEBIBYTE = 1 << 20
#: What a reply over UDP can spare beside the longest question.
NSID_BYTES = 128
#: One string of a TXT record.
VERSION_BYTES = 255


class Dns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The authoritative DNS server."""

    host: str = "127.0.0.1"
    port: int = 5353
    threads: int = 1
    tcp_connections: int = 256
    tcp_idle_seconds: float = 10.0
    #: Which of several servers this is, for NSID and id.server.
    nsid: str = ""
    #: What version.bind says; empty: REFUSED.
    version: str = "vedette"
    #: DNS cookies, under this secret in 32 hexadecimal digits, or else one that is made at each start.
    cookies: bool = False
    cookie_secret: str = ""
    #: Replies over UDP for a client's /24 or /56; 0: no limit.
    rate_limit_per_second: int = 0
    #: Beyond the limit each so many-th reply is truncated, so that the client asks over TCP; 0: none.
    rate_slip: int = 2
    #: Beyond the limit replies are dropped, or with "code" addresses are answered 127.255.255.255.
    over_limit: str = "drop"


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The HTTP API and the pages."""

    host: str = "127.0.0.1"
    port: int = 8053
    #: What people and TXT records are given; made of host and port if empty.
    public_url: str = ""
    #: A batch's size after decompression.
    batch_bytes: int = 256 * MEBIBYTE


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The NetFlow and IPFIX collector; exporters are believed by their address."""

    host: str = "127.0.0.1"
    port: int = 2055
    enabled: bool = True
    exporters: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class Resolver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where reverse names are looked up; none: only what the log says is used."""

    nameservers: tuple[str, ...] = ()
    timeout_seconds: float = 2.0
    concurrency: int = 64


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be published."""

    #: Prefixes that are never listed, whatever is seen.
    never: tuple[str, ...] = ()
    #: The brake: more new bot listings than this in an hour, in all or in one /16 (IPv6: /32), are held.
    brake_per_hour: int = 100_000
    brake_per_network_hour: int = 8_192
    dry_run: bool = False


class Intake(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of the intake and the rhythm of what happens in the background."""

    queue_bytes: int = 256 * MEBIBYTE
    checkpoint_seconds: float = 10.0
    rejudge_seconds: float = 30.0
    dedupe_days: float = 7.0


class Tsig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key that secondaries sign with."""

    name: str
    algorithm: str = "hmac-sha256"
    #: A file that holds nothing but the secret in base64.
    secret_file: str


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be configured."""

    #: The domain under which the zones live: ``bl.<origin>`` and so on.
    origin: str = "vedette.test"
    data: str = "./var"
    #: Directory of zone files; empty: the ones that come with Vedette.
    zones: str = ""
    log_level: str = "info"
    tsig: tuple[Tsig, ...] = ()
    dns: Dns = msgspec.field(default_factory=Dns)
    http: Http = msgspec.field(default_factory=Http)
    flow: Flow = msgspec.field(default_factory=Flow)
    resolver: Resolver = msgspec.field(default_factory=Resolver)
    listing: Listing = msgspec.field(default_factory=Listing)
    intake: Intake = msgspec.field(default_factory=Intake)

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return Path(self.data)

    @property
    def public_url(self) -> str:
        """The base URL of the pages, without a slash at its end."""
        if self.http.public_url:
            return self.http.public_url.rstrip("/")
        host = f"[{self.http.host}]" if ":" in self.http.host else self.http.host
        return f"http://{host}:{self.http.port}"


_SECTIONS = {
    field.name: field.type
    for field in msgspec.structs.fields(Config)
    if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
}


def load(path: Path | None = None, environment: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """Return the configuration of a file, the environment and ``overrides`` (top-level keys), the last winning.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from None
    where = str(path) if path is not None else "configuration"
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            _set_from_environment(values, name, text)
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        config = msgspec.convert(values, Config, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}{_suggestion(str(error))}") from None
    _check(config, where)
    return config


def _set_from_environment(values: dict[str, Any], name: str, text: str) -> None:
    section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
    target = values
    if section in _SECTIONS and key:
        target = values.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"configuration: {section} = {target!r}: a table [{section}] is needed")
        owner: type[msgspec.Struct] = _SECTIONS[section]
    else:
        key, owner = name.removeprefix(ENVIRONMENT_PREFIX).lower(), Config
    fields = {field.name: field.type for field in msgspec.structs.fields(owner)}
    if key not in fields or key in _SECTIONS:
        raise ConfigError(f"environment: {name}: there is no such key{_did_you_mean(key, list(fields))}")
    parts: Any = [part.strip() for part in text.split(",") if part.strip()]
    value = parts if fields[key] == tuple[str, ...] else text
    try:
        target[key] = msgspec.convert(value, fields[key], strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"environment: {name}={text!r}: {error}") from None


def _suggestion(message: str) -> str:
    if "unknown field" not in message:
        return ""
    unknown = message.split("`")[1]
    path = message.split("`")[3] if message.count("`") >= 4 else "$"
    owner = _SECTIONS.get(path.removeprefix("$").strip("."), Config)
    return _did_you_mean(unknown, [field.name for field in msgspec.structs.fields(owner)])


def _did_you_mean(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"; did you mean `{close[0]}`?" if close else f"; known keys: {', '.join(known)}"


#: (section, key): the least that makes sense.
_AT_LEAST = {
    ("dns", "tcp_connections"): 1,
    ("dns", "tcp_idle_seconds"): 0.1,
    ("dns", "rate_limit_per_second"): 0,
    ("dns", "rate_slip"): 0,
    ("http", "batch_bytes"): 1024,
    ("resolver", "timeout_seconds"): 0.1,
    ("resolver", "concurrency"): 1,
    ("listing", "brake_per_hour"): 0,
    ("listing", "brake_per_network_hour"): 0,
    ("intake", "queue_bytes"): 1024,
    ("intake", "checkpoint_seconds"): 0.1,
    ("intake", "rejudge_seconds"): 0.1,
    ("intake", "dedupe_days"): 0,
}


def _check(config: Config, where: str) -> None:
    for (section, key), least in _AT_LEAST.items():
        value = getattr(getattr(config, section), key)
        if not value >= least:
            raise ConfigError(f"{where}: {section}.{key} = {value}: at least {least}")
    ports = {"dns.port": config.dns.port, "http.port": config.http.port, "flow.port": config.flow.port}
    for key, port in ports.items():
        if not 0 <= port <= 65535:
            raise ConfigError(f"{where}: {key} = {port}: a port lies between 0 (any free one) and 65535")
    for key, host in (
        ("dns.host", config.dns.host),
        ("http.host", config.http.host),
        ("flow.host", config.flow.host),
        *(("resolver.nameservers", name.rsplit("@", 1)[0]) for name in config.resolver.nameservers),
    ):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ConfigError(f"{where}: {key} = {host!r}: an IP address is needed") from None
    for key, networks in (("listing.never", config.listing.never), ("flow.exporters", config.flow.exporters)):
        for text in networks:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ConfigError(f"{where}: {key}: {text!r} is not a prefix: {error}") from None
    if not 1 <= config.dns.threads <= 64:
        raise ConfigError(f"{where}: dns.threads = {config.dns.threads}: between 1 and 64")
    if config.log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"{where}: log_level = {config.log_level!r}: debug, info, warning or error")
    for key, text, most in (
        ("dns.nsid", config.dns.nsid, NSID_BYTES),
        ("dns.version", config.dns.version, VERSION_BYTES),
    ):
        if len(text) > most or not (text.isascii() and text.isprintable()):
            raise ConfigError(f"{where}: {key} = {text!r}: at most {most} printable ASCII characters")
    if config.dns.over_limit not in ("drop", "code"):
        raise ConfigError(f"{where}: dns.over_limit = {config.dns.over_limit!r}: drop or code")
    if not re.fullmatch(r"([0-9a-fA-F]{32})?", config.dns.cookie_secret):
        raise ConfigError(f"{where}: dns.cookie_secret: 32 hexadecimal digits are needed, or none at all")
    labels = config.origin.rstrip(".").split(".")
    if not config.origin.isascii() or any(not 0 < len(label) < 64 for label in labels):
        raise ConfigError(f"{where}: origin = {config.origin!r}: a domain name in ASCII is needed")

"""``vedette doctor``: what keeps Vedette from working, or soon will, each with its remedy."""

import importlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import click

import profiler
from dnsbl.cli.client import Api, UnreachableError, url_of
from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json
from dnsbl.cli.published import load
from dnsbl.config import Config
from dnsbl.errors import DnsblError
from dnsbl.registry import Registry
from profiler.database import FILE_NAME, open_database
from profiler.errors import ProfilerError

OK, WARNING, FAILURE = "ok", "warning", "failure"
ASK_SECONDS = 3.0
FREE_BYTES = 1 << 30
SILENT_SECONDS = 24 * 3600
#: Of each of the three hot loops: parse, fold, answer.
COMPILED = ("profiler.parse.postfix", "profiler.profile.table", "dnsbl.wire.answer")
#: A PTR question for 127.0.0.1, which every resolver answers by itself (RFC 6303).
_QUESTION = b"\x56\x44\x01\0\0\1\0\0\0\0\0\0\0011\0010\0010\003127\007in-addr\004arpa\0\0\x0c\0\1"


class Finding(NamedTuple):
    """What one check found; ``remedy`` is empty where all is well."""

    check: str
    state: str
    what: str
    remedy: str = ""


@click.command()
@with_output
@with_config
def command(config: Config, output: str) -> None:
    """Look for what keeps Vedette from working, and say what to do.

    Exit status 1 if something fails; warnings alone leave 0.
    """
    findings = [finding for check in CHECKS for finding in check(config)]
    if output == JSON:
        echo_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            remedy = f" → {finding.remedy}" if finding.remedy else ""
            click.echo(f"{finding.state:<8} {finding.check}: {finding.what}{remedy}")
    if any(finding.state == FAILURE for finding in findings):
        click.get_current_context().exit(1)


def _packages(config: Config) -> Iterator[Finding]:
    where = Path(profiler.__file__).parent
    if not (where / "observation.py").exists():
        yield Finding(
            "packages", FAILURE, f"`profiler` is imported from {where} and is not Vedette's",
            "uninstall the distribution `profiler`, or use a virtual environment of its own",
        )  # fmt: skip
        return
    for name in COMPILED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            yield Finding("packages", FAILURE, f"a compiled part is missing: {error}", "build it: `make build`")
            return
    yield Finding("packages", OK, f"complete, in {where.parent}")


def _zones(config: Config) -> Iterator[Finding]:
    try:
        zones = load(config)
    except DnsblError as error:
        yield Finding("zones", FAILURE, str(error), "correct the file; `vedette zone check` says when it is right")
        return
    yield Finding("zones", OK, ", ".join(zone.origin for zone in zones))
    dry = [zone.origin for zone in zones if zone.dry_run]
    if dry or config.listing.dry_run:
        what = ", ".join(dry) or "all (listing.dry_run)"
        yield Finding("zones", WARNING, f"dry run, only test entries are answered: {what}", "set dry_run = false")


def _data(config: Config) -> Iterator[Finding]:
    data = config.data_path
    if not data.exists():
        yield Finding("data", WARNING, f"{data} does not exist yet", "`vedette up` makes it")
        return
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "data", FAILURE, f"{data} may not be written", f"chown it to the user that runs Vedette: {data}"
        )
        return
    if data.stat().st_mode & 0o077:
        yield Finding("data", WARNING, f"{data} is open to other users", f"chmod 700 {data}")
    free = shutil.disk_usage(data).free
    enough = free >= FREE_BYTES
    yield Finding(
        "disk", OK if enough else WARNING, f"{free / (1 << 30):.1f} GiB free below {data}",
        "" if enough else "make room: without it batches are refused",
    )  # fmt: skip


def _database(config: Config) -> Iterator[Finding]:
    if not (config.data_path / FILE_NAME).exists():
        return
    try:
        with closing(open_database(config.data_path, read_only=True).conn) as connection:
            (said,) = connection.execute("pragma quick_check(1)").fetchone()
    except ProfilerError as error:
        yield Finding("database", FAILURE, str(error), "see above")
        return
    good = said == "ok"
    yield Finding("database", OK if good else FAILURE, said, "" if good else "restore it from a backup")


def _server(config: Config) -> Iterator[Finding]:
    url = url_of(config)
    try:
        with closing(Api(url, timeout_seconds=ASK_SECONDS)) as api:
            answer = api.request("GET", "/readyz")
    except UnreachableError:
        yield Finding("server", WARNING, f"none answers at {url}", "start it: `vedette up`")
        yield from _ports(config)
        return
    ready = answer.status == 200
    yield Finding(
        "server", OK if ready else FAILURE, f"{url} is {'ready' if ready else 'not ready'}",
        "" if ready else f"it says why: curl {url}/readyz",
    )  # fmt: skip


def _ports(config: Config) -> Iterator[Finding]:
    wanted = [
        ("dns", config.dns.host, config.dns.port, socket.SOCK_DGRAM),
        ("dns", config.dns.host, config.dns.port, socket.SOCK_STREAM),
        ("http", config.http.host, config.http.port, socket.SOCK_STREAM),
    ]
    if config.flow.enabled:
        wanted.append(("flow", config.flow.host, config.flow.port, socket.SOCK_DGRAM))
    for section, host, port, kind in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                probe.bind((host, port))
            except OSError as error:
                yield Finding(
                    "ports", FAILURE, f"{host} port {port} over {protocol}: {error.strerror}",
                    f"choose another with [{section}] host and port, or end what has it "
                    f"(`ss -lnp 'sport = {port}'`); below 1024 CAP_NET_BIND_SERVICE is needed",
                )  # fmt: skip
            else:
                yield Finding("ports", OK, f"{host} port {port} over {protocol} is free")


def _resolver(config: Config) -> Iterator[Finding]:
    if not config.resolver.nameservers:
        yield Finding("resolver", OK, "none configured: reverse names are taken from the logs alone")
    for name in config.resolver.nameservers:
        host, _, port = name.partition("@")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(ASK_SECONDS)
            try:
                asking.connect((host, int(port or 53)))
                asking.send(_QUESTION)
                answered = asking.recv(512)[:2] == _QUESTION[:2]
            except (OSError, ValueError):
                answered = False
        yield Finding(
            "resolver", OK if answered else FAILURE, f"{name} {'answers' if answered else 'does not answer'}",
            "" if answered else "name one that does in [resolver] nameservers, or none",
        )  # fmt: skip


def _clock(config: Config) -> Iterator[Finding]:
    newest = max(
        (path.stat().st_mtime for path in (config.data_path, Path(profiler.__file__)) if path.exists()), default=0.0
    )
    if time.time() + 60 < newest:
        yield Finding(
            "clock", FAILURE, "it is earlier than files that were written already",
            "set the clock, with NTP: records are refused if they lie in the future",
        )  # fmt: skip
    else:
        yield Finding("clock", OK, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def _feeds(config: Config) -> Iterator[Finding]:
    if not (config.data_path / FILE_NAME).exists():
        return
    with closing(Registry(config.data_path, read_only=True)) as registry:
        names = [feed.name for feed in registry.feeds()]
    seen = _last_received(config)
    if not names:
        yield Finding("feeds", WARNING, "there is none", "`vedette feed add NAME` makes one")
    for name in names:
        silent = time.time() - seen.get(name, 0) / 1e6
        if name not in seen:
            yield Finding(
                "feeds",
                WARNING,
                f"{name} has not delivered lately, or never",
                "point `vedette tail` or its sensor here",
            )
        elif silent > SILENT_SECONDS:
            yield Finding("feeds", WARNING, f"{name} is silent for {silent / 3600:.0f} hours", "look at its sensor")
        else:
            yield Finding("feeds", OK, f"{name} delivered {silent:.0f} s ago")


def _last_received(config: Config) -> dict[str, int]:
    """Return when each feed last delivered, in µs since 1970, as far as the journal remembers."""
    database = open_database(config.data_path, read_only=True)
    with closing(database.conn) as connection:
        if "journal" not in database.table_names():
            return {}
        return dict(connection.execute("select feed, max(received) from journal group by feed").fetchall())


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _packages, _zones, _data, _database, _server, _resolver, _clock, _feeds,
)  # fmt: skip

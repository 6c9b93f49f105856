"""``vedette export``: a zone as a file for other programs, the server running or not."""

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import click

from dnsbl.cli.options import Command, with_config
from dnsbl.cli.replace import replace_file
from dnsbl.cli.zone import load
from dnsbl.config import Config
from dnsbl.errors import ZoneError
from dnsbl.export import bind, nftables, plain, rbldnsd, rpz
from dnsbl.listing.codes import LAYER_NAMES, Layer
from dnsbl.listing.columns import Columns
from dnsbl.listing.store import ListingStore
from dnsbl.publisher import declared_entries
from dnsbl.registry import Registry
from dnsbl.zone.zone import Zone
from profiler.address import parse_network

STDOUT = "-"
LINES_OF_A_BLOCK = 10_000
#: What is written faster than one could look needs no counter.
LONG_SECONDS = 1.0
_CLEAR = "\r\x1b[K"

Lines = Callable[[Zone, Columns], Iterator[str]]


@click.group()
def command() -> None:
    """Write a zone as a file for other programs."""


def _with_zone(function: Command) -> Command:
    """Add ``--zone`` and ``-O``; ``function`` is given the loaded ``config``, too."""

    @click.option("--zone", "zone_name", required=True, metavar="NAME", help="Zone, as `vedette zone list` has it.")
    @click.option(
        "-O", "file", default=STDOUT, show_default=True, metavar="FILE", help="File to write; - is stdout."
    )
    @with_config
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)

    return wrapped


@command.command("rbldnsd")
@_with_zone
def rbldnsd_(config: Config, zone_name: str, file: str) -> None:
    """For rbldnsd, as its dataset type combined: it answers as Vedette does."""
    _export(config, zone_name, file, functools.partial(rbldnsd.lines, public_url=config.public_url))


@command.command("bind")
@_with_zone
def bind_(config: Config, zone_name: str, file: str) -> None:
    """For NSD, Knot and BIND, as a master file; prefixes become wildcards."""
    _export(config, zone_name, file, functools.partial(bind.lines, public_url=config.public_url))


@command.command("rpz")
@click.option(
    "--trigger", type=click.Choice(list(rpz.TRIGGERS)), default="answer", show_default=True,
    help="answer: names with a listed address do not exist. client: no name exists for a listed client.",
)  # fmt: skip
@_with_zone
def rpz_(config: Config, zone_name: str, file: str, trigger: str) -> None:
    """For resolvers, as a response policy zone."""
    _export(config, zone_name, file, functools.partial(rpz.lines, trigger=trigger))


@command.command("nftables")
@_with_zone
def nftables_(config: Config, zone_name: str, file: str) -> None:
    """For nft -f, as two sets of addresses in a table of their own."""
    _export(config, zone_name, file, nftables.lines)


@command.command("plain")
@_with_zone
def plain_(config: Config, zone_name: str, file: str) -> None:
    """As a list of addresses and prefixes, one a line."""
    _export(config, zone_name, file, plain.lines)


def _export(config: Config, zone_name: str, file: str, lines: Lines) -> None:
    zone = _zone(config, zone_name)
    columns = _columns(config, zone, int(time.time()))
    blocks = _counted(lines(zone, columns))
    if file == STDOUT:
        for block in blocks:
            sys.stdout.write(block)
        sys.stdout.flush()
    else:
        replace_file(Path(file), blocks)


def _zone(config: Config, name: str) -> Zone:
    zones = load(config)
    for zone in zones:
        if name.rstrip(".").lower() in (zone.name, zone.origin):
            return zone
    raise ZoneError(f"there is no zone {name!r}: one of {', '.join(zone.name for zone in zones)}")


def _columns(config: Config, zone: Zone, now: int) -> Columns:
    """Return what the zone needs of what the installation publishes; nothing is made or changed there."""
    columns = Columns(now)
    needed = {answer.layer for answer in zone.answers} | {Layer.MTA}
    if config.listing.dry_run:
        needed &= {Layer.OPERATOR}
    with closing(ListingStore(config.data_path, read_only=True)) as store:
        for layer in needed & LAYER_NAMES.keys():
            for is_v4 in (True, False):
                for rows in store.rows(layer, is_v4):
                    columns.add_rows(layer, is_v4, rows)
    with closing(Registry(config.data_path, read_only=True)) as registry:
        networks = registry.networks()
    columns.add_entries(declared_entries(networks, [parse_network(text) for text in config.listing.never]))
    return columns


def _counted(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines in blocks; count them on a terminal if it takes long."""
    is_seen = sys.stderr.isatty()
    start = time.monotonic()
    written, drawn = 0, False
    while block := list(islice(lines, LINES_OF_A_BLOCK)):
        yield "".join(block)
        written += len(block)
        if is_seen and time.monotonic() - start > LONG_SECONDS:
            click.echo(f"{_CLEAR}{written:,} lines", nl=False, err=True)
            drawn = True
    if drawn:
        click.echo(_CLEAR, nl=False, err=True)

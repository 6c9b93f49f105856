"""What an installation publishes, for the commands that write or compare zones, the server running or not."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import click

from dnsbl.cli.replace import replace_file
from dnsbl.config import Config
from dnsbl.errors import ZoneError
from dnsbl.listing.codes import LAYER_NAMES, Layer
from dnsbl.listing.columns import Columns
from dnsbl.listing.store import ListingStore
from dnsbl.publisher import declared_entries
from dnsbl.registry import Registry
from dnsbl.zone.zone import Zone, load_zones, packaged_zones
from profiler.address import parse_network

STDOUT = "-"
LINES_OF_A_BLOCK = 10_000
#: What is written faster than one could look needs no counter.
LONG_SECONDS = 1.0
_CLEAR = "\r\x1b[K"

Lines = Callable[[Zone, Columns], Iterator[str]]


def load(config: Config, directory: Path | None = None) -> tuple[Zone, ...]:
    """Return the zones of a directory, else the configured ones. ZoneError says which file and key is wrong."""
    return load_zones(zone_directory(config, directory), config.origin, config.public_url)


def zone_directory(config: Config, directory: Path | None = None) -> Path:
    """Return the directory given, else the configured one, else that of the zones that come with Vedette."""
    return directory or (Path(config.zones) if config.zones else packaged_zones())


def write_zone(config: Config, zone_name: str, file: str, lines: Lines) -> None:
    """Write a zone as it is now to ``file`` or STDOUT, in the form that ``lines`` gives it."""
    zone = zone_named(config, zone_name)
    columns = published(config, zone)
    blocks = _counted(lines(zone, columns))
    if file == STDOUT:
        for block in blocks:
            sys.stdout.write(block)
        sys.stdout.flush()
    else:
        replace_file(Path(file), blocks)


def zone_named(config: Config, name: str) -> Zone:
    """Return a zone by its name or origin. ZoneError names those there are."""
    zones = load(config)
    for zone in zones:
        if name.rstrip(".").lower() in (zone.name, zone.origin):
            return zone
    raise ZoneError(f"there is no zone {name!r}: one of {', '.join(zone.name for zone in zones)}")


def published(config: Config, zone: Zone, at: int | None = None) -> Columns:
    """Return what the zone needs of what the installation publishes; nothing is made or changed there.

    ``at`` takes the listings of an earlier time (seconds since 1970); networks are those declared now.
    """
    columns = Columns(int(time.time()) if at is None else at)
    needed = {answer.layer for answer in zone.answers} | {Layer.MTA}
    if config.listing.dry_run:
        needed &= {Layer.OPERATOR}
    with closing(ListingStore(config.data_path, read_only=True)) as store:
        for layer in needed & LAYER_NAMES.keys():
            for is_v4 in (True, False):
                for rows in store.rows(layer, is_v4, at):
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

"""``vedette zone``: the published zones: their files checked, what they publish shown, compared and taken over."""

import functools
import ipaddress
from pathlib import Path

import click

from dnsbl.cli import sides
from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json, echo_table
from dnsbl.cli.published import STDOUT, load, write_zone, zone_directory
from dnsbl.config import Config
from dnsbl.errors import DnsblError, ZoneError
from dnsbl.export import bind, rbldnsd
from dnsbl.export.difference import Change, difference
from dnsbl.listing.codes import LAYER_NAMES
from dnsbl.zone.check import Problem, check_directory, check_files
from dnsbl.zone.zone import Zone

FOUND = DIFFERENT = 1
FORMATS = {"bind": bind.lines, "rbldnsd": rbldnsd.lines}


@click.group()
def command() -> None:
    """See, check and compare the zones."""


@command.command("list")
@with_output
@with_config
def list_(config: Config, output: str) -> None:
    """List the zones with what they answer."""
    zones = load(config)
    if output == JSON:
        echo_json([_as_json(zone) for zone in zones])
        return
    rows = [
        (zone.origin, zone.kind, zone.ttl,
         ", ".join(f"{ipaddress.IPv4Address(item.code)} {LAYER_NAMES[item.layer]}" for item in zone.answers))
        for zone in zones
    ]  # fmt: skip
    echo_table(("ZONE", "KIND", "TTL", "ANSWERS"), rows, "no zones")


@command.command()
@click.argument("places", nargs=-1, metavar="[DIR|FILE]...", type=click.Path(path_type=Path))
@with_output
@with_config
def check(config: Config, places: tuple[Path, ...], output: str) -> None:
    """Check zone files: those named, those of directories, or else those that are configured.

    Says of each file that cannot be used where it is wrong and what would be right. Exit status: 0 all can be
    used; 1 some cannot.
    """
    problems: list[Problem] = []
    checked = 0
    for place in places or (zone_directory(config),):
        if not place.exists():
            raise ZoneError(f"{place}: no such directory or file: name zone files (*.toml) or directories of them")
        files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
        what = config.origin, config.public_url
        problems += check_directory(place, *what) if place.is_dir() else check_files(files, *what)
        checked += len(files)
    if output == JSON:
        echo_json({"files": checked, "problems": [problem._asdict() for problem in problems]})
    elif problems:
        for problem in problems:
            click.echo(str(problem))
    else:
        click.echo(f"{checked} zone files can be used")
    click.get_current_context().exit(FOUND if problems else 0)


@command.command()
@click.argument("zone_name", metavar="ZONE")
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), default="bind", show_default=True,
              help="A master file, or a data file of rbldnsd's type combined.")  # fmt: skip
@click.option(
    "-o", "-O", "file", default=STDOUT, show_default=True, metavar="FILE", help="File to write; - is stdout."
)
@with_config
def dump(config: Config, zone_name: str, format_name: str, file: str) -> None:
    """Write all that a zone publishes now, the server running or not."""
    write_zone(config, zone_name, file, functools.partial(FORMATS[format_name], public_url=config.public_url))


@command.command()
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--ttl", "with_ttl", is_flag=True, help="Compare TTLs, too.")
@with_output
@with_config
def diff(config: Config, old: str, new: str, with_ttl: bool, output: str) -> None:
    """Say which names and records come, go and change from A to B.

    A and B are each a file that `vedette zone dump` or another wrote (master file), a zone file (*.toml) or a
    directory of them, ZONE as it is published now, or ZONE@TIME as it was then: TIME in seconds since 1970, which
    is what the SOA serial of a dump is, or in RFC 3339. Serials are not compared. Exit status: 0 the same;
    1 different; 2 trouble.
    """
    try:
        found = difference(*(sides.read(config, side, with_ttl) for side in (old, new)))
    except (DnsblError, OSError) as error:
        raise ZoneError(str(error)) from None
    if output == JSON:
        echo_json(
            {
                "added": [{"name": one.name, "records": one.added} for one in found.added],
                "removed": [{"name": one.name, "records": one.removed} for one in found.removed],
                "changed": [
                    {"name": one.name, "removed": one.removed, "added": one.added} for one in found.changed
                ],
            }
        )
    elif found:
        for change in sorted((*found.removed, *found.changed, *found.added)):
            _echo_change(change)
        click.echo(f"{len(found.added)} names come, {len(found.removed)} go, {len(found.changed)} change", err=True)
    click.get_current_context().exit(DIFFERENT if found else 0)


def _echo_change(change: Change) -> None:
    lines = [f"- {change.name} {record}" for record in change.removed]
    lines += [f"+ {change.name} {record}" for record in change.added]
    click.echo("\n".join(lines))


def _as_json(zone: Zone) -> dict[str, object]:
    return {
        "zone": zone.origin,
        "kind": zone.kind,
        "ttl": zone.ttl,
        "dry_run": zone.dry_run,
        "answers": [
            {"class": LAYER_NAMES[item.layer], "code": str(ipaddress.IPv4Address(item.code)), "ttl": item.ttl}
            for item in zone.answers
        ],
    }

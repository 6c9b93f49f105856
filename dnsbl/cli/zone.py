"""``vedette zone``: the published zones, as their files describe them."""

import ipaddress
from pathlib import Path

import click

from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json, echo_table
from dnsbl.config import Config
from dnsbl.listing.codes import LAYER_NAMES
from dnsbl.zone.zone import Zone, load_zones, packaged_zones


@click.group()
def command() -> None:
    """See and check the zone files."""


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
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@with_config
def check(config: Config, directory: Path | None) -> None:
    """Check the zone files of DIRECTORY, or else those that are configured."""
    zones = load(config, directory)
    click.echo(f"{len(zones)} zones can be used: {', '.join(zone.origin for zone in zones)}")


def load(config: Config, directory: Path | None = None) -> tuple[Zone, ...]:
    """Return the zones of a directory, else the configured ones. ZoneError says which file and key is wrong."""
    where = directory or (Path(config.zones) if config.zones else packaged_zones())
    return load_zones(where, config.origin, config.public_url)


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

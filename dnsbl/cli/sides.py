"""The two sides of ``vedette zone diff``: a word of the command line to names and their records."""

import datetime
from pathlib import Path

from dnsbl.cli.published import published, zone_named
from dnsbl.config import Config
from dnsbl.errors import ExportError, ZoneError
from dnsbl.export import bind, master
from dnsbl.export.difference import Records, of_zone
from dnsbl.zone.zone import load_zones, read_zone


def read(config: Config, side: str, with_ttl: bool) -> Records:
    """Return the records that ``side`` names.

    Raises:
        DnsblError, OSError: it cannot be read, or is nothing; says what would be right.
    """
    path = Path(side)
    if path.is_dir():
        records: dict[str, list[str]] = {}
        for zone in load_zones(path, config.origin, config.public_url):
            records |= of_zone(zone)
        return records
    if path.exists():
        if path.suffix == ".toml":
            return of_zone(read_zone(path, config.origin, config.public_url))
        return _of_file(path, with_ttl)
    name, is_past, moment = side.partition("@")
    try:
        zone = zone_named(config, name)
    except ZoneError as error:
        raise ZoneError(f"{side}: no such file, and {error}") from None
    columns = published(config, zone, _seconds(moment) if is_past else None)
    blocks = bind.lines(zone, columns, public_url=config.public_url)
    return master.read((line for block in blocks for line in block.splitlines()), with_ttl=with_ttl)


def _of_file(path: Path, with_ttl: bool) -> Records:
    try:
        with path.open(encoding="utf-8") as file:
            return master.read(file, with_ttl=with_ttl)
    except ExportError as error:
        raise ExportError(f"{path}: {error}: a master file is needed, as `vedette zone dump` writes it") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: no text: a master file is needed, as `vedette zone dump` writes it") from None


def _seconds(moment: str) -> int:
    if moment.isdigit():
        return int(moment)
    try:
        when = datetime.datetime.fromisoformat(moment)
    except ValueError:
        raise ZoneError(f"@{moment}: a time is needed: seconds since 1970, or like 2026-11-24T06:00:00Z") from None
    return int((when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp())

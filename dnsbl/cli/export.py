"""``vedette export``: a zone as a file for other programs, the server running or not."""

import functools
from typing import Any

import click

from dnsbl.cli.options import Command, with_config
from dnsbl.cli.published import STDOUT, write_zone
from dnsbl.config import Config
from dnsbl.export import bind, nftables, plain, rbldnsd, rpz


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
    write_zone(config, zone_name, file, functools.partial(rbldnsd.lines, public_url=config.public_url))


@command.command("bind")
@_with_zone
def bind_(config: Config, zone_name: str, file: str) -> None:
    """For NSD, Knot and BIND, as a master file; prefixes become wildcards."""
    write_zone(config, zone_name, file, functools.partial(bind.lines, public_url=config.public_url))


@command.command("rpz")
@click.option(
    "--trigger", type=click.Choice(list(rpz.TRIGGERS)), default="answer", show_default=True,
    help="answer: names with a listed address do not exist. client: no name exists for a listed client.",
)  # fmt: skip
@_with_zone
def rpz_(config: Config, zone_name: str, file: str, trigger: str) -> None:
    """For resolvers, as a response policy zone."""
    write_zone(config, zone_name, file, functools.partial(rpz.lines, trigger=trigger))


@command.command("nftables")
@_with_zone
def nftables_(config: Config, zone_name: str, file: str) -> None:
    """For nft -f, as two sets of addresses in a table of their own."""
    write_zone(config, zone_name, file, nftables.lines)


@command.command("plain")
@_with_zone
def plain_(config: Config, zone_name: str, file: str) -> None:
    """As a list of addresses and prefixes, one a line."""
    write_zone(config, zone_name, file, plain.lines)

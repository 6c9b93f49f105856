"""``vedette feed``: who may deliver traffic records."""

from contextlib import closing

import click

from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json, echo_table
from dnsbl.config import Config
from dnsbl.errors import StoreError
from dnsbl.registry import TRUSTS, Registry
from profiler.parse.registry import FORMATS

AUTO = "auto"


@click.group()
def command() -> None:
    """Add, list and remove feeds, and replace their tokens."""


@command.command()
@click.argument("name")
@click.option(
    "--format", "format_name", default=AUTO, show_default=True, metavar="FORMAT",
    help=f"Format of the records: {', '.join((AUTO, *FORMATS))}.",
)  # fmt: skip
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="It may speak about these only; repeat.")
@click.option("--timezone", default="UTC", show_default=True, metavar="NAME", help="Of dates that name none.")
@click.option(
    "--trust", type=click.Choice(TRUSTS), default=TRUSTS[0], show_default=True,
    help="own: it may list alone. foreign: it needs corroboration.",
)  # fmt: skip
@with_output
@with_config
def add(
    config: Config, name: str, format_name: str, networks: tuple[str, ...], timezone: str, trust: str, output: str
) -> None:
    """Add a feed and print its token, which is shown this once."""
    if format_name not in (AUTO, *FORMATS):
        raise StoreError(f"format {format_name!r} is unknown; known are {', '.join((AUTO, *FORMATS))}")
    with closing(Registry(config.data_path)) as registry:
        token = registry.add_feed(name, format=format_name, networks=networks, timezone=timezone, trust=trust)
    _show_token(name, token, output)


@command.command("list")
@with_output
@with_config
def list_(config: Config, output: str) -> None:
    """List the feeds."""
    with closing(Registry(config.data_path)) as registry:
        feeds = registry.feeds()
    if output == JSON:
        echo_json(feeds)
        return
    rows = [(feed.name, feed.format, feed.trust, feed.timezone, " ".join(feed.networks) or "any") for feed in feeds]
    echo_table(("NAME", "FORMAT", "TRUST", "TIMEZONE", "NETWORKS"), rows, "no feeds: `vedette feed add NAME`")


@command.command()
@click.argument("name")
@with_config
def remove(config: Config, name: str) -> None:
    """Remove a feed and its token; what it reported stays."""
    with closing(Registry(config.data_path)) as registry:
        registry.remove_feed(name)


@command.command()
@click.argument("name")
@with_output
@with_config
def rotate(config: Config, name: str, output: str) -> None:
    """Replace a feed's token and print the new one; the old one is void at once."""
    with closing(Registry(config.data_path)) as registry:
        token = registry.rotate_feed(name)
    _show_token(name, token, output)


def _show_token(name: str, token: str, output: str) -> None:
    if output == JSON:
        echo_json({"feed": name, "token": token})
    else:
        click.echo(token)
        click.echo(f"the token of feed {name}: it is not shown again", err=True)

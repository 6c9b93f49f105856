"""``vedette network``: what the owners of networks declare them to be used for."""

from contextlib import closing

import click

from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json, echo_table
from dnsbl.config import Config
from dnsbl.registry import USES, Registry


@click.group()
def command() -> None:
    """Declare what networks are used for."""


@command.command()
@click.argument("prefix", metavar="CIDR")
@click.option(
    "--use", type=click.Choice(USES), required=True,
    help="dynamic: customers' own machines, listed as such. servers: mail is to be expected.",
)  # fmt: skip
@click.option("--asn", type=int, metavar="N", help="Autonomous system that announces it.")
@click.option("--name", default="", help="What its owner calls it.")
@with_config
def add(config: Config, prefix: str, use: str, asn: int | None, name: str) -> None:
    """Declare a network; declaring it again replaces what was said."""
    with closing(Registry(config.data_path)) as registry:
        registry.add_network(prefix, use=use, asn=asn, name=name)


@command.command("list")
@with_output
@with_config
def list_(config: Config, output: str) -> None:
    """List the declared networks."""
    with closing(Registry(config.data_path)) as registry:
        networks = registry.networks()
    if output == JSON:
        echo_json(networks)
        return
    rows = [(network.prefix, network.use, network.asn, network.name) for network in networks]
    echo_table(("PREFIX", "USE", "ASN", "NAME"), rows, "no networks: `vedette network add CIDR --use dynamic`")


@command.command()
@click.argument("prefix", metavar="CIDR")
@with_config
def remove(config: Config, prefix: str) -> None:
    """Take a declaration back."""
    with closing(Registry(config.data_path)) as registry:
        registry.remove_network(prefix)

"""``vedette isp``: who pulls the infected addresses of which networks."""

from contextlib import closing

import click

from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json, echo_table
from dnsbl.config import Config
from dnsbl.registry import Registry


@click.group()
def command() -> None:
    """Add, list and remove ISPs, and replace their tokens."""


@command.command()
@click.argument("name")
@click.option("--network", "networks", multiple=True, required=True, metavar="CIDR", help="Its network; repeat.")
@with_output
@with_config
def add(config: Config, name: str, networks: tuple[str, ...], output: str) -> None:
    """Add an ISP and print its token, which is shown this once."""
    with closing(Registry(config.data_path)) as registry:
        token = registry.add_isp(name, networks)
    _show_token(name, token, output)


@command.command("list")
@with_output
@with_config
def list_(config: Config, output: str) -> None:
    """List the ISPs."""
    with closing(Registry(config.data_path)) as registry:
        isps = registry.isps()
    if output == JSON:
        echo_json(isps)
        return
    rows = [(isp.name, " ".join(isp.networks)) for isp in isps]
    echo_table(("NAME", "NETWORKS"), rows, "no ISPs: `vedette isp add NAME --network CIDR`")


@command.command()
@click.argument("name")
@with_config
def remove(config: Config, name: str) -> None:
    """Remove an ISP and its token."""
    with closing(Registry(config.data_path)) as registry:
        registry.remove_isp(name)


@command.command()
@click.argument("name")
@with_output
@with_config
def rotate(config: Config, name: str, output: str) -> None:
    """Replace an ISP's token and print the new one; the old one is void at once."""
    with closing(Registry(config.data_path)) as registry:
        token = registry.rotate_isp(name)
    _show_token(name, token, output)


def _show_token(name: str, token: str, output: str) -> None:
    if output == JSON:
        echo_json({"isp": name, "token": token})
    else:
        click.echo(token)
        click.echo(f"the token of ISP {name}: it is not shown again", err=True)

"""``vedette operator``: the token that may do everything over HTTP."""

from contextlib import closing

import click

from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json
from dnsbl.config import Config
from dnsbl.registry import Registry


@click.group()
def command() -> None:
    """Make the operator's token."""


@command.command()
@with_output
@with_config
def token(config: Config, output: str) -> None:
    """Replace the operator's token and print the new one; the old one is void at once."""
    with closing(Registry(config.data_path)) as registry:
        made = registry.operator_token()
    if output == JSON:
        echo_json({"operator": "operator", "token": made})
    else:
        click.echo(made)

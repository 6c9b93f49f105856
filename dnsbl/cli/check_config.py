"""``vedette check-config``: the configuration and the zone files, read as ``vedette up`` would read them."""

import click
import msgspec

from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json
from dnsbl.cli.published import load
from dnsbl.config import Config


@click.command()
@with_output
@with_config
def command(config: Config, output: str) -> None:
    """Say whether the configuration can be used, or what is wrong.

    With --json: the configuration as it is in effect, defaults and environment included, without its secrets.
    """
    zones = load(config)
    if output == JSON:
        echo_json(_without_secrets(config))
    else:
        click.echo(
            f"the configuration can be used: {len(zones)} zones under {config.origin}, data in {config.data}"
        )


def _without_secrets(config: Config) -> Config:
    if not config.dns.cookie_secret:
        return config
    return msgspec.structs.replace(config, dns=msgspec.structs.replace(config.dns, cookie_secret="(set)"))

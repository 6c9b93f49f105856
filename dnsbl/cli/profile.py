"""``vedette profile``: the profiles as bytes."""

import sys

import click

from dnsbl.cli.options import with_config
from dnsbl.config import Config
from profiler.profile import checkpoint


@click.group()
def command() -> None:
    """Write the profiles out."""


@command.command()
@with_config
def dump(config: Config) -> None:
    """Write all profiles of a stopped server to stdout, in binary: equal profiles give equal bytes."""
    sys.stdout.buffer.write(checkpoint.dump(config.data_path))

"""``vedette completion``: what makes a shell complete the command's words."""

import click
from click.shell_completion import get_completion_class

from dnsbl.cli import main

SHELLS = ("bash", "zsh", "fish")
#: Not VEDETTE_…: those are keys of the configuration.
VARIABLE = "_VEDETTE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what completes commands in a shell.

    For bash: add `eval "$(vedette completion bash)"` to ~/.bashrc.
    """
    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(main, {}, "vedette", VARIABLE).source())

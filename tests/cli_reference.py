"""Writes docs/cli.md from the command itself: ``python -m tests.cli_reference > docs/cli.md``."""

import inspect
from collections.abc import Iterator

import click

from dnsbl.cli import main

HEAD = """\
# The command line

This page is made from the command (`python -m tests.cli_reference > docs/cli.md`); a test holds the two equal.

Results go to stdout, everything else to stderr. An error is one line that says what to do. Exit status:

| status | meaning |
|---|---|
| 0 | it is done |
| 1 | it failed, or something was found (`vedette doctor`) |
| 2 | the command line, the configuration or a zone file cannot be used |
| 130 | interrupted |

Commands that change or show the registry, listings and zones work with the server running or not; a running server
takes changes over within a second. `--config` and `--data` choose which installation; environment variables are
keys of the configuration ([configuration.md](configuration.md)), and no other variable is read.
"""


def commands(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that can be run, with its words."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=ctx)
        if isinstance(command, click.Group):
            yield from commands(command, below)
        else:
            yield below.command_path, command


def reference() -> str:
    """Return the page."""
    parts = [HEAD]
    for path, command in commands(main, click.Context(main, info_name="vedette")):
        ctx = click.Context(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(ctx))
        parts.append(f"\n## `{path}`\n\n    {path} {usage}\n\n{inspect.cleandoc(command.help or '')}\n")
        rows = [
            f"| `{', '.join((*option.opts, *option.secondary_opts))}{_value(option)}` | {_about(option)} |\n"
            for option in command.params
            if isinstance(option, click.Option)
        ]
        if rows:
            parts.append("\n| option | |\n|---|---|\n" + "".join(rows))
    return "".join(parts)


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        choices = "\\|".join(option.type.choices)
        return f" {choices}"
    return f" {option.metavar or option.type.name.upper()}"


def _about(option: click.Option) -> str:
    about = option.help or ""
    if option.required:
        about += " Required."
    if option.show_default and not option.is_flag:
        about += f" Default: {option.default}."
    return about


if __name__ == "__main__":
    print(reference(), end="")

"""The options that several commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dnsbl import config as configuration

Command = Callable[..., None]

HUMAN = "human"
JSON = "json"


def with_config(function: Command) -> Command:
    """Add ``--config`` and ``--data``; ``function`` is given the loaded ``config``."""

    @click.option(
        "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Configuration (TOML)."
    )
    @click.option("--data", metavar="DIR", help="Data directory, instead of the configured one.")
    @functools.wraps(function)
    def wrapped(*args: Any, config_file: Path | None, data: str | None, **kwargs: Any) -> None:
        function(*args, config=configuration.load(config_file, data=data), **kwargs)

    return wrapped


def with_output(function: Command) -> Command:
    """Add ``-o human|json`` and ``--json``; ``function`` is given ``output``, HUMAN or JSON."""

    @click.option(
        "-o", "--output", type=click.Choice([HUMAN, JSON]), default=HUMAN, show_default=True, help="What to print."
    )
    @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
    @functools.wraps(function)
    def wrapped(*args: Any, output: str, as_json: bool, **kwargs: Any) -> None:
        function(*args, output=JSON if as_json else output, **kwargs)

    return wrapped


def with_format(function: Command) -> Command:
    """Add ``--format``, of what is read, and ``--timezone``, of its dates without one."""
    function = click.option(
        "--format", "format_name", default="auto", show_default=True, metavar="NAME",
        help="Format of the records; auto finds it out.",
    )(function)  # fmt: skip
    return click.option(
        "--timezone", default="UTC", show_default=True, metavar="NAME", help="Time zone of dates that name none."
    )(function)

"""What commands print: JSON for scripts, tables for people."""

from collections.abc import Sequence
from typing import Any

import click
import msgspec

GAP = "  "


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    click.echo(msgspec.json.encode(value))


def echo_table(head: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> None:
    """Print rows under their heads, columns aligned; ``nothing`` on stderr if there are none."""
    if not rows:
        click.echo(nothing, err=True)
        return
    cells = [list(head), *([("-" if cell in (None, "") else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        click.echo(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

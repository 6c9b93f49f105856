"""A progress bar on stderr that lets lines on stdout pass, and is silent where nobody looks."""

import sys
import time

import click

WIDTH = 30
BETWEEN_SECONDS = 0.2
#: What is read faster than one could look needs no bar.
LONG_BYTES = 8 << 20
_CLEAR = "\r\x1b[K"


class Progress:
    """Shows how much of ``total_bytes`` was read, on a terminal and for a long file only."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._shown = total_bytes >= LONG_BYTES and sys.stderr.isatty()
        self._next = 0.0
        self._drawn = False

    def at(self, read_bytes: int) -> None:
        """Draw the bar, not more often than one can see."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + BETWEEN_SECONDS
        share = min(read_bytes / self._total_bytes, 1.0)
        bar = ("#" * round(share * WIDTH)).ljust(WIDTH, "-")
        click.echo(f"{_CLEAR}[{bar}] {share:4.0%}", nl=False, err=True)
        self._drawn = True

    def clear(self) -> None:
        """Take the bar away, before something else is printed and at the end."""
        if self._drawn:
            click.echo(_CLEAR, nl=False, err=True)
            self._drawn = False
            self._next = 0.0

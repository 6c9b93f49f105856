"""``vedette parse``: what a format's parser makes of a log, line by line."""

from collections.abc import Iterator
from contextlib import closing

import click

from dnsbl.cli.logfile import LogFile
from dnsbl.cli.options import JSON, with_format, with_output
from dnsbl.cli.output import echo_json
from profiler.parse.registry import Parsed, open_parser
from profiler.parse.show import Joiner, shown

_LEADING = ("line", "time", "ip", "event", "reason")


@click.command()
@click.argument("file", metavar="FILE|-")
@with_format
@with_output
def command(file: str, format_name: str, timezone: str, output: str) -> None:
    """Show what is understood of a log.

    Prints an observation a line, in the order of FILE's lines. With --json it reads {"line", "time", "ip", "event",
    "reason", …}, or {"line", "rejected"} where FILE's line could not be understood. FILE may be compressed
    (.gz .zst .bz2 .xz).
    """
    with closing(LogFile(file)) as log:
        parser = open_parser(format_name, log.context(timezone))
        joiner = Joiner()
        for chunk in log.chunks(live=True):
            _echo(parser.feed(chunk), joiner, output)
        _echo(parser.feed(b"", final=True), joiner, output)


def _echo(parsed: Parsed, joiner: Joiner, output: str) -> None:
    for line in _in_order(parsed, joiner):
        if output == JSON:
            echo_json(line)
        elif "rejected" in line:
            click.echo(f"{line['line']}: rejected: {line['rejected']}")
        else:
            rest = " ".join(f"{name}={value}" for name, value in line.items() if name not in _LEADING)
            reason = f" {line['reason']}" if "reason" in line else ""
            click.echo(
                f"{line['line']}: {line['time']} {line['ip'] or '-'} {line['event']}{reason} {rest}".rstrip()
            )


def _in_order(parsed: Parsed, joiner: Joiner) -> Iterator[dict[str, object]]:
    """Yield observations and rejections by line; both come sorted, so they are only woven together."""
    rejected = iter(parsed.rejected)
    following = next(rejected, None)
    for line in shown(parsed.rows, joiner):
        number = line["line"]
        assert isinstance(number, int)
        while following and following[0] < number:
            yield {"line": following[0], "rejected": following[1]}
            following = next(rejected, None)
        yield line
    while following:
        yield {"line": following[0], "rejected": following[1]}
        following = next(rejected, None)

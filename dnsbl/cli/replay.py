"""``vedette replay``: what Vedette would have said, and when, had it read this log as it was written."""

from collections.abc import Iterator
from contextlib import closing

import click

from dnsbl.cli.logfile import LogFile
from dnsbl.cli.options import JSON, with_format, with_output
from dnsbl.cli.output import echo_json
from dnsbl.cli.progress import Progress
from profiler.address import parse_network
from profiler.parse.registry import open_parser
from profiler.replay import Replay, as_line
from profiler.sources.networks import Declaration, DeclaredNetworks, Use


@click.command()
@click.argument("file", metavar="FILE|-")
@with_format
@click.option("--dynamic", multiple=True, metavar="CIDR", help="Network of customers' own machines; repeat.")
@with_output
def command(file: str, format_name: str, timezone: str, dynamic: tuple[str, ...], output: str) -> None:
    """Run a log through the engine and print each change of verdict.

    Nothing is kept and no server is needed; the same FILE gives the same lines. With --json a line reads
    {"time", "ip", "class", "was", "confidence", "observations", "messages", "evidence"}. FILE may be compressed
    (.gz .zst .bz2 .xz). What was read is counted on stderr.
    """
    networks = DeclaredNetworks(Declaration(parse_network(text), Use.DYNAMIC) for text in dynamic)
    with closing(LogFile(file)) as log:
        replay = Replay(open_parser(format_name, log.context(timezone)), networks)
        progress = Progress(log.size_bytes)
        changes = 0
        for verdict in replay.run(_watched(log, progress)):
            changes += 1
            progress.clear()
            if output == JSON:
                echo_json(as_line(verdict))
            else:
                click.echo(_in_words(as_line(verdict)))
        progress.clear()
    click.echo(
        f"{replay.records} records, {replay.observations} observations, {replay.rejected} rejected; "
        f"{changes} changes of verdict",
        err=True,
    )


def _watched(log: LogFile, progress: Progress) -> Iterator[bytes]:
    for chunk in log.chunks():
        progress.at(log.read_bytes())
        yield chunk


def _in_words(line: dict[str, object]) -> str:
    evidence = line["evidence"]
    assert isinstance(evidence, list)
    says = "; ".join(item["says"] for item in evidence if item["class"] == line["class"] and item["weight"] > 0)
    return (
        f"{line['time']} {line['ip']}: {line['was']} → {line['class']} (confidence {line['confidence']}) after "
        f"{line['messages']} messages, {line['observations']} observations{': ' if says else ''}{says}"
    )

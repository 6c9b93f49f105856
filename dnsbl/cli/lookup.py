"""``vedette lookup``: what is known of an address, from the running server or else from its files."""

from contextlib import closing
from typing import Any

import click
import msgspec

from dnsbl.cli.client import Api, UnreachableError, url_of
from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json
from dnsbl.config import Config
from dnsbl.errors import StoreError
from profiler.address import Key, parse
from profiler.database import FILE_NAME

LOOKUP_SECONDS = 10.0
OK = 200


@click.command()
@click.argument("ip")
@click.option("--url", help="Server to ask, instead of the one that serves the data directory.")
@with_output
@with_config
def command(config: Config, ip: str, url: str | None, output: str) -> None:
    """Say what is known of an address."""
    key = parse(ip)
    report = _ask(url, key) if url else _ask_or_read(config, key)
    if output == JSON:
        echo_json(report)
    else:
        _tell(report)


def _ask(url: str, key: Key) -> dict[str, Any]:
    with closing(Api(url, timeout_seconds=LOOKUP_SECONDS)) as api:
        answer = api.request("GET", f"/v1/ip/{key}", headers={"Accept": "application/json"})
    report: dict[str, Any] = msgspec.json.decode(answer.body)
    if answer.status != OK:
        raise StoreError(f"{url}: {report.get('detail', answer.status)}")
    return report


def _ask_or_read(config: Config, key: Key) -> dict[str, Any]:
    url = url_of(config)
    try:
        return _ask(url, key)
    except UnreachableError:
        if not (config.data_path / FILE_NAME).exists():
            raise UnreachableError(
                f"no server answers at {url} and there is no data in {config.data}: start `vedette up`, or name "
                "one with --url or --data"
            ) from None
    from dnsbl.service import Service  # not needed to ask a server

    service = Service(config)
    try:
        service.catch_up()
        return service.lookup(key)
    finally:
        service.close()


def _tell(report: dict[str, Any]) -> None:
    classes = " and ".join(report["classes"]) or "unknown"
    click.echo(f"{report['ip']}: {classes}, confidence {report['confidence']}")
    for listing in report["listings"]:
        click.echo(
            f"  listed in {listing['zone']} as {listing['code']} since {listing['since']}: {listing['reason']}"
        )
    if not report["listings"]:
        click.echo("  not listed" + (" (held by the brake)" if report.get("held") else ""))
    for item in report["evidence"]:
        click.echo(f"  {item['weight']:+6.2f} for {item['class']}: {item['says']}")
    profile = report["profile"]
    if profile:
        click.echo(
            f"  {profile['observations']} observations, {profile['messages']} messages, "
            f"{profile['first_seen']} to {profile['last_seen']}"
        )
    if report["network"]:
        network = report["network"]
        click.echo(f"  network {network['prefix']}, declared {network['use']} {network['name']}".rstrip())

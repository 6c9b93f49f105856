"""``vedette listing``: what is listed, and what an operator lists by hand, the server running or not."""

import time
from contextlib import closing

import click

from dnsbl import offline
from dnsbl.cli.options import JSON, with_config, with_output
from dnsbl.cli.output import echo_json, echo_table
from dnsbl.config import Config
from dnsbl.errors import StoreError
from dnsbl.listing.codes import LAYER_NAMES, LAYERS_BY_NAME
from dnsbl.listing.place import network_of
from dnsbl.listing.store import Listing, ListingStore
from dnsbl.view import timestamp
from profiler.address import IPNetwork, parse, parse_network

SECONDS_A_DAY = 86_400
_LAYERS = [LAYER_NAMES[layer] for layer in sorted(LAYER_NAMES)]


@click.group()
def command() -> None:
    """List addresses by hand, and see what is listed."""


@command.command()
@click.argument("address", metavar="ADDRESS|CIDR")
@click.option("--reason", required=True, help="Why, in words: TXT records and the page say it.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Take it off after so many days.")
@with_output
@with_config
def add(config: Config, address: str, reason: str, days: float | None, output: str) -> None:
    """List an address or a prefix."""
    expires = int(time.time() + days * SECONDS_A_DAY) if days else 0
    listing = offline.add_listing(config, _network(address), reason, expires)
    if output == JSON:
        echo_json(_as_json(listing))
    else:
        click.echo(f"{listing.prefix} is listed")


@command.command()
@click.argument("address", metavar="ADDRESS|CIDR")
@click.option("--reason", default="by the operator", show_default=True, help="Why: the history says it.")
@with_output
@with_config
def remove(config: Config, address: str, reason: str, output: str) -> None:
    """Take off an address or a prefix; a single address is forgiven what it did up to now."""
    network = _network(address)
    layers = offline.remove_listing(config, network, reason)
    if output == JSON:
        echo_json({"prefix": str(network), "delisted": layers})
    elif layers:
        click.echo(f"{network} is no longer listed as {' and '.join(layers)}")
    else:
        raise StoreError(f"{network} is not listed as such: `vedette lookup` shows what lists an address")


@command.command()
@with_output
@with_config
def release(config: Config, output: str) -> None:
    """Publish what the brake holds back, after you looked at it."""
    released = offline.release_held(config)
    if output == JSON:
        echo_json([_as_json(listing) for listing in released])
    else:
        click.echo(f"{len(released)} listings released")


@command.command("list")
@click.option("--class", "layer", type=click.Choice(_LAYERS), help="Only listings of this kind.")
@with_output
@with_config
def list_(config: Config, layer: str | None, output: str) -> None:
    """List what is listed, except whole declared networks."""
    with closing(ListingStore(config.data_path)) as store:
        found = list(store.active(LAYERS_BY_NAME[layer] if layer else None))
    found.sort(key=lambda listing: (listing.network.version, listing.network, listing.layer))
    if output == JSON:
        echo_json([_as_json(listing) for listing in found])
        return
    rows = [
        (listing.prefix, LAYER_NAMES[listing.layer] + (" (held)" if listing.held else ""),
         timestamp(listing.since), timestamp(listing.expires), listing.reason)
        for listing in found
    ]  # fmt: skip
    echo_table(("PREFIX", "CLASS", "SINCE", "EXPIRES", "REASON"), rows, "nothing is listed")


def _network(text: str) -> IPNetwork:
    """Return the prefix that a word names; a bare IPv6 address means its /64."""
    return parse_network(text) if "/" in text else network_of(parse(text))


def _as_json(listing: Listing) -> dict[str, object]:
    return {
        "prefix": listing.prefix,
        "class": LAYER_NAMES[listing.layer],
        "since": timestamp(listing.since),
        "expires": timestamp(listing.expires),
        "reason": listing.reason,
        "confidence": listing.confidence,
        "held": listing.held,
    }

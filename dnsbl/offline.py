"""Hand-made changes by another process than the server: written to the store, and the server told to look."""

import contextlib
import time
from collections.abc import Iterator

import msgspec

from dnsbl.config import Config
from dnsbl.listing.codes import LAYER_NAMES, Layer
from dnsbl.listing.place import check_listable, network_of
from dnsbl.listing.store import Listing, ListingStore, Removal
from dnsbl.registry import Registry
from dnsbl.service import pardon_batch
from profiler.address import IPNetwork, key_of, parse_network
from profiler.journal import Journal


def add_listing(config: Config, network: IPNetwork, reason: str, expires: int = 0) -> Listing:
    """List a prefix by hand. ListingRefusedError, saying why, if it must never be listed."""
    check_listable(network, [parse_network(text) for text in config.listing.never])
    listing = Listing(str(network), Layer.OPERATOR, reason, int(time.time()), expires=expires, confidence=1.0)
    with _open(config) as (store, registry):
        store.apply([listing], [], listing.since)
        registry.touch()
    return listing


def remove_listing(config: Config, network: IPNetwork, reason: str) -> list[str]:
    """End what lists exactly this prefix, and forgive a single address its past; return the layers it left."""
    with _open(config) as (store, registry):
        layers = [listing.layer for listing in store.at(network) if listing.layer in (Layer.OPERATOR, Layer.BOT)]
        key = key_of(network.network_address)
        if network == network_of(key):
            journal = Journal(config.data_path, queue_bytes=1 << 20)
            journal.append(pardon_batch(key)).result()
            journal.close()
        store.apply([], [Removal(str(network), layer, reason) for layer in layers], int(time.time()))
        registry.touch()
    return [LAYER_NAMES[layer] for layer in layers]


def release_held(config: Config) -> list[Listing]:
    """Let what the brake holds be published, and return it."""
    with _open(config) as (store, registry):
        held = [msgspec.structs.replace(listing, held=False) for listing in store.active() if listing.held]
        store.apply(held, [], int(time.time()))
        registry.touch()
    return held


@contextlib.contextmanager
def _open(config: Config) -> Iterator[tuple[ListingStore, Registry]]:
    registry = Registry(config.data_path)
    store = ListingStore(config.data_path)
    try:
        yield store, registry
    finally:
        store.close()
        registry.close()

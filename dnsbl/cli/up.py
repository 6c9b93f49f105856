"""``vedette up``: the server, and what it says when it is ready."""

import contextlib
import logging
import os
from pathlib import Path

import click
import msgspec

from dnsbl.cli import demo
from dnsbl.cli.banner import banner
from dnsbl.cli.client import URL_FILE
from dnsbl.cli.options import with_config
from dnsbl.config import Config
from dnsbl.registry import Registry
from dnsbl.server import Listening, run
from dnsbl.service import Service

DEFAULT_FEED = "default"
TOKEN_FILE = "default-feed.token"
DEMO_DIRECTORY = "demo"

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--demo", "is_demo", is_flag=True, help="With a made network to look at, in the directory demo of DIR."
)
@with_config
def command(config: Config, is_demo: bool) -> None:
    """Start the server: DNS, HTTP and flows.

    TERM and INT end it; HUP reads the zone files again. The first start on an empty data directory makes a feed
    named default and keeps its token in the file default-feed.token.
    """
    logging.basicConfig(level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if is_demo:
        config = msgspec.structs.replace(config, data=str(config.data_path / DEMO_DIRECTORY))

    def ready(service: Service, listening: Listening) -> None:
        _write_private(config.data_path / URL_FILE, listening.url)
        token = first_feed(service.registry, config.data_path)
        click.echo(banner(config, service.live.zones, listening, token))
        if is_demo:
            click.echo(demo.play(service, listening))

    try:
        run(config, ready)
    finally:
        (config.data_path / URL_FILE).unlink(missing_ok=True)


def first_feed(registry: Registry, data: Path) -> str | None:
    """Return the token of the feed that the first start makes, None if its file was removed or never made."""
    path = data / TOKEN_FILE
    if registry.revision == 0:
        _write_private(path, registry.add_feed(DEFAULT_FEED, format="auto"))
    with contextlib.suppress(FileNotFoundError):
        return path.read_text("utf-8").strip()
    return None


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")

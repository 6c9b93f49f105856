"""A bot that is seen only as NetFlow: a customer's machine that starts to open port 25 everywhere."""

import pytest

from tests.e2e.dns import codes
from tests.e2e.flows import VERSIONS, Exporter, Flow
from tests.e2e.process import wait_until
from tests.e2e.server import Vedette

pytestmark = pytest.mark.e2e

DYNAMIC = "185.44.0.0/16"
BOT = "185.44.9.20"
SURFER = "185.44.9.21"  # web only
CUSTOMER = "185.44.9.22"  # hands its mail to one server
PROVIDER = "62.8.1.25"
ROUNDS = 8
DESTINATIONS_A_ROUND = 5
LISTED_WITHIN_SECONDS = 10.0
CODE_BOT = "127.0.0.4"
CODE_DECLARED = "127.0.0.10"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bot_seen_as_flows_is_listed_and_its_neighbours_are_not(version: str, vedette: Vedette) -> None:
    vedette.command("network", "add", DYNAMIC, "--use", "dynamic", "--name", "customers")
    wait_until(
        lambda: codes(vedette.dns_port, "dyn", BOT) == [CODE_DECLARED], LISTED_WITHIN_SECONDS,
        "the declared range is answered",
    )  # fmt: skip
    assert codes(vedette.dns_port, "bl", BOT) == []

    exporter = Exporter(version, vedette.flow_port)
    try:
        for number in range(ROUNDS):
            exporter.export(
                *_web(SURFER, number), *_web(CUSTOMER, number), Flow(CUSTOMER, PROVIDER, 25),
                *(Flow(BOT, f"80.{number}.{last}.25", 25) for last in range(1, DESTINATIONS_A_ROUND + 1)),
            )  # fmt: skip
    finally:
        exporter.close()

    wait_until(
        lambda: codes(vedette.dns_port, "bl", BOT) == [CODE_BOT], LISTED_WITHIN_SECONDS,
        "the bot is listed", details=lambda: str(vedette.lookup(BOT)),
    )  # fmt: skip
    assert codes(vedette.dns_port, "class", BOT) == [CODE_DECLARED, CODE_BOT]
    for neighbour in (SURFER, CUSTOMER):
        assert codes(vedette.dns_port, "bl", neighbour) == [], vedette.lookup(neighbour)
        assert codes(vedette.dns_port, "dyn", neighbour) == [CODE_DECLARED]


def _web(source: str, number: int) -> list[Flow]:
    return [Flow(source, f"81.{number}.{last}.80", 443) for last in range(1, DESTINATIONS_A_ROUND + 1)]

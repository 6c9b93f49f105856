"""The main job on real servers: Postfix's own log teaches Vedette, and Postfix refuses the bot by asking it."""

import ipaddress
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.postfix import Postfix
from tests.e2e.server import Vedette
from tests.e2e.smtp import Bot, Client, LegitimateServer, Outcome

pytestmark = pytest.mark.e2e

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MESSAGES_EACH = 200
TYPOS_EACH = 4
#: The bot starts when both servers have sent this many.
BOT_STARTS_AFTER = 40
BOT_PACE_SECONDS = 0.1
MOST_MESSAGES = 12
MOST_SECONDS = 2.0
GIVE_UP_MESSAGES = 60

NORTH = {"ipv4": "185.44.0.0/16", "ipv6": "2a02:1234::/32"}
SOUTH = "91.198.0.0/16"

BOTS = {"ipv4": Client("185.44.7.9"), "ipv6": Client("2a02:1234:5:6:89ab::7")}
# One in the bot's own network, one elsewhere: neither may suffer for its neighbour.
SERVERS = (Client("185.44.200.25", "mail.alpha.example"), Client("91.198.20.11", "mx1.beta.example"))


@pytest.mark.parametrize("family", BOTS)
def test_postfix_refuses_the_bot_and_keeps_the_servers(
    family: str, vedette: Vedette, postfix: Postfix, capsys: pytest.CaptureFixture[str]
) -> None:
    north = vedette.add_isp("north", *NORTH.values())
    south = vedette.add_isp("south", SOUTH)
    tail = vedette.tail(postfix.log, "mx", vedette.add_feed("mx"))
    bot = Bot(BOTS[family], seed=20)
    servers = [
        LegitimateServer(client, messages=MESSAGES_EACH, typos=TYPOS_EACH, seed=seed)
        for seed, client in enumerate(SERVERS)
    ]

    started = [threading.Event() for _ in servers]
    with ThreadPoolExecutor(len(servers)) as threads:
        results = [
            threads.submit(_send_all, server, postfix.port, event)
            for server, event in zip(servers, started, strict=True)
        ]
        for event in started:
            assert event.wait(timeout=60.0)
        outcomes, seconds = _send_until_refused(bot, postfix.port)
        legitimate = [result.result() for result in results]

    _say(capsys, family, outcomes, seconds)
    assert tail.running, tail.output()
    assert outcomes[0].accepted
    assert outcomes[-1].refused, f"never refused: {vedette.lookup(bot.client.address)}"
    assert "bl.vedette.test" in outcomes[-1].words
    assert len(outcomes) <= MOST_MESSAGES
    assert seconds <= MOST_SECONDS
    for sent in legitimate:
        assert len(sent) == MESSAGES_EACH
        assert not [outcome for outcome in sent if outcome.refused]
        assert sum(not outcome.accepted for outcome in sent) == TYPOS_EACH

    _assert_only_in(vedette, bot, north, south, family)

    status, answer = vedette.request(
        "POST", f"/v1/ip/{bot.client.address}/delist", token=north,
        body=b'{"reason": "cleaned"}', headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert status == 200, answer
    assert bot.ask_in(postfix.port).accepted
    assert _infected(vedette, NORTH[family], north) == []


def _send_all(server: LegitimateServer, port: int, started: threading.Event) -> list[Outcome]:
    outcomes = []
    try:
        for number in range(MESSAGES_EACH):
            outcomes.append(server.send(port))
            if number == BOT_STARTS_AFTER:
                started.set()
    finally:
        started.set()
    return outcomes


def _send_until_refused(bot: Bot, port: int) -> tuple[list[Outcome], float]:
    """Return what each message got, the refused one last, and the seconds from the first to that."""
    outcomes: list[Outcome] = []
    begun = time.monotonic()
    for number in itertools.count():
        time.sleep(max(begun + number * BOT_PACE_SECONDS - time.monotonic(), 0.0))
        outcomes.append(bot.send(port))
        if outcomes[-1].refused or len(outcomes) == GIVE_UP_MESSAGES:
            break
    return outcomes, time.monotonic() - begun


def _assert_only_in(vedette: Vedette, bot: Bot, north: str, south: str, family: str) -> None:
    """Check that the bot is in its own ISP's list and that no other ISP sees it."""
    prefix = NORTH[family]
    assert _infected(vedette, prefix, north) == [_unit(bot.client.address)]
    assert _infected(vedette, SOUTH, south) == []
    assert vedette.infected(prefix, south)[0] == 403
    assert vedette.infected(prefix, "")[0] == 401


def _infected(vedette: Vedette, prefix: str, token: str) -> list[Network]:
    status, answer = vedette.infected(prefix, token)
    assert status == 200, answer
    return [_unit(item["ip"]) for item in answer["infected"]]


def _unit(text: str) -> Network:
    """Return what is listed of an address: itself, or its IPv6 /64."""
    address = ipaddress.ip_interface(text).ip
    return ipaddress.ip_network((address, 32 if address.version == 4 else 64), strict=False)


def _say(capsys: pytest.CaptureFixture[str], family: str, outcomes: list[Outcome], seconds: float) -> None:
    what = "refused" if outcomes[-1].refused else "never refused: gave up"
    with capsys.disabled():
        print(f"\n{family} bot: {what} at message {len(outcomes)}, {seconds:.2f} s after its first connection")

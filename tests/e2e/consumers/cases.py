"""Who connects: one address of each kind and family, and how Vedette comes to know it, in its own real ways."""

import datetime
import json
from dataclasses import dataclass

from tests.e2e.dns import codes
from tests.e2e.process import wait_until
from tests.e2e.server import Vedette

LISTED = "listed by hand"
BOT = "bot"
DYNAMIC = "dynamic"
SERVER = "legitimate server"
#: A legitimate server that the operator listed by hand: the one case in which two lists disagree.
DISPUTED = "disputed"
UNKNOWN = "unknown"
#: Every zone answers with an error code.
ERROR = "error"
#: Listed by hand, while ``wl`` answers with an error code.
ERROR_ALLOWS = "error in wl"

ERROR_CODE = "127.255.255.254"
BLOCK_ZONES = ("bl", "dyn")
SCORE_ZONE = "class"
ALLOW_ZONE = "wl"
DYNAMIC_NETWORKS = ("85.10.0.0/16", "2a02:5678::/32")
SERVER_MESSAGES = 60
BOT_RECIPIENTS = 30
LISTED_WITHIN_SECONDS = 15.0


@dataclass(frozen=True)
class Case:
    """A connecting address and what it is."""

    kind: str
    address: str

    def __str__(self) -> str:
        return f"{self.kind} {self.address}"


CASES = (
    Case(LISTED, "91.198.77.7"),
    Case(BOT, "185.44.7.9"),
    Case(BOT, "2a02:1234:5:6:89ab::7"),
    Case(DYNAMIC, "85.10.20.30"),
    Case(DYNAMIC, "2a02:5678:1:2::9"),
    Case(SERVER, "91.198.20.11"),
    Case(SERVER, "2a02:4321::25"),
    Case(DISPUTED, "91.198.20.12"),
    Case(UNKNOWN, "62.8.1.25"),
    Case(UNKNOWN, "2a02:9999::1"),
    Case(ERROR, "62.8.1.77"),
    Case(ERROR, "2a02:9999:7:7::77"),
    Case(ERROR_ALLOWS, "91.198.77.8"),
)
#: What a server with `bl` and `dyn` to refuse by, and `wl` before them, has to refuse.
REFUSED = frozenset(case for case in CASES if case.kind in (LISTED, BOT, DYNAMIC, ERROR_ALLOWS))

#: The zones in which each kind is listed, with its code.
_PUBLISHED = {
    LISTED: {"bl": "127.0.0.2"},
    BOT: {"bl": "127.0.0.4"},
    DYNAMIC: {"dyn": "127.0.0.10"},
    SERVER: {"wl": "127.0.0.40"},
    DISPUTED: {"bl": "127.0.0.2", "wl": "127.0.0.40"},
    ERROR_ALLOWS: {"bl": "127.0.0.2"},
    UNKNOWN: {},
    ERROR: {},
}


def error_names() -> list[tuple[str, str]]:
    """Return (zone, address) of the questions that get an error code for an answer."""
    zones = {ERROR: (*BLOCK_ZONES, SCORE_ZONE, ALLOW_ZONE), ERROR_ALLOWS: (ALLOW_ZONE,)}
    return [(zone, case.address) for case in CASES for zone in zones.get(case.kind, ())]


def teach(vedette: Vedette) -> None:
    """Let Vedette know every case, and return when its answers say so."""
    token = vedette.add_feed("sensor", "ndjson")
    body = "".join(f"{json.dumps(line)}\n" for case in CASES for line in _observations(case))
    status, answer = vedette.post_batch("sensor", token, body.encode(), "cases")
    assert status == 202, answer
    assert answer["rejected"] == []
    for network in DYNAMIC_NETWORKS:
        vedette.command("network", "add", network, "--use", "dynamic")
    for case in CASES:
        if case.kind in (LISTED, DISPUTED, ERROR_ALLOWS):
            vedette.command("listing", "add", case.address, "--reason", "seen enough of it")
    for case in CASES:
        _wait(vedette, case)


def _wait(vedette: Vedette, case: Case) -> None:
    wanted = _PUBLISHED[case.kind]
    for zone in (*BLOCK_ZONES, ALLOW_ZONE):
        said = [wanted[zone]] if zone in wanted else []
        # `dyn` also has what the operator listed.
        said = ["127.0.0.2"] if zone == "dyn" and wanted.get("bl") == "127.0.0.2" else said
        wait_until(
            lambda zone=zone, said=said: codes(vedette.dns_port, zone, case.address) == said,  # type: ignore[misc]
            LISTED_WITHIN_SECONDS, f"{case} is {said} in {zone}", details=lambda: str(vedette.lookup(case.address)),
        )  # fmt: skip


def _observations(case: Case) -> list[dict[str, object]]:
    now, ip = datetime.datetime.now(datetime.UTC), case.address
    if case.kind == BOT:
        return [
            {
                "time": (now - datetime.timedelta(seconds=BOT_RECIPIENTS - number)).isoformat(), "ip": ip,
                "event": "reject", "reason": "unknown_recipient", "helo": f"host{number * 37}.lan",
                "rdns_verified": False, "sender_domain": f"shop{number}.example",
            }
            for number in range(BOT_RECIPIENTS)
        ]  # fmt: skip
    if case.kind in (SERVER, DISPUTED):
        return [
            {
                "time": (now - datetime.timedelta(minutes=SERVER_MESSAGES - number)).isoformat(), "ip": ip,
                "event": "message", "helo": "mx1.beta.example", "rdns": "mx1.beta.example", "rdns_verified": True,
                "sender_domain": "beta.example", "recipients": 1, "spf": "pass", "tls": True,
            }
            for number in range(SERVER_MESSAGES)
        ]  # fmt: skip
    return []

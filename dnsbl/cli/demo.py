"""``vedette up --demo``: a made network's log through the real front door, and where to look afterwards."""

import time
from contextlib import closing, suppress

from dnsbl.cli.client import Api, UnreachableError
from dnsbl.errors import StoreError
from dnsbl.server import Listening
from dnsbl.service import Service, question_of
from profiler import simulate
from profiler.address import parse

FEED = "sample"
ISP = "sample-isp"
#: So long, at most, is waited for the verdict on the last address.
VERDICT_SECONDS = 20.0
POLL_SECONDS = 0.1
ACCEPTED = 202


def play(service: Service, listening: Listening) -> str:
    """Post the log, wait for the verdicts, and return what there is to see, or what went wrong."""
    registry = service.registry
    with suppress(StoreError):  # there was no earlier demo
        registry.remove_feed(FEED)
        registry.remove_isp(ISP)
    registry.add_network(simulate.NETWORK, use="dynamic", asn=simulate.NETWORK_ASN, name=simulate.NETWORK_NAME)
    isp = registry.add_isp(ISP, [simulate.NETWORK])
    feed = registry.add_feed(FEED, format="postfix")
    service.refresh()
    try:
        _post(listening.url, feed)
    except UnreachableError as error:
        return f"demo: the sample log could not be posted: {error}"
    waiting = [host.address for host in (*simulate.BOTS, simulate.TURNED)]
    until = time.monotonic() + VERDICT_SECONDS
    while time.monotonic() < until and not all("bot" in _classes(service, address) for address in waiting):
        time.sleep(POLL_SECONDS)
    return _to_see(service, listening, isp)


def _post(url: str, token: str) -> None:
    with closing(Api(url, token)) as api:
        for batch in simulate.mail_log(time.time()):
            answer = api.request("POST", f"/v1/feeds/{FEED}/batches", batch)
            if answer.status != ACCEPTED:
                raise UnreachableError(answer.body.decode("utf-8", "replace"))


def _classes(service: Service, address: str) -> list[str]:
    return list(service.lookup(parse(address))["classes"])


def _to_see(service: Service, listening: Listening, isp: str) -> str:
    host, port = listening.dns
    lines = [f"The sample network ({simulate.DAYS:g} days of mail of made hosts) has been read. Look at:"]
    for what, hosts in (
        ("mail server", simulate.SERVERS),
        ("mail server, taken over", (simulate.TURNED,)),
        ("bot", simulate.BOTS),
        ("customer's machine", simulate.CUSTOMERS[:1]),
    ):
        for one in hosts:
            said = " and ".join(_classes(service, one.address)) or "unknown"
            lines.append(f"  {listening.url}/ip/{one.address}  {what}: judged {said}")
    question = question_of(parse(simulate.BOTS[0].address), f"bl.{service.config.origin}")
    lines += [
        f"  dig @{host} -p {port} +short {question} A",
        f"  curl -H 'Authorization: Bearer {isp}' {listening.url}/v1/networks/{simulate.NETWORK}/infected",
    ]
    return "\n".join(lines)

"""DNS questions to live zones, as a mail server asks them."""

import dnslib

from dnsbl.service import question_of
from dnsbl.zone.live import LiveZones
from profiler.address import parse

ORIGIN = "vedette.test"


def codes(live: LiveZones, zone: str, ip: str) -> list[str]:
    """Return the A records that a zone answers about an address."""
    question = question_of(parse(ip), f"{zone}.{ORIGIN}")
    answer = live.answer(dnslib.DNSRecord.question(question).pack())
    assert answer
    return [str(record.rdata) for record in dnslib.DNSRecord.parse(answer).rr if record.rtype == dnslib.QTYPE.A]


def listed(live: LiveZones, ip: str) -> dict[str, list[str]]:
    """Return what each zone answers about an address; zones that answer nothing are left out."""
    found = {zone: codes(live, zone, ip) for zone in ("bl", "dyn", "all", "wl", "class")}
    return {zone: given for zone, given in found.items() if given}

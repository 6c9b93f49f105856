"""What a lookup shows of an address: plain values for JSON, the page and the command line alike. Pure."""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dnsbl.listing.codes import LAYER_NAMES, MTA_TRUST_LEVELS, Layer
from dnsbl.listing.store import Listing
from dnsbl.zone.zone import Zone
from profiler.address import Key
from profiler.classify.decide import BOT_THRESHOLD
from profiler.classify.evidence import Class, class_names
from profiler.classify.judge import Verdict
from profiler.sources.networks import Declaration

_COUNTS = (
    "good", "bad_recipient", "bad_content", "refused", "protocol", "auth_fail", "flow", "submitted",
    "past_good", "past_bad", "past_flow", "past_other", "recent_good", "recent_bad", "helos", "destinations",
)  # fmt: skip


class Answered(NamedTuple):
    """What one zone answers about an address: its codes, as the DNS server gives them."""

    zone: Zone
    question: str
    codes: tuple[str, ...]


def timestamp(seconds: float) -> str | None:
    """Return seconds since 1970 as RFC 3339 in UTC, or None for 0."""
    if not seconds:
        return None
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def address(
    key: Key,
    verdict: Verdict | None,
    profile: np.void | None,
    listings: Sequence[Listing],
    answered: Iterable[Answered],
    declaration: Declaration | None,
    history: Sequence[Listing],
) -> dict[str, Any]:
    """Return the lookup of DESIGN §7: classes, confidence, listings, evidence, profile, network."""
    names = class_names(verdict.classes) if verdict else []
    declared_dynamic = declaration is not None and declaration.use.name == "DYNAMIC"
    if declared_dynamic and not names:
        names = ["dynamic"]
    clears_after = verdict.clears_after if verdict else 0.0
    return {
        "ip": str(key),
        "classes": names,
        "confidence": round(verdict.confidence, 4) if verdict else (1.0 if names else 0.0),
        "trust": MTA_TRUST_LEVELS[verdict.trust] if verdict and verdict.classes & Class.MTA else None,
        "since": timestamp(verdict.since / 1e6) if verdict and verdict.classes else None,
        "listings": [row for answer in answered for row in _listed(answer, listings)],
        "held": any(listing.held for listing in listings),
        "evidence": evidence(verdict),
        "score": {"bot": _score(verdict, "bot"), "listed_from": BOT_THRESHOLD},
        "clears_after_seconds": round(clears_after),
        "profile": numbers(profile),
        "network": network(declaration),
        "history": [
            {
                "layer": LAYER_NAMES[listing.layer],
                "since": timestamp(listing.since),
                "ended": timestamp(listing.ended or 0),
                # What a person wrote after the colon is the operator's to read.
                "why": (listing.ended_why or "").partition(":")[0],
            }
            for listing in history
        ],
    }


def evidence(verdict: Verdict | None) -> list[dict[str, Any]]:
    """Return the evidence, weightiest first."""
    return [
        {"name": item.name, "class": item.of, "weight": item.weight, "says": item.says}
        for item in (verdict.evidence if verdict else ())
    ]


def _score(verdict: Verdict | None, of: str) -> float:
    return round(sum(item.weight for item in (verdict.evidence if verdict else ()) if item.of == of), 3)


def _listed(answer: Answered, listings: Sequence[Listing]) -> list[dict[str, Any]]:
    """Return a row for each code that the zone answers, with the listing behind it."""
    rows = []
    by_layer = {listing.layer: listing for listing in reversed(listings) if not listing.held}
    for given in answer.zone.answers:
        listing = by_layer.get(given.layer)
        code = given.code + (listing.trust if listing and given.layer is Layer.MTA else 0)
        text = ".".join(str(code >> shift & 255) for shift in (24, 16, 8, 0))
        if text in answer.codes:
            rows.append(
                {
                    "zone": answer.zone.origin,
                    "layer": LAYER_NAMES[given.layer],
                    "code": text,
                    "since": timestamp(listing.since) if listing else None,
                    "expires": timestamp(listing.expires) if listing else None,
                    "reason": listing.reason if listing else "declared by the network's owner",
                    "question": answer.question,
                }
            )
    return rows


def numbers(profile: np.void | None) -> dict[str, Any]:
    """Return a profile in numbers: counts of about a day, ``past_`` of about a month, ``recent_`` of hours."""
    if profile is None:
        return {}
    counts = {name: round(float(profile[name]), 2) for name in _COUNTS}
    return {
        "first_seen": timestamp(int(profile["first"]) / 1e6),
        "last_seen": timestamp(int(profile["last"]) / 1e6),
        "observations": int(profile["observations"]),
        "messages": int(profile["messages"]),
        **counts,
    }


def network(declaration: Declaration | None) -> dict[str, Any]:
    """Return the declared network, empty if there is none."""
    if declaration is None:
        return {}
    return {
        "prefix": str(declaration.prefix),
        "use": declaration.use.name.lower(),
        "asn": declaration.asn,
        "name": declaration.name,
    }


def infected(
    listing: Listing, verdict: Verdict | None, profile: np.void | None, declaration: Declaration | None, isp: str
) -> dict[str, Any]:
    """Return one row of an ISP's list."""
    seen = numbers(profile)
    return {
        "ip": str(listing.network.network_address) if listing.network.version == 4 else listing.prefix,
        "class": "bot",
        "confidence": round(verdict.confidence if verdict else listing.confidence, 4),
        "first_seen": seen.get("first_seen"),
        "last_seen": seen.get("last_seen"),
        "listed_since": timestamp(listing.since),
        "expires": timestamp(listing.expires),
        "reason": listing.reason,
        "evidence": evidence(verdict),
        "asn": declaration.asn if declaration else None,
        "network": str(declaration.prefix) if declaration else None,
        "isp": isp or None,
    }

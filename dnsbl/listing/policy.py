"""Verdict to listing: which layers an address belongs in, and the reason in words that its TXT gives. Pure."""

from dnsbl.listing.codes import Layer
from dnsbl.listing.place import network_of
from dnsbl.listing.store import Listing, Removal
from profiler.address import is_reserved
from profiler.classify.evidence import CLASS_NAMES, Class
from profiler.classify.judge import Verdict

MICROSECONDS = 1_000_000
#: How many kinds of evidence a TXT names: the rest stands on the page that it links to.
REASONS_SHOWN = 2

#: Evidence by name, as a TXT says it: few distinct texts, without figures, as they are shared by listings.
_REASONS = {
    ("bot", "outcomes"): "mail to recipients that do not exist, or refused as spam",
    ("bot", "change"): "changed its behaviour",
    ("bot", "helos"): "changing HELO names",
    ("bot", "protocol"): "breaches of the SMTP dialogue",
    ("bot", "auth"): "failed logins",
    ("bot", "fanout"): "mail flows from a customer's address",
    ("bot", "other_feeds"): "reported by other operators",
    ("dynamic", "name"): "reverse name of a customer",
    ("dynamic", "neighbours"): "neighbours with customers' names",
    ("mta", "history"): "accepted mail",
    ("mta", "names"): "confirmed reverse name",
    ("mta", "declared_use"): "declared by the network's owner",
}
_LAYER_OF = {
    Class.BOT: Layer.BOT,
    Class.DYNAMIC: Layer.DYNAMIC_INFERRED,
    Class.MTA: Layer.MTA,
}


def changes_of(verdict: Verdict) -> tuple[list[Listing], list[Removal]]:
    """Return what a verdict lists and what it ends, in the layers that verdicts decide."""
    prefix = str(network_of(verdict.key))
    add: list[Listing] = []
    remove: list[Removal] = []
    for bit, layer in _LAYER_OF.items():
        listed = bool(verdict.classes & bit) and not is_reserved(verdict.key)
        if bit is Class.DYNAMIC and verdict.classes & Class.DECLARED:
            listed = False  # its owner's declaration lists the whole prefix
        if listed:
            add.append(_listing(verdict, bit, layer, prefix))
        else:
            remove.append(Removal(prefix, layer, f"no longer judged {CLASS_NAMES[bit]}"))
    return add, remove


def _listing(verdict: Verdict, bit: Class, layer: Layer, prefix: str) -> Listing:
    of = CLASS_NAMES[bit]
    evidence = tuple(item for item in verdict.evidence if item.of == of)
    words = [_REASONS[of, item.name] for item in evidence if item.weight > 0 and (of, item.name) in _REASONS]
    return Listing(
        prefix=prefix,
        layer=layer,
        reason=", ".join(words[:REASONS_SHOWN]) or "several small signs",
        since=verdict.time // MICROSECONDS,
        trust=verdict.trust if layer is Layer.MTA else 0,
        confidence=verdict.confidence,
        evidence=evidence,
    )

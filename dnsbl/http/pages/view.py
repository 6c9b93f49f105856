"""What the page of an address says: a lookup's report in, words and numbers for the template out. Pure.

Knows the report's shape (DESIGN §7, made by ``dnsbl.view``) and the names of the classes; must not know requests
or templates.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from profiler.address import Key

Report = Mapping[str, Any]


class Word(NamedTuple):
    """How a class is said: ``tone`` is a style of the page; ``evidence`` heads its table."""

    tone: str
    says: str
    evidence: str
    clears: str


#: In the order in which they matter to a reader.
CLASSES = {
    "bot": Word(
        "bad",
        "behaves like an infected host",
        "For and against: infected",
        "Find the infected machine or account behind this address and clean it.",
    ),
    "mta": Word("good", "is a legitimate mail server", "For and against: legitimate mail server", ""),
    "dynamic": Word(
        "warn",
        "is in address space of customers' own machines",
        "For and against: dynamic space",
        "Send mail through your provider's server. If this address is a mail server, give it a reverse name of "
        "its own that leads back to it, or have the network's owner declare it.",
    ),
}
CLEAN = Word("plain", "is not listed", "", "Nothing holds this address back here.")
LISTED = Word("bad", "is listed by the operator", "", "")
OPERATOR_CLEARS = "The operator of this server made an entry by hand: write to them."
HELD = "A listing is held back by the brake until the operator has looked at it."

PROFILE_LABELS = {
    "observations": "observations in all",
    "messages": "messages in all",
    "good": "messages accepted, today",
    "bad_recipient": "unknown recipients, today",
    "bad_content": "spam and traps, today",
    "refused": "refused by policy, today",
    "protocol": "protocol violations, today",
    "auth_fail": "failed logins, today",
    "flow": "flows to mail ports, today",
    "submitted": "submissions by users, today",
    "past_good": "accepted, this month",
    "past_bad": "bad, this month",
    "past_flow": "flows, this month",
    "past_other": "other, this month",
    "recent_good": "accepted, last hours",
    "recent_bad": "bad, last hours",
    "helos": "HELO names",
    "destinations": "destinations",
}
#: The widest bar of an evidence table, in the drawing's units, stands for this weight or more.
BAR_UNITS = 60
BAR_WEIGHT = 6.0
_DURATIONS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
_THIN_SPACE = "\u202f"
_MINUS = "\u2212"


class ListingView(NamedTuple):
    """One answer, with the exact DNS questions that are given it."""

    answer: str
    questions: list[str]
    since: str
    expires: str
    reason: str


class EvidenceView(NamedTuple):
    """One reason; ``bar`` is its weight's length, in the drawing's units."""

    says: str
    name: str
    weight: str
    tone: str
    bar: int


class Table(NamedTuple):
    """The evidence of one class, and its sum."""

    heading: str
    rows: list[EvidenceView]
    total: str
    threshold: str


class AddressView(NamedTuple):
    """The whole page. ``confidence`` is in words, empty if nothing was judged."""

    ip: str
    tone: str
    sentence: str
    confidence: str
    listings: list[ListingView]
    questions: Sequence[str]
    evidence: list[Table]
    profile: list[tuple[str, str]]
    network: list[tuple[str, str]]
    clears: list[str]
    history: list[tuple[str, str, str, str]]
    can_delist: bool


def view(key: Key, report: Report, questions: Sequence[str], *, by_hand: bool) -> AddressView:
    """Return what the page says of ``key``.

    ``questions`` are the names to ask the zones for; ``by_hand``: the operator listed it.
    """
    classes = [name for name in CLASSES if name in report["classes"]]
    words = [CLASSES[name] for name in classes] or [LISTED if report["listings"] else CLEAN]
    return AddressView(
        ip=str(key),
        tone=words[0].tone,
        sentence=f"{key} {' and '.join(word.says for word in words)}.",
        confidence=_confidence(report) if classes else "",
        listings=_listings(report["listings"]),
        questions=questions,
        evidence=list(_tables(report)),
        profile=list(_numbers(report["profile"])),
        network=list(_numbers(report["network"])),
        clears=list(_clears(report, words, by_hand)),
        history=[_past(one) for one in report["history"]],
        can_delist=by_hand or "bot" in classes,
    )


def duration(seconds: float) -> str:
    """Return a time span in its largest fitting unit, as ``3 hours``."""
    for length, name in _DURATIONS:
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def _clears(report: Report, words: Sequence[Word], by_hand: bool) -> Iterator[str]:
    yield from (word.clears for word in words if word.clears)
    if report["clears_after_seconds"]:
        wait = duration(report["clears_after_seconds"])
        yield f"If nothing more is seen, the suspicion has faded in about {wait} and the listing ends by itself."
    if by_hand:
        yield OPERATOR_CLEARS
    if report["held"]:
        yield HELD
    if [word.tone for word in words] == ["good"] and not by_hand:
        yield CLEAN.clears


def _listings(rows: Sequence[Report]) -> list[ListingView]:
    """Return the answers, those of several zones that say the same together."""
    found: dict[tuple[str, ...], ListingView] = {}
    for one in rows:
        same = (one["code"], one["reason"], str(one["since"]), str(one["expires"]))
        if same not in found:
            expires = _time(one["expires"]) or ("when its reasons fade" if one["since"] else "with the declaration")
            found[same] = ListingView(one["code"], [], _time(one["since"]), expires, one["reason"])
        found[same].questions.append(one["question"])
    return list(found.values())


def _tables(report: Report) -> Iterator[Table]:
    for name, word in CLASSES.items():
        found = [one for one in report["evidence"] if one["class"] == name]
        if found:
            threshold = f"listed from {_signed(report['score']['listed_from'])}" if name == "bot" else ""
            total = sum(one["weight"] for one in found)
            yield Table(word.evidence, [_evidence(one) for one in found], _signed(total), threshold)


def _evidence(one: Report) -> EvidenceView:
    weight = float(one["weight"])
    length = round(min(abs(weight), BAR_WEIGHT) / BAR_WEIGHT * BAR_UNITS)
    tone = "for" if weight > 0 else "against"
    return EvidenceView(one["says"], one["name"].replace("_", " "), _signed(weight), tone, length)


def _confidence(report: Report) -> str:
    # 100 % would promise what no inference can; a declaration is no inference.
    percent = min(100 * report["confidence"], 99.9) if report["evidence"] else 100 * report["confidence"]
    trust = f", trust {report['trust']}" if report["trust"] else ""
    return f"{percent:.1f}{_THIN_SPACE}%{trust}"


def _past(one: Report) -> tuple[str, str, str, str]:
    return one["layer"].replace("_", " "), _time(one["since"]), _time(one["ended"]), str(one["why"])


def _numbers(values: Report) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if value:
            yield PROFILE_LABELS.get(name, name.replace("_", " ")), _number(name, value)


def _number(name: str, value: object) -> str:
    if name == "asn":
        return f"AS{value}"
    if isinstance(value, int | float):
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
        return text.replace(",", _THIN_SPACE)
    return _time(value)


def _signed(weight: float) -> str:
    return f"{weight:+.2f}".replace("-", _MINUS)


def _time(value: object) -> str:
    text = "" if value is None else str(value)
    return text.replace("T", " ").replace("Z", " UTC") if text[10:11] == "T" and text.endswith("Z") else text

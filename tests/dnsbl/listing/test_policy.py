import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl.listing.codes import BLOCKING_LAYERS, Layer
from dnsbl.listing.policy import changes_of
from profiler.address import is_reserved, parse
from profiler.classify.decide import DETECTORS
from profiler.classify.evidence import Class, Evidence
from profiler.classify.judge import Verdict

IP = "185.44.2.66"
NOW = 1_793_491_200
#: What decide() can say: a mail server is nothing else (see tests of profiler.classify.decide).
POSSIBLE = [
    Class(0), Class.BOT, Class.DYNAMIC, Class.DYNAMIC | Class.DECLARED, Class.BOT | Class.DYNAMIC,
    Class.BOT | Class.DYNAMIC | Class.DECLARED, Class.MTA,
]  # fmt: skip


def verdict(classes: Class, ip: str = IP, **more) -> Verdict:
    fields = {
        "time": NOW * 1_000_000, "key": parse(ip), "classes": classes, "was": Class(0), "trust": 0,
        "confidence": 0.99, "since": NOW * 1_000_000, "observations": 9, "messages": 9, "evidence": (),
        "clears_after": 0.0,
    }  # fmt: skip
    return Verdict(**(fields | more))


@pytest.mark.parametrize(
    ("classes", "layers"),
    [
        (Class(0), []),
        (Class.BOT, [Layer.BOT]),
        (Class.DYNAMIC, [Layer.DYNAMIC_INFERRED]),
        (Class.DYNAMIC | Class.DECLARED, []),
        (Class.BOT | Class.DYNAMIC, [Layer.BOT, Layer.DYNAMIC_INFERRED]),
        (Class.BOT | Class.DYNAMIC | Class.DECLARED, [Layer.BOT]),
        (Class.MTA, [Layer.MTA]),
    ],
)
def test_each_class_has_its_layer_and_leaves_the_others(classes, layers) -> None:
    add, remove = changes_of(verdict(classes))
    assert [listing.layer for listing in add] == layers
    assert {removal.layer for removal in remove} == {Layer.BOT, Layer.DYNAMIC_INFERRED, Layer.MTA} - set(layers)
    assert {listing.prefix for listing in add} | {removal.prefix for removal in remove} == {IP + "/32"}


@pytest.mark.parametrize("classes", POSSIBLE)
def test_a_mail_server_is_never_listed_beside_what_blocks(classes) -> None:
    layers = {listing.layer for listing in changes_of(verdict(classes))[0]}
    assert not (Layer.MTA in layers and layers & BLOCKING_LAYERS)


@given(st.ip_addresses().filter(lambda address: is_reserved(parse(address.exploded))), st.sampled_from(POSSIBLE))
def test_reserved_space_is_never_listed(address, classes) -> None:
    assert changes_of(verdict(classes, address.exploded))[0] == []


def test_a_root_servers_address_is_never_listed() -> None:
    assert changes_of(verdict(Class.BOT, "198.41.0.4"))[0] == []


def test_ipv6_is_listed_by_64() -> None:
    [listing] = changes_of(verdict(Class.BOT, "2a00:1450:4:1::"))[0]
    assert listing.prefix == "2a00:1450:4:1::/64"


def test_the_reason_names_the_weightiest_evidence_of_its_class_without_figures() -> None:
    evidence = (
        Evidence("declared", "dynamic", 10.0, ""),
        Evidence("outcomes", "bot", 6.6, "6 recipients"),
        Evidence("source", "bot", 1.8, ""),
        Evidence("helos", "bot", 0.7, ""),
        Evidence("protocol", "bot", 0.7, ""),
    )
    [listing] = changes_of(verdict(Class.BOT | Class.DYNAMIC | Class.DECLARED, evidence=evidence))[0]
    assert listing.reason == "mail to recipients that do not exist, or refused as spam, changing HELO names"
    assert [item.of for item in listing.evidence] == ["bot"] * 4
    assert (listing.since, listing.confidence, listing.trust) == (NOW, 0.99, 0)


def test_evidence_against_is_no_reason() -> None:
    evidence = (Evidence("outcomes", "bot", -4.0, ""),)
    assert changes_of(verdict(Class.BOT, evidence=evidence))[0][0].reason == "several small signs"


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: f"{detector.of.name}-{detector.name}")
def test_every_detector_makes_a_reason_that_fits_a_txt(detector) -> None:
    evidence = (Evidence(detector.name, detector.of.name.lower(), 5.0, "x" * 500),)
    classes = detector.of
    reason = changes_of(verdict(classes, evidence=evidence))[0][0].reason
    assert 0 < len(reason) <= 120
    assert reason.isascii()


def test_only_a_mail_server_has_trust() -> None:
    assert changes_of(verdict(Class.MTA, trust=3))[0][0].trust == 3
    assert changes_of(verdict(Class.BOT, trust=3))[0][0].trust == 0

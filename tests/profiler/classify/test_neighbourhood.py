import numpy as np
import pytest

from profiler.address import parse
from profiler.classify.evidence import Class
from profiler.classify.neighbourhood import Neighbourhood, net_of
from profiler.observation import Sign
from profiler.profile.record import COLUMNS

GENERIC = int(Sign.RDNS_GENERIC)


def columns(*addresses: str, rdns: int = GENERIC, classes: int = 0) -> np.ndarray:
    made = np.zeros(len(addresses), COLUMNS)
    for i, address in enumerate(addresses):
        made["ip_hi"][i], made["ip_lo"][i] = parse(address).unit()
    made["rdns"], made["classes"] = rdns, classes
    return made


def slots(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint32)


def read(hood: Neighbourhood, slot: int, address: str) -> list[float]:
    return [float(found[0]) for found in hood.read(slots(slot), columns(address))]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("185.44.2.0", "185.44.2.255", True),
        ("185.44.2.255", "185.44.3.0", False),
        ("2a00:1450:4:1::1", "2a00:1450:4:ffff::1", True),
        ("2a00:1450:4:1::1", "2a00:1450:5:1::1", False),
    ],
)
def test_a_neighbourhood_is_a_24_or_a_48(one: str, other: str, together: bool) -> None:
    made = columns(one, other)
    nets = net_of(made["ip_hi"], made["ip_lo"])
    assert (nets[0] == nets[1]) == together


def test_others_are_counted_never_oneself() -> None:
    hood = Neighbourhood()
    hood.update(slots(0, 1, 2), columns("185.44.2.1", "185.44.2.2", "185.44.3.1"))
    assert read(hood, 0, "185.44.2.1") == [1, 1, 0]
    assert read(hood, 2, "185.44.3.1") == [0, 0, 0]
    assert read(hood, 5000, "185.44.2.9") == [2, 2, 0], "a slot that was never counted is nobody's"


def test_a_name_alone_is_known_but_not_generic() -> None:
    hood = Neighbourhood()
    hood.update(slots(0, 1), columns("185.44.2.1", "185.44.2.2", rdns=int(Sign.RDNS_VERIFIED)))
    hood.update(slots(2), columns("185.44.2.3", rdns=int(Sign.RDNS_NONE)))
    assert read(hood, 9, "185.44.2.9") == [2, 0, 0]


def test_changes_count_once_and_are_taken_back() -> None:
    hood = Neighbourhood()
    for _ in range(3):
        hood.update(slots(3000), columns("185.44.2.1", classes=Class.BOT))
    assert read(hood, 0, "185.44.2.2") == [1, 1, 1]
    hood.update(slots(3000), columns("185.44.2.1", rdns=int(Sign.RDNS_VERIFIED)))
    assert read(hood, 0, "185.44.2.2") == [1, 0, 0]
    hood.update(slots(), columns())
    assert read(hood, 0, "185.44.2.2") == [1, 0, 0]

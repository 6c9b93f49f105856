from dnsbl.listing.brake import WINDOW_SECONDS, Brake
from profiler.address import Key, parse

NOW = 1_793_491_200


def address(number: int) -> Key:
    return Key(0, 0xFFFF_2D00_0000 | number)


def test_in_all_only_so_many_pass_in_an_hour() -> None:
    brake = Brake(per_hour=10, per_network_hour=100)
    assert [brake.passes(address(number), NOW) for number in range(15)] == [True] * 10 + [False] * 5


def test_in_one_network_only_so_many_pass_and_others_are_free() -> None:
    brake = Brake(per_hour=100, per_network_hour=3)
    assert [brake.passes(address(number), NOW) for number in range(5)] == [True] * 3 + [False] * 2
    assert brake.passes(address(1 << 16), NOW), "the next /16"


def test_an_ipv6_network_is_a_32() -> None:
    brake = Brake(per_hour=100, per_network_hour=1)
    assert brake.passes(parse("2a00:1450:4:1::"), NOW)
    assert not brake.passes(parse("2a00:1450:9:1::"), NOW)
    assert brake.passes(parse("2a00:1451:4:1::"), NOW)


def test_the_window_slides() -> None:
    brake = Brake(per_hour=2, per_network_hour=2)
    assert brake.passes(address(1), NOW)
    assert brake.passes(address(2), NOW + 1800)
    assert not brake.passes(address(3), NOW + WINDOW_SECONDS - 1)
    assert brake.passes(address(3), NOW + WINDOW_SECONDS)
    assert not brake.passes(address(4), NOW + WINDOW_SECONDS)
    assert brake.passes(address(4), NOW + WINDOW_SECONDS + 1800)


def test_what_passed_passes_again_without_being_counted() -> None:
    brake = Brake(per_hour=2, per_network_hour=2)
    assert [brake.passes(address(1), NOW) for _ in range(5)] == [True] * 5
    assert brake.passes(address(2), NOW)
    assert not brake.passes(address(3), NOW)


def test_what_was_held_is_not_counted() -> None:
    brake = Brake(per_hour=1, per_network_hour=1)
    assert brake.passes(address(1), NOW)
    for second in range(100):
        assert not brake.passes(address(2), NOW + second)
    assert brake.passes(address(2), NOW + WINDOW_SECONDS)


def test_none_at_all_may_be_allowed() -> None:
    assert not Brake(0, 0).passes(address(1), NOW)

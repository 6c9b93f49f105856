import ipaddress

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from profiler.address import key_of, parse, parse_network
from profiler.sources.networks import Declaration, DeclaredNetworks, Use


def declared(*pairs: tuple[str, Use]) -> DeclaredNetworks:
    return DeclaredNetworks(Declaration(parse_network(text), use) for text, use in pairs)


def use_of(networks: DeclaredNetworks, ip: str) -> Use:
    found = networks.find(parse(ip))
    column = networks.uses(*(np.array([half], np.uint64) for half in parse(ip)))
    assert column.tolist() == [found.use if found else Use.UNDECLARED], "both ways of asking agree"
    return Use(int(column[0]))


def test_nothing_declared_is_undeclared() -> None:
    assert use_of(declared(), "185.44.2.1") is Use.UNDECLARED
    assert DeclaredNetworks().find(parse("185.44.2.1")) is None


def test_the_longest_prefix_wins_and_what_follows_it_is_the_outer_ones_again() -> None:
    networks = declared(
        ("185.44.0.0/16", Use.DYNAMIC), ("185.44.2.0/24", Use.STATIC), ("185.44.2.25/32", Use.SERVERS)
    )
    expected = {
        "185.43.255.255": Use.UNDECLARED,
        "185.44.0.0": Use.DYNAMIC,
        "185.44.1.255": Use.DYNAMIC,
        "185.44.2.0": Use.STATIC,
        "185.44.2.24": Use.STATIC,
        "185.44.2.25": Use.SERVERS,
        "185.44.2.26": Use.STATIC,
        "185.44.3.0": Use.DYNAMIC,
        "185.44.255.255": Use.DYNAMIC,
        "185.45.0.0": Use.UNDECLARED,
    }
    assert {ip: use_of(networks, ip) for ip in expected} == expected


def test_ipv6_is_declared_by_its_upper_half() -> None:
    networks = declared(("2a00:1450::/32", Use.DYNAMIC), ("2a00:1450:4:1::/64", Use.SERVERS))
    assert use_of(networks, "2a00:1450:4:1::25") is Use.SERVERS
    assert use_of(networks, "2a00:1450:4:2::25") is Use.DYNAMIC
    assert use_of(networks, "2a00:1451::1") is Use.UNDECLARED


def test_the_ends_of_the_address_space_are_covered() -> None:
    everything = declared(("0.0.0.0/0", Use.STATIC), ("::/0", Use.DYNAMIC))
    for ip, use in (("0.0.0.0", Use.STATIC), ("255.255.255.255", Use.STATIC)):
        assert use_of(everything, ip) is use
    for ip in ("::2", "2a00::1", "ffff:ffff:ffff:ffff::1"):
        assert use_of(everything, ip) is Use.DYNAMIC


def test_versions_do_not_mix() -> None:
    networks = declared(("185.44.0.0/16", Use.DYNAMIC))
    assert use_of(networks, "2a00::1") is Use.UNDECLARED
    assert use_of(declared(("2a00::/16", Use.DYNAMIC)), "185.44.2.1") is Use.UNDECLARED


def test_the_owner_is_found_with_the_prefix() -> None:
    cable = Declaration(parse_network("185.44.0.0/16"), Use.DYNAMIC, 64500, "Example Cable")
    assert DeclaredNetworks([cable]).find(parse("185.44.9.9")) == cable


_V4 = st.builds(
    lambda value, length: ipaddress.ip_network((value, length), strict=False),
    st.integers(0, 63).map(lambda low: 0x2D000000 | low << 2),
    st.integers(24, 32),
)
_V6 = st.builds(
    lambda value, length: ipaddress.ip_network((value, length), strict=False),
    st.integers(0, 63).map(lambda low: 0x2A00 << 112 | low << 64),
    st.integers(56, 64),
)


@given(
    st.lists(st.tuples(st.one_of(_V4, _V6), st.sampled_from(Use)), unique_by=lambda pair: pair[0], max_size=12),
    st.lists(
        st.one_of(
            st.integers(0, 300).map(lambda low: ipaddress.IPv4Address(0x2D000000 + low - 20)),
            st.integers(0, 300).map(lambda low: ipaddress.IPv6Address((0x2A00 << 112) + (low << 64) + 5)),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_lookup_of_columns_is_that_of_the_longest_prefix_by_hand(pairs, addresses) -> None:
    networks = DeclaredNetworks(Declaration(prefix, use) for prefix, use in pairs)
    keys = [key_of(address) for address in addresses]
    found = networks.uses(np.array([k.hi for k in keys], np.uint64), np.array([k.lo for k in keys], np.uint64))
    for address, use in zip(addresses, found.tolist(), strict=True):
        holding = [pair for pair in pairs if pair[0].version == address.version and address in pair[0]]
        expected = max(holding, key=lambda pair: pair[0].prefixlen)[1] if holding else Use.UNDECLARED
        assert use == expected, address

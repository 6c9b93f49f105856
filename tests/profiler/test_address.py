import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.address import Key, is_reserved, key_of, overlaps_reserved, parse, parse_network
from profiler.errors import AddressError


@given(st.ip_addresses())
def test_an_address_comes_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    key = parse(str(address)) if getattr(address, "scope_id", None) is None else key_of(address)
    mapped = getattr(address, "ipv4_mapped", None)
    assert key.address() == (mapped or address)


def test_ipv4_and_its_mapped_form_are_one() -> None:
    assert parse("192.0.2.1") == parse("::ffff:192.0.2.1") == Key(0, 0xFFFF_C000_0201)
    assert parse("192.0.2.1").is_v4
    assert str(parse("::ffff:192.0.2.1")) == "192.0.2.1"


def test_the_unit_is_the_address_or_its_64() -> None:
    assert parse("192.0.2.1").unit() == parse("192.0.2.1")
    assert parse("2001:db8:1:2:3::4").unit() == parse("2001:db8:1:2::")


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.256", "192.0.02.1", "fe80::1%eth0", "mx.example", " 192.0.2.1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match="is not an IPv4 or IPv6 address"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    ["10.1.2.3", "127.0.0.1", "192.168.1.1", "172.31.255.255", "100.64.0.1", "169.254.0.1", "224.0.0.1",
     "255.255.255.255", "0.0.0.0", "198.51.100.7", "198.41.0.4", "::1", "fe80::1", "fc00::1", "ff02::1",
     "2001:db8::1", "2002:808:808::1", "64:ff9b::808:808", "2001:500:2f::f"],
)  # fmt: skip
def test_reserved_space_and_root_servers_are_never_judged(text: str) -> None:
    assert is_reserved(parse(text))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "223.255.255.255", "2a00:1450::1", "2600::1"]
)
def test_public_space_is_judged(text: str) -> None:
    assert not is_reserved(parse(text))


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "10.0.0.0/24", "192.0.0.0/8", "198.41.0.0/24", "::/0", "2001:500:2f::/48"]
)
def test_a_prefix_that_touches_reserved_space_is_known(text: str) -> None:
    assert overlaps_reserved(parse_network(text))


def test_a_public_prefix_is_clean_and_a_crooked_one_refused() -> None:
    assert not overlaps_reserved(parse_network("185.10.0.0/16"))
    assert not overlaps_reserved(parse_network("2a00:1450::/32"))
    assert parse_network("185.10.0.1").prefixlen == 32
    with pytest.raises(AddressError, match="is not a prefix"):
        parse_network("185.10.0.1/16")

import pytest

from dnsbl.errors import ListingRefusedError
from dnsbl.listing.codes import LAYER_NAMES, LAYERS_BY_NAME, Layer
from dnsbl.listing.place import check_listable, network_of, place_of
from profiler.address import parse, parse_network


@pytest.mark.parametrize(
    ("text", "is_v4", "value", "length"),
    [
        ("185.44.2.66/32", True, 0xB92C0242, 32),
        ("185.44.0.0/16", True, 0xB92C0000, 16),
        ("2a00:1450:4:1::/64", False, 0x2A00_1450_0004_0001, 64),
        ("2a00:1450::/32", False, 0x2A00_1450_0000_0000, 32),
        ("2a00:1450:4:1::25/128", False, 0x2A00_1450_0004_0001, 64),
    ],
)
def test_where_a_prefix_stands(text, is_v4, value, length) -> None:
    place = place_of(Layer.BOT, parse_network(text))
    assert place == (Layer.BOT, is_v4, value, length)


def test_the_prefix_of_an_address() -> None:
    assert str(network_of(parse("185.44.2.66"))) == "185.44.2.66/32"
    assert str(network_of(parse("2a00:1450:4:1::25"))) == "2a00:1450:4:1::/64"


@pytest.mark.parametrize(
    "text", ["185.44.2.66", "185.44.0.0/16", "45.0.0.0/8", "2a00:1450:4:1::/64", "2a00:1400::/24"]
)
def test_ordinary_prefixes_may_be_listed(text: str) -> None:
    check_listable(parse_network(text), [parse_network("81.0.0.0/8"), parse_network("2c00::/16")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.0/8", "reserved"),
        ("10.1.2.3", "reserved"),
        ("0.0.0.0/0", "reserved"),
        ("198.41.0.0/24", "root server"),
        ("::/0", "reserved"),
        ("2001:db8::/64", "reserved"),
        ("44.0.0.0/7", "wider than /8"),
        ("2a00::/16", "wider than /19"),
        ("2a00:1450:4:1::25", "its /64"),
        ("81.2.3.4", "never-list"),
        ("81.2.3.0/24", "never-list"),
    ],
)
def test_what_must_never_be_is_refused_with_why(text: str, why: str) -> None:
    with pytest.raises(ListingRefusedError, match=why):
        check_listable(parse_network(text), [parse_network("81.2.3.4/32")])


def test_every_layer_but_the_never_list_has_a_name_of_its_own() -> None:
    assert set(LAYER_NAMES) == set(Layer) - {Layer.EXCLUDED}
    assert {LAYERS_BY_NAME[name]: name for name in LAYERS_BY_NAME} == LAYER_NAMES

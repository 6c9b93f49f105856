import pytest

from profiler.address import parse
from profiler.observation import Sign
from profiler.sources.fcrdns import signs_of

KEY = parse("185.44.2.66")


@pytest.mark.parametrize(
    ("confirmed", "unconfirmed", "signs"),
    [
        ([], [], Sign.RDNS_NONE),
        (["mx1.example.com"], ["mx1.example.com"], Sign.RDNS_VERIFIED | Sign.RDNS_SERVER),
        (["MX1.Example.COM."], [], Sign.RDNS_VERIFIED | Sign.RDNS_SERVER),
        ([], ["185-44-2-66.example.net"], Sign.RDNS_UNVERIFIED | Sign.RDNS_GENERIC),
        (["plain.example.net"], [], Sign.RDNS_VERIFIED),
        ([], ["büro.example.net"], Sign.RDNS_UNVERIFIED),
    ],
)
def test_names_become_signs(confirmed, unconfirmed, signs) -> None:
    assert signs_of(KEY, confirmed, unconfirmed) == signs


def test_a_confirmed_name_goes_before_any_other() -> None:
    found = signs_of(KEY, ["plain.example.net"], ["66.2.44.185.dsl.example.net", "plain.example.net"])
    assert found == Sign.RDNS_VERIFIED

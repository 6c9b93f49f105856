import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.address import parse
from profiler.name import helo_signs, name_signs, registrable
from profiler.observation import Sign

G, D, S, M = Sign.RDNS_GENERIC, Sign.RDNS_DYNAMIC, Sign.RDNS_STATIC, Sign.RDNS_SERVER
ADDRESS = "185.43.7.209"
V6 = "2a02:8108:9ac0:1f3c:20c:29ff:fe0a:b1c2"

NAMES = [
    # The address in decimal: forward, reversed, padded, glued, in part.
    ("185-43-7-209.isp.example", ADDRESS, G),
    ("209.7.43.185.isp.example", ADDRESS, G),
    ("host-185.043.007.209.isp.example", ADDRESS, G),
    ("ip185043007209.isp.example", ADDRESS, G),
    ("h185437209.isp.example", ADDRESS, G),
    ("209007043185.isp.example", ADDRESS, G),
    ("x-43-7.area5.isp.example", ADDRESS, G),
    ("7-209.west.isp.example", ADDRESS, G),
    ("r20943.isp.example", "10.8.43.209", G),
    ("B92B07D1.isp.example", ADDRESS, G),
    ("d1072bb9.isp.example", ADDRESS, G),
    # Its neighbour's address is not its own.
    ("185-44-8-209.isp.example", ADDRESS, Sign(0)),
    ("b92b07d2.isp.example", ADDRESS, Sign(0)),
    # Words.
    ("p5b3.dip0.t-isp.example", ADDRESS, G | D),
    ("185-43-7-209.dynamic.isp.example", ADDRESS, G | D),
    ("abts-dyn-77.isp.example", ADDRESS, G | D),
    ("c7.pppoe.isp.example", ADDRESS, G | D),
    ("adsl12.isp.example", ADDRESS, G | D),
    ("dhcp.city.isp.example", ADDRESS, G | D),
    ("pool-3.isp.example", ADDRESS, G | D),
    ("dial-up.modem.isp.example", ADDRESS, G | D),
    ("a7.cable.isp.example", ADDRESS, G),
    ("x.cpe.isp.example", ADDRESS, G),
    ("a.customer.isp.co.uk", ADDRESS, G),
    ("185-43-7-209.static.isp.example", ADDRESS, G | S),
    ("static-dsl-7.isp.example", ADDRESS, G | S),
    ("static-209.isp.example", ADDRESS, S),
    ("DYN-12.ISP.example", ADDRESS, G | D),
    # Servers.
    ("mail.company.example", ADDRESS, M),
    ("mx01.company.example", ADDRESS, M),
    ("smtp-out-3.company.example", ADDRESS, M),
    ("mta7.news.company.example", ADDRESS, M),
    ("outbound.mail.company.example", ADDRESS, M),
    ("mail.dsl.company.example", ADDRESS, M),
    ("mail-1-2.company.example", "9.1.2.7", M),
    ("mail-185-43-7-209.company.example", ADDRESS, M | G),
    ("relay.dynamic.185-43-7-209.isp.example", ADDRESS, M | G | D),
    ("a7.mail.company.example", ADDRESS, Sign(0)),
    # Plain names, and words that belong to the registrable domain or are only part of a word.
    ("www.company.example", ADDRESS, Sign(0)),
    ("mondschein.company.example", ADDRESS, Sign(0)),
    ("host.mobile.example", ADDRESS, Sign(0)),
    ("web.dynamic.co.uk", ADDRESS, Sign(0)),
    ("poolside.company.example", ADDRESS, Sign(0)),
    ("email2018.company.example", ADDRESS, M),
    ("company.example", ADDRESS, Sign(0)),
    ("localhost", ADDRESS, Sign(0)),
    ("", ADDRESS, Sign(0)),
    # IPv6.
    ("2a02-8108-9ac0-1f3c-20c-29ff-fe0a-b1c2.v6.isp.example", V6, G),
    ("p2a0281089ac01f3c.v6.isp.example", V6, G),
    ("2.c.1.b.a.0.e.f.f.f.9.2.c.0.2.0.isp.example", V6, G),
    ("2a02-8108-9ac0.dynamic.isp.example", V6, G | D),
    ("2a02-8109-1111.isp.example", V6, Sign(0)),
    ("mail.v6.isp.example", V6, M),
]


@pytest.mark.parametrize(("name", "address", "signs"), NAMES)
def test_a_name_says(name: str, address: str, signs: Sign) -> None:
    assert Sign(name_signs(name.encode(), *parse(address))) == signs


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("a.b.company.example", "company.example"),
        ("company.example", "company.example"),
        ("mail.company.co.uk", "company.co.uk"),
        ("mail.company.com.br", "company.com.br"),
        ("x.univ.ac.jp", "univ.ac.jp"),
        ("x.company.com", "company.com"),
        ("mail.company.de.", "company.de"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("", ""),
        (".", ""),
        ("..", ""),
    ],
)
def test_the_registrable_domain(name: str, domain: str) -> None:
    assert registrable(name.encode()) == domain.encode()


LITERAL, NODOT, GENERIC, MATCH, NAMED = (
    Sign.HELO_LITERAL, Sign.HELO_NODOT, Sign.HELO_GENERIC, Sign.HELO_MATCH, Sign.HELO_NAMED,
)  # fmt: skip


@pytest.mark.parametrize(
    ("helo", "rdns", "signs"),
    [
        ("[185.43.7.209]", "", LITERAL),
        ("185.43.7.209", "", LITERAL),
        ("[IPv6:2a02::1]", "", LITERAL),
        ("2a02::1", "", LITERAL),
        ("WIN-9QL4", "", NODOT),
        ("localhost.", "", NODOT),
        ("mx.company.example", "", NAMED),
        ("mx.company.example", "out7.company.example", NAMED | MATCH),
        ("MX.Company.Example", "company.example", NAMED | MATCH),
        ("mx.company.example", "mx.other.example", NAMED),
        ("mx.a.co.uk", "mx.b.co.uk", NAMED),
        ("185-43-7-209.isp.example", "185-43-7-209.isp.example", NAMED | GENERIC | MATCH),
        ("", "mx.company.example", Sign(0)),
    ],
)
def test_a_helo_says(helo: str, rdns: str, signs: Sign) -> None:
    assert Sign(helo_signs(helo.encode(), rdns.encode(), *parse(ADDRESS))) == signs


@given(st.binary(max_size=400), st.binary(max_size=400), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_any_bytes_are_a_name(name: bytes, other: bytes, hi: int, lo: int) -> None:
    assert 0 <= name_signs(name, hi, lo) < 1 << 8
    assert 0 <= helo_signs(name, other, hi, lo) < 1 << 13
    assert name_signs(name, 0, 0xFFFF << 32 | lo & 0xFFFFFFFF) >= 0
    assert name.rstrip(b".").endswith(registrable(name))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["{}-{}-{}-{}", "{3}.{2}.{1}.{0}", "h{:03}{:03}{:03}{:03}", "{:02x}{:02x}{:02x}{:02x}"]),
)
def test_every_spelled_address_is_generic(address: int, form: str) -> None:
    octets = address.to_bytes(4, "big")
    name = f"{form.format(*octets)}.isp.example".encode()
    assert name_signs(name, 0, 0xFFFF << 32 | address) & G

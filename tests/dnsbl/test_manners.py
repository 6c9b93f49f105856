"""How the configuration of DNS becomes the server's manners."""

from dnsbl.config import Config, Dns
from dnsbl.service import manners_of
from dnsbl.zone.manners import COOKIE_SECRET_BYTES, DEFAULT_MANNERS, Manners


def test_nothing_is_switched_on_by_itself() -> None:
    assert Manners(cookie_rotates=DEFAULT_MANNERS.cookie_rotates) == DEFAULT_MANNERS
    made = manners_of(Config())
    assert (made.nsid, made.version, made.cookie_secret) == (b"", b"vedette", b"")


def test_a_shared_secret_is_used_as_it_is() -> None:
    made = manners_of(Config(dns=Dns(nsid="ns1", version="", cookies=True, cookie_secret="0F" * 16)))
    assert made == Manners(nsid=b"ns1", version=b"", cookie_secret=b"\x0f" * 16, cookie_rotates=False)


def test_a_secret_of_its_own_is_new_at_each_start_and_rotates() -> None:
    first, second = (manners_of(Config(dns=Dns(cookies=True))) for _ in range(2))
    assert len(first.cookie_secret) == len(second.cookie_secret) == COOKIE_SECRET_BYTES
    assert first.cookie_secret != second.cookie_secret
    assert first.cookie_rotates

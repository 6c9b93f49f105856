"""Access in zone files."""

import pytest

from dnsbl.errors import ZoneError
from dnsbl.zone.access import Access
from dnsbl.zone.zone import load_zones

ZONE = 'name = "bl"\n{}\n[[answer]]\nlayer = "bot"\ncode = "127.0.0.4"\ntext = "bot"\n'


def access(directory, text, keys=None):
    if keys is not None:
        (directory / "keys").write_text(keys)
    (directory / "bl.toml").write_text(ZONE.format(text))
    (zone,) = load_zones(directory, "vedette.test", "http://x")
    return zone.access


def test_a_zone_is_open_unless_it_says_otherwise(tmp_path):
    assert access(tmp_path, "") == Access()


def test_prefixes_and_keys_are_read(tmp_path):
    text = 'allow = ["192.0.2.0/24", "2001:db8::/32"]\nrefused = "code"\nkeys = "keys"'
    keys = "# customers\nSecretKey9  # the first\n\nsecond-key\nsecretkey9\n"
    assert access(tmp_path, text, keys) == Access(
        ("192.0.2.0/24", "2001:db8::/32"), ("second-key", "secretkey9"), True
    )


@pytest.mark.parametrize(
    ("text", "keys", "says"),
    [
        ('allow = ["192.0.2.1/24"]', None, "allow: '192.0.2.1/24' is not a prefix"),
        ('refused = "no"', None, "one of refused, code"),
        ('keys = "keys"', None, "cannot be read"),
        ('keys = "keys"', "# none\n", "0 keys"),
        ('keys = "keys"', "goodkey12\nshort\n", "line 2"),
        ('keys = "keys"', "dotted.key\n", "line 1"),
        ('keys = "keys"', "x" * 64, "8 to 63"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_why(tmp_path, text, keys, says):
    with pytest.raises(ZoneError, match=says):
        access(tmp_path, text, keys)

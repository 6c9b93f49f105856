import base64

import pytest

from dnsbl.config import Tsig
from dnsbl.errors import ConfigError
from dnsbl.serve.keys import tsig_keys

SECRET = base64.b64encode(bytes(32)).decode()


def test_keys_are_read_from_their_files(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    keys = tsig_keys([Tsig(name="One.", secret_file=str(path)), Tsig(name="two", secret_file=str(path))])
    assert {name: key.secret for name, key in keys.items()} == {"one": bytes(32), "two": bytes(32)}


@pytest.mark.parametrize(
    ("text", "algorithm", "says"),
    [
        (None, "hmac-sha256", "cannot be read"),
        ("not base64", "hmac-sha256", "holds no secret in base64"),
        ("ü", "hmac-sha256", "holds no secret in base64"),
        ("QUJD", "hmac-sha256", "shorter than half the hash"),
        (SECRET, "hmac-md5", "one of hmac-sha256, hmac-sha384, hmac-sha512"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_with_its_name(tmp_path, text, algorithm, says):
    path = tmp_path / "secret"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="'one'.*" + says):
        tsig_keys([Tsig(name="one", algorithm=algorithm, secret_file=str(path))])


def test_a_name_belongs_to_one_key(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET)
    one = Tsig(name="one", secret_file=str(path))
    with pytest.raises(ConfigError, match="appears twice"):
        tsig_keys([one, one])

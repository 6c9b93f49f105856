import pytest

from dnsbl.errors import ZoneError
from dnsbl.listing.codes import Layer
from dnsbl.zone.zone import NameServer, Zone, load_zones, packaged_zones

URL = "http://127.0.0.1:8053"
ANSWER = '[[answer]]\nlayer = "bot"\ncode = "127.0.0.4"\ntext = "$reason"\n'


def load(directory, text, name="x.toml"):
    (directory / name).write_text(text)
    return load_zones(directory, "Example.ORG.", URL)


def test_the_packaged_zones_are_those_of_the_design():
    zones = {zone.name: zone for zone in load_zones(packaged_zones(), "vedette.test", URL)}
    codes = {name: [(answer.layer, answer.code & 255) for answer in zone.answers] for name, zone in zones.items()}
    operator, bot, mta = (Layer.OPERATOR, 2), (Layer.BOT, 4), (Layer.MTA, 40)
    dynamic = [(Layer.DYNAMIC_DECLARED, 10), (Layer.DYNAMIC_INFERRED, 11)]
    assert codes == {
        "bl": [operator, bot],
        "dyn": [operator, *dynamic],
        "all": [operator, bot, *dynamic],
        "wl": [mta],
        "class": [operator, bot, *dynamic, mta],
    }
    assert zones["bl"].origin == "bl.vedette.test"
    assert {zone.negative_ttl for zone in zones.values()} == {60}
    assert zones["bl"].nameservers == (NameServer("ns.vedette.test", ("127.0.0.1",)),)
    assert zones["bl"].test_code == 0x7F000002
    assert zones["wl"].test_code == 0x7F000028


def test_all_keys_are_read(tmp_path):
    (zone,) = load(
        tmp_path,
        'name = "List.Other.NET."\nkind = "class"\nttl = 10\nnegative_ttl = 20\ndry_run = true\n'
        'soa = {mname = "a.b", rname = "c.d", refresh = 1, retry = 2, expire = 3}\n'
        'nameservers = [{name = "NS1.b", addresses = ["192.0.2.1", "2001:db8::1"]}, {name = "ns2.b."}]\n'
        '[[answer]]\nlayer = "mta"\ncode = "127.0.1.0"\nttl = 5\ntext = "$$ ${class} $address"\n',
    )
    assert isinstance(zone, Zone)
    assert (zone.name, zone.origin, zone.kind) == ("list.other.net", "list.other.net", "class")
    assert (zone.ttl, zone.negative_ttl, zone.dry_run) == (10, 20, True)
    assert (zone.soa.mname, zone.soa.rname, zone.soa.refresh, zone.soa.retry, zone.soa.expire) == (
        "a.b",
        "c.d",
        1,
        2,
        3,
    )
    assert zone.nameservers == (NameServer("ns1.b", ("192.0.2.1", "2001:db8::1")), NameServer("ns2.b"))
    assert list(zone.answers[0].codes) == [0x7F000100, 0x7F000101, 0x7F000102, 0x7F000103]
    assert zone.answers[0].ttl == 5


def test_a_relative_name_stands_under_the_origin(tmp_path):
    (zone,) = load(tmp_path, f'name = "bl"\n{ANSWER}')
    assert zone.origin == "bl.example.org"
    assert zone.soa.rname == "hostmaster.example.org"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = [", "not valid TOML"),
        (ANSWER, "missing required field `name`"),
        (f'name = "x"\nttll = 3\n{ANSWER}', "unknown field `ttll`; known keys: name, kind, ttl"),
        (f'name = "x"\n{ANSWER}cod = 1\n', "known keys: layer, code, text, ttl"),
        (f'name = "x"\nttl = "3"\n{ANSWER}', "Expected `int`"),
        (f'name = "x"\nttl = 0\n{ANSWER}', "ttl = 0: between 1"),
        (f'name = "x y"\n{ANSWER}', "only letters"),
        (f'name = "x..y"\n{ANSWER}', "a domain name in ASCII"),
        (f'name = "{"x" * 64}"\n{ANSWER}', "a domain name in ASCII"),
        (f'name = "x"\nkind = "grey"\n{ANSWER}', "one of block, allow, class"),
        ('name = "x"\n', "at least one [[answer]]"),
        (f'name = "x"\n{ANSWER.replace("bot", "bots")}', "one of operator, bot"),
        (f'name = "x"\n{ANSWER.replace("127.0.0.4", "128.0.0.4")}', "a code lies in 127.0.0.0/8"),
        (f'name = "x"\n{ANSWER.replace("127.0.0.4", "127.0.0.1")}', "means not listed"),
        (f'name = "x"\n{ANSWER.replace("127.0.0.4", "127.255.255.254")}', "which means errors"),
        (f'name = "x"\n{ANSWER.replace("127.0.0.4", "127.0.4")}', "an address like"),
        (f'name = "x"\n{ANSWER.replace("$reason", "$raeson")}', "the variables are $reason"),
        (f'name = "x"\n{ANSWER.replace("$reason", "")}', "printable ASCII"),
        (f'name = "x"\n{ANSWER.replace("$reason", "ü")}', "printable ASCII"),
        (f'name = "x"\n{ANSWER.replace("$reason", "$url" * 20)}', "at most 600"),
        (f'name = "x"\n{ANSWER}{ANSWER.replace(".4", ".5")}', "appears twice"),
        (f'name = "x"\n{ANSWER}{ANSWER.replace("bot", "operator")}', "127.0.0.4 is given to two layers"),
        (f'name = "x"\n{ANSWER}{ANSWER.replace("bot", "mta").replace(".4", ".40")}', "would be refused"),
        (f'name = "x"\nkind = "allow"\n{ANSWER}', 'only the layer "mta"'),
        (f'name = "x"\nkind = "class"\n{ANSWER.replace("bot", "mta").replace(".4", ".254")}', "at most .252"),
        (f'name = "x"\nnameservers = [{{name = "a", addresses = ["b"]}}]\n{ANSWER}', "'b' is not an IP address"),
        (f'name = "x"\nnameservers = [{{name = "a"}}, {{name = "A"}}]\n{ANSWER}', "appears twice"),
        (f'name = "x"\ntransfer = ["192.0.2.53/24"]\n{ANSWER}', "host bits set"),
        (f'name = "x"\ntransfer = ["one"]\n{ANSWER}', "key:NAME is needed"),
        (f'name = "x"\ntransfer = ["key:"]\n{ANSWER}', "a domain name in ASCII"),
        (f'name = "x"\nnotify = ["ns2.example.org"]\n{ANSWER}', "an address like 192.0.2.53"),
        (f'name = "x"\nnotify = ["192.0.2.53@70000"]\n{ANSWER}', "or 192.0.2.53@5353 is needed"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_remedy(tmp_path, text, says):
    with pytest.raises(ZoneError) as error:
        load(tmp_path, text)
    assert str(tmp_path / "x.toml") in str(error.value)
    assert says in str(error.value)


def test_two_files_cannot_have_one_name(tmp_path):
    load(tmp_path, f'name = "x"\n{ANSWER}', "a.toml")
    with pytest.raises(ZoneError, match=r"b\.toml: name: x\.example\.org is already the zone of a\.toml"):
        load(tmp_path, f'name = "X"\n{ANSWER}', "b.toml")


def test_a_directory_without_zones_is_refused(tmp_path):
    with pytest.raises(ZoneError, match="no zone file"):
        load_zones(tmp_path, "example.org", URL)
    with pytest.raises(ZoneError, match="no such directory"):
        load_zones(tmp_path / "none", "example.org", URL)


def test_who_may_have_a_zone_and_who_is_told_of_its_changes(tmp_path):
    text = 'transfer = ["192.0.2.53", "2001:db8::/32", "key:One"]\nnotify = ["192.0.2.53", "::1@5353"]'
    (zone,) = load(tmp_path, f'name = "x"\n{text}\n{ANSWER}')
    assert zone.transfer == ("192.0.2.53/32", "2001:db8::/32", "key:one")
    assert zone.notify == (("192.0.2.53", 53), ("::1", 5353))

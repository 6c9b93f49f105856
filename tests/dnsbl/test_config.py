from pathlib import Path

import msgspec
import pytest

from dnsbl.config import ENVIRONMENT_PREFIX, Config, load
from dnsbl.errors import ConfigError

#: A value for each key that differs from its default, as TOML and as the environment say it.
VALUES: dict[str, tuple[object, str, str]] = {
    "origin": ("dnsbl.example", '"dnsbl.example"', "dnsbl.example"),
    "data": ("/srv/v", '"/srv/v"', "/srv/v"),
    "zones": ("/etc/z", '"/etc/z"', "/etc/z"),
    "log_level": ("debug", '"debug"', "debug"),
    "dns.host": ("::1", '"::1"', "::1"),
    "dns.port": (53, "53", "53"),
    "dns.threads": (4, "4", "4"),
    "dns.tcp_connections": (9, "9", "9"),
    "dns.tcp_idle_seconds": (3.5, "3.5", "3.5"),
    "dns.nsid": ("ns1", '"ns1"', "ns1"),
    "dns.version": ("9", '"9"', "9"),
    "dns.cookies": (True, "true", "1"),
    "dns.cookie_secret": ("0f" * 16, f'"{"0f" * 16}"', "0f" * 16),
    "dns.rate_limit_per_second": (50, "50", "50"),
    "dns.rate_slip": (1, "1", "1"),
    "dns.over_limit": ("code", '"code"', "code"),
    "http.host": ("127.0.0.2", '"127.0.0.2"', "127.0.0.2"),
    "http.port": (80, "80", "80"),
    "http.public_url": ("https://x.example/", '"https://x.example/"', "https://x.example/"),
    "http.batch_bytes": (4096, "4096", "4096"),
    "flow.host": ("127.0.0.3", '"127.0.0.3"', "127.0.0.3"),
    "flow.port": (9995, "9995", "9995"),
    "flow.enabled": (False, "false", "false"),
    "flow.exporters": (("81.0.0.0/8", "::1/128"), '["81.0.0.0/8", "::1/128"]', "81.0.0.0/8, ::1/128"),
    "resolver.nameservers": (("127.0.0.1",), '["127.0.0.1"]', "127.0.0.1"),
    "resolver.timeout_seconds": (1.0, "1", "1"),
    "resolver.concurrency": (2, "2", "2"),
    "listing.never": (("81.2.3.0/24",), '["81.2.3.0/24"]', "81.2.3.0/24"),
    "listing.brake_per_hour": (7, "7", "7"),
    "listing.brake_per_network_hour": (8, "8", "8"),
    "listing.dry_run": (True, "true", "1"),
    "intake.queue_bytes": (4096, "4096", "4096"),
    "intake.checkpoint_seconds": (1.5, "1.5", "1.5"),
    "intake.rejudge_seconds": (2.5, "2.5", "2.5"),
    "intake.dedupe_days": (1.0, "1.0", "1"),
}


def keys() -> list[str]:
    found = []
    for field in msgspec.structs.fields(Config):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += [f"{field.name}.{inner.name}" for inner in msgspec.structs.fields(field.type)]
        elif field.name != "tsig":  # tables, which the environment cannot say; tested below
            found.append(field.name)
    return found


def value_of(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def toml(key: str, value: str) -> str:
    section, _, name = key.rpartition(".")
    return f"[{section}]\n{name} = {value}\n" if section else f"{name} = {value}\n"


def variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def file(tmp_path, text: str):
    path = tmp_path / "vedette.toml"
    path.write_text(text)
    return path


def test_every_key_is_tried_here() -> None:
    assert sorted(VALUES) == sorted(keys())
    defaults = load(environment={})
    assert defaults == Config()
    assert [key for key, (value, _, _) in VALUES.items() if value_of(defaults, key) == value] == []


@pytest.mark.parametrize("key", VALUES)
def test_each_key_can_be_set_in_the_file_and_in_the_environment(key, tmp_path) -> None:
    value, in_file, in_environment = VALUES[key]
    assert value_of(load(file(tmp_path, toml(key, in_file)), {}), key) == value
    assert value_of(load(None, {variable(key): in_environment}), key) == value


def test_the_environment_wins_over_the_file_and_an_override_over_both(tmp_path) -> None:
    path = file(tmp_path, 'data = "file"\n[dns]\nport = 53\nthreads = 2\n')
    config = load(path, {"VEDETTE_DNS_PORT": "54", "VEDETTE_DATA": "environment", "OTHER": "x"}, data="given")
    assert (config.dns.port, config.dns.threads, config.data) == (54, 2, "given")
    assert load(path, {}, data=None).data == "file"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[dns]\nprot = 1\n", "unknown field `prot`.*did you mean `port`"),
        ("origim = 'x'\n", "unknown field `origim`.*did you mean `origin`"),
        ("[dsn]\nport = 1\n", "unknown field `dsn`.*did you mean `dns`"),
        ("zzzzzz = 1\n", "unknown field `zzzzzz`.*known keys: origin, data"),
        ("[dns]\nport = '53'\n", r"Expected `int`, got `str` - at `\$.dns.port`"),
        ("[dns]\nport = 65536\n", "dns.port = 65536: a port lies between 0"),
        ("[http]\nport = -1\n", "http.port = -1: a port lies between"),
        ("[flow]\nport = 70000\n", "flow.port = 70000: a port lies between"),
        ("[dns]\nhost = 'localhost'\n", "dns.host = 'localhost': an IP address is needed"),
        ("[http]\nhost = ''\n", "http.host = '': an IP address is needed"),
        ("[flow]\nhost = 'x'\n", "flow.host = 'x': an IP address is needed"),
        ("[resolver]\nnameservers = ['ns.example']\n", "resolver.nameservers = 'ns.example': an IP address"),
        ("[listing]\nnever = ['10.0.0.1/8']\n", "listing.never: '10.0.0.1/8' is not a prefix"),
        ("[flow]\nexporters = ['x']\n", "flow.exporters: 'x' is not a prefix"),
        ("[dns]\nthreads = 0\n", "dns.threads = 0: between 1 and 64"),
        ("[dns]\ntcp_connections = 0\n", "dns.tcp_connections = 0: at least 1"),
        ("[dns]\ntcp_idle_seconds = -1\n", "dns.tcp_idle_seconds = -1.0: at least 0.1"),
        ('[dns]\nnsid = "n\u00e4"\n', "dns.nsid = 'n\u00e4': at most 128 printable ASCII"),
        (f'[dns]\nversion = "{"v" * 256}"\n', "at most 255 printable ASCII"),
        ('[dns]\ncookie_secret = "0f"\n', "dns.cookie_secret: 32 hexadecimal digits"),
        ("[dns]\nrate_limit_per_second = -1\n", "dns.rate_limit_per_second = -1: at least 0"),
        ('[dns]\nover_limit = "no"\n', "dns.over_limit = 'no': drop or code"),
        ("[http]\nbatch_bytes = 0\n", "http.batch_bytes = 0: at least 1024"),
        ("[resolver]\nconcurrency = 0\n", "resolver.concurrency = 0: at least 1"),
        ("[resolver]\ntimeout_seconds = nan\n", "resolver.timeout_seconds = nan: at least"),
        ("[listing]\nbrake_per_hour = -1\n", "listing.brake_per_hour = -1: at least 0"),
        ("[intake]\nqueue_bytes = 5\n", "intake.queue_bytes = 5: at least 1024"),
        ("[intake]\nrejudge_seconds = 0\n", "intake.rejudge_seconds = 0.0: at least 0.1"),
        ("log_level = 'loud'\n", "log_level = 'loud': debug, info, warning or error"),
        ("origin = 'a..b'\n", "origin = 'a..b': a domain name in ASCII is needed"),
        ("origin = 'bücher.example'\n", "a domain name in ASCII is needed"),
        ("origin = \n", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_with_file_key_and_remedy(text, says, tmp_path) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigError, match=f"(?s)vedette.toml: .*{says}"):
        load(path, {})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("VEDETTE_DNS_PROT", "1", "there is no such key; did you mean `port`"),
        ("VEDETTE_ORIGIM", "x", "there is no such key; did you mean `origin`"),
        ("VEDETTE_DNS", "1", "there is no such key"),
        ("VEDETTE_DNS_PORT", "many", "VEDETTE_DNS_PORT='many'"),
        ("VEDETTE_FLOW_ENABLED", "perhaps", "VEDETTE_FLOW_ENABLED='perhaps'"),
    ],
)
def test_a_wrong_variable_is_named(name, value, says) -> None:
    with pytest.raises(ConfigError, match=f"environment: .*{says}"):
        load(None, {name: value})


def test_a_section_that_is_no_table_is_said_so(tmp_path) -> None:
    for environment in ({}, {"VEDETTE_DNS_PORT": "53"}):
        with pytest.raises(ConfigError, match="dns"):
            load(file(tmp_path, "dns = 5\n"), environment)


def test_a_file_that_is_missing_or_no_text_is_said_so(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "missing.toml", {})
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(path, {})


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://127.0.0.1:8053"),
        ({"VEDETTE_HTTP_HOST": "::1"}, "http://[::1]:8053"),
        ({"VEDETTE_HTTP_PUBLIC_URL": "https://dnsbl.example/"}, "https://dnsbl.example"),
    ],
)
def test_the_pages_url(environment, url) -> None:
    assert load(None, environment).public_url == url


def test_every_listener_stays_on_loopback_by_default() -> None:
    config = Config()
    assert {config.dns.host, config.http.host, config.flow.host} == {"127.0.0.1"}


def test_keys_of_secondaries_are_tables(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text('[[tsig]]\nname = "one"\nsecret_file = "/etc/one"\n')
    (key,) = load(path, {}).tsig
    assert (key.name, key.algorithm, key.secret_file) == ("one", "hmac-sha256", "/etc/one")
    path.write_text('[[tsig]]\nname = "one"\n')
    with pytest.raises(ConfigError, match="secret_file"):
        load(path, {})

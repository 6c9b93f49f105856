import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dnsbl.errors import StoreError
from dnsbl.registry import Feed, Isp, Network, Principal, Registry
from profiler.database import FILE_NAME

THREADS = 8


@pytest.fixture
def registry(tmp_path):
    with contextlib.closing(Registry(tmp_path)) as opened:
        yield opened


def stored(tmp_path) -> bytes:
    return b"".join(path.read_bytes() for path in tmp_path.glob(FILE_NAME + "*"))


def test_a_feed_comes_back_with_all_it_has(registry) -> None:
    registry.add_feed(
        "mx-1", format="postfix", networks=["45.0.0.0/8", "2a00::/16"], timezone="Europe/Vienna", trust="foreign"
    )
    feed = Feed("mx-1", "postfix", ("45.0.0.0/8", "2a00::/16"), "Europe/Vienna", "foreign")
    assert registry.feed("mx-1") == feed
    assert registry.feeds() == [feed]
    assert registry.feed("mx-2") is None


@pytest.mark.parametrize("name", ["", ".mx", "-mx", "mx 1", "mx/1", "mx\n", "ü", "x" * 65, "vedette:internal"])
def test_a_name_that_would_not_fit_a_path_is_refused(registry, name) -> None:
    for add in (lambda: registry.add_feed(name, format="auto"), lambda: registry.add_isp(name, ["45.0.0.0/8"])):
        with pytest.raises(StoreError, match="letters, digits"):
            add()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"trust": "mine"}, "one of own, foreign"),
        ({"timezone": "Mars/Base"}, "Europe/Vienna"),
        ({"timezone": "../etc/passwd"}, "is not known"),
        ({"networks": ["45.0.0.1/8"]}, "not a prefix"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_and_nothing_is_kept(registry, given, says) -> None:
    with pytest.raises(StoreError, match=says):
        registry.add_feed("mx", format="auto", **given)
    assert registry.feeds() == []


def test_a_name_is_taken_once_for_each_kind(registry) -> None:
    first = registry.add_feed("same", format="auto")
    with pytest.raises(StoreError, match="'same' exists already"):
        registry.add_feed("same", format="auto")
    registry.add_isp("same", ["45.0.0.0/8"])
    assert registry.authenticate(first) == Principal("feed", "same")
    registry.remove_isp("same")
    assert registry.authenticate(first) == Principal("feed", "same"), "another kind's token stays"


def test_tokens_tell_who_shows_them(registry) -> None:
    feed = registry.add_feed("mx", format="auto")
    isp = registry.add_isp("cable", ["45.0.0.0/8", "2a00::/16"])
    operator = registry.operator_token()
    assert registry.authenticate(feed) == Principal("feed", "mx")
    assert registry.authenticate(isp) == Principal("isp", "cable", ("45.0.0.0/8", "2a00::/16"))
    assert registry.authenticate(operator) == Principal("operator", "operator")
    for wrong in ("", "x", feed[:-1], feed + "x", feed.upper()):
        assert registry.authenticate(wrong) is None
    assert len({feed, isp, operator}) == 3
    assert len(feed.split("_", 2)[2]) * 6 >= 256, "bits that nobody guesses"


def test_no_token_stands_on_the_disk(registry, tmp_path) -> None:
    tokens = [
        registry.add_feed("mx", format="auto"),
        registry.add_isp("cable", ["45.0.0.0/8"]),
        registry.operator_token(),
    ]
    on_disk = stored(tmp_path)
    assert b"cable" in on_disk
    for token in tokens:
        assert token.encode() not in on_disk
        assert token.split("_", 2)[2].encode() not in on_disk


def test_rotation_ends_the_old_token(registry) -> None:
    for add, rotate in (
        (lambda: registry.add_feed("mx", format="auto"), lambda: registry.rotate_feed("mx")),
        (lambda: registry.add_isp("cable", ["45.0.0.0/8"]), lambda: registry.rotate_isp("cable")),
        (registry.operator_token, registry.operator_token),
    ):
        old = add()
        new = rotate()
        assert registry.authenticate(old) is None
        assert registry.authenticate(new) is not None


def test_removal_ends_the_token(registry) -> None:
    feed, isp = registry.add_feed("mx", format="auto"), registry.add_isp("cable", ["45.0.0.0/8"])
    registry.remove_feed("mx")
    registry.remove_isp("cable")
    assert (registry.feeds(), registry.isps()) == ([], [])
    assert registry.authenticate(feed) is registry.authenticate(isp) is None


@pytest.mark.parametrize("method", ["remove_feed", "rotate_feed", "remove_isp", "rotate_isp"])
def test_who_does_not_exist_is_said_with_where_to_look(registry, method) -> None:
    revision = registry.revision
    with pytest.raises(StoreError, match=r"'ghost' does not exist: see `vedette (feed|isp) list`"):
        getattr(registry, method)("ghost")
    assert registry.revision == revision


def test_an_isp_needs_a_network(registry) -> None:
    with pytest.raises(StoreError, match="--network"):
        registry.add_isp("cable", [])
    registry.add_isp("cable", ["45.0.0.0/8"])
    assert registry.isps() == [Isp("cable", ("45.0.0.0/8",))]


def test_networks_are_declared_and_declared_anew(registry) -> None:
    registry.add_network("45.1.0.0/16", use="dynamic", asn=64500, name="Example Cable")
    registry.add_network("45.1.0.0/16", use="static")
    registry.add_network("45.2.0.0/16", use="servers", asn=64500)
    assert registry.networks() == [
        Network("45.1.0.0/16", "static"),
        Network("45.2.0.0/16", "servers", 64500),
    ]
    assert list(map(str, registry.networks_of_asn(64500))) == ["45.2.0.0/16"]
    registry.remove_network("45.1.0.0/16")
    with pytest.raises(StoreError, match="was not declared"):
        registry.remove_network("45.1.0.0/16")
    assert len(registry.networks()) == 1


@pytest.mark.parametrize(
    ("prefix", "given", "says"),
    [
        ("45.1.0.0/16", {"use": "fun"}, "one of dynamic"),
        ("45.1.0.0/16", {"use": "static", "asn": 0}, "ASN 0"),
        ("45.1.0.0/16", {"use": "static", "asn": 1 << 32}, "between 1 and 4294967295"),
        ("45.1.0.1/16", {"use": "static"}, "not a prefix"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(registry, prefix, given, says) -> None:
    with pytest.raises(StoreError, match=says):
        registry.add_network(prefix, **given)
    assert registry.networks() == []


def test_every_change_raises_the_revision_and_no_refusal_does(registry) -> None:
    seen = [registry.revision]
    for change in (
        lambda: registry.add_feed("mx", format="auto"),
        lambda: registry.rotate_feed("mx"),
        lambda: registry.add_isp("cable", ["45.0.0.0/8"]),
        lambda: registry.add_network("45.1.0.0/16", use="dynamic"),
        lambda: registry.remove_network("45.1.0.0/16"),
        registry.operator_token,
        registry.touch,
        lambda: registry.remove_feed("mx"),
    ):
        change()
        seen.append(registry.revision)
    assert seen == list(range(seen[0], seen[0] + 9))
    with pytest.raises(StoreError):
        registry.add_isp("cable", ["45.0.0.0/8"])
    assert registry.revision == seen[-1]


def test_another_process_is_seen_at_once(registry, tmp_path) -> None:
    with contextlib.closing(Registry(tmp_path)) as other:
        before = registry.revision
        token = other.add_feed("mx", format="auto")
        assert registry.revision == before + 1
        assert registry.authenticate(token) == Principal("feed", "mx")
    with contextlib.closing(Registry(tmp_path, read_only=True)) as reader:
        assert reader.authenticate(token) == Principal("feed", "mx")


def test_two_registries_and_many_threads_lose_no_change(registry, tmp_path) -> None:
    start = threading.Barrier(THREADS)
    with contextlib.closing(Registry(tmp_path)) as other:

        def work(number: int) -> list[str]:
            start.wait()
            which = (registry, other)[number % 2]
            tokens = [which.add_feed(f"mx-{number}-{i}", format="auto") for i in range(5)]
            which.add_network(f"45.{number}.0.0/16", use="dynamic")
            return tokens

        with ThreadPoolExecutor(THREADS) as pool:
            tokens = [token for found in pool.map(work, range(THREADS)) for token in found]
        assert registry.revision == THREADS * 6
        assert len(registry.feeds()) == THREADS * 5
        assert len(registry.networks()) == THREADS
        assert all(other.authenticate(token) for token in tokens)

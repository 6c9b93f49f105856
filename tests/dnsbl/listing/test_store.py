import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from dnsbl.errors import StoreError
from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.listing.store import Listing, ListingStore, Removal
from profiler.address import parse, parse_network
from profiler.classify.evidence import Evidence
from profiler.database import FILE_NAME

NOW = 1_793_491_200
PREFIX = "185.44.2.66/32"
BOT = Listing(
    PREFIX, Layer.BOT, "mail to strangers", NOW, confidence=0.99, evidence=(Evidence("outcomes", "bot", 6.6, "6"),)
)


@pytest.fixture
def store(tmp_path):
    with contextlib.closing(ListingStore(tmp_path)) as opened:
        yield opened


def test_a_listing_comes_back_with_all_it_has(store) -> None:
    full = msgspec.structs.replace(BOT, trust=2, expires=NOW + 60, held=True)
    store.apply([full], [], NOW)
    assert list(store.active()) == [full]
    assert list(store.active(Layer.MTA)) == []
    assert full.entry() == Entry(Place(Layer.BOT, True, 0xB92C0242, 32), "mail to strangers", NOW, NOW + 60, 2)


def test_listing_again_keeps_since_and_renews_the_rest(store) -> None:
    store.apply([BOT], [], NOW)
    store.apply([msgspec.structs.replace(BOT, since=NOW + 99, reason="flows", trust=1, evidence=())], [], NOW + 99)
    [found] = store.active()
    assert (found.since, found.reason, found.trust, found.evidence) == (NOW, "flows", 1, ())


def test_what_ended_is_history_and_may_come_again(store) -> None:
    store.apply([BOT], [], NOW)
    store.apply([], [Removal(PREFIX, Layer.BOT, "silence")], NOW + 10)
    assert list(store.active()) == []
    store.apply([msgspec.structs.replace(BOT, since=NOW + 20)], [], NOW + 20)
    [again] = store.active()
    assert again.since == NOW + 20
    store.apply([], [Removal(PREFIX, Layer.BOT, "delisted")], NOW + 30)
    ended = store.history(parse("185.44.2.66"))
    assert [(one.since, one.ended, one.ended_why) for one in ended] == [
        (NOW + 20, NOW + 30, "delisted"),
        (NOW, NOW + 10, "silence"),
    ]
    assert store.history(parse("185.44.2.67")) == []
    assert len(store.history(parse("185.44.2.66"), limit=1)) == 1


def test_ending_what_is_not_listed_writes_nothing(store) -> None:
    store.apply([], [Removal(PREFIX, Layer.BOT, "no")], NOW)
    assert store.history(parse("185.44.2.66")) == []


def test_layers_of_one_prefix_are_apart(store) -> None:
    store.apply([BOT, msgspec.structs.replace(BOT, layer=Layer.DYNAMIC_INFERRED)], [], NOW)
    store.apply([], [Removal(PREFIX, Layer.BOT, "silence")], NOW)
    assert [listing.layer for listing in store.active()] == [Layer.DYNAMIC_INFERRED]


def test_a_change_of_layers_is_one_transaction(store) -> None:
    store.apply([BOT], [], NOW)
    mta = msgspec.structs.replace(BOT, layer=Layer.MTA)
    store.apply([mta], [Removal(PREFIX, Layer.BOT, "judged anew")], NOW + 1)
    assert [listing.layer for listing in store.active()] == [Layer.MTA]


def test_what_covers_an_address_is_found_by_layer_the_narrowest_first(store) -> None:
    wide, narrow = (Listing(text, Layer.OPERATOR, "by hand", NOW) for text in ("185.44.0.0/16", "185.44.2.0/24"))
    six = Listing("2a00:1450:4:1::/64", Layer.BOT, "bot", NOW)
    store.apply([wide, BOT, narrow, six], [], NOW)
    assert store.of(parse("185.44.2.66")) == [narrow, wide, BOT]
    assert store.of(parse("185.44.9.1")) == [wide]
    assert store.of(parse("2a00:1450:4:1::99")) == [six]
    assert store.of(parse("185.45.0.1")) == []
    assert store.at(parse_network("185.44.0.0/16")) == [wide]
    assert store.at(parse_network("185.44.0.0/17")) == []


def test_what_is_over_is_told_until_it_is_ended(store) -> None:
    store.apply([msgspec.structs.replace(BOT, expires=NOW + 60)], [], NOW)
    store.apply([Listing("45.1.1.1/32", Layer.OPERATOR, "for ever", NOW)], [], NOW)
    assert store.expired(NOW + 59) == []
    [over] = store.expired(NOW + 60)
    assert over.prefix == PREFIX
    store.apply([], [Removal(over.prefix, over.layer, "expired")], NOW + 60)
    assert store.expired(NOW + 99) == []


def test_what_ended_lately_and_is_not_back_is_told(store) -> None:
    store.apply([BOT, Listing("45.1.1.1/32", Layer.OPERATOR, "by hand", NOW)], [], NOW)
    store.apply([], [Removal(PREFIX, Layer.BOT, ""), Removal("45.1.1.1/32", Layer.OPERATOR, "")], NOW + 1)
    store.apply([BOT], [], NOW + 2)
    assert store.lately_ended() == [("45.1.1.1/32", Layer.OPERATOR)]


def test_two_stores_see_each_others_listings_and_never_double_them(store, tmp_path) -> None:
    with contextlib.closing(ListingStore(tmp_path)) as other:

        def list_many(which: ListingStore) -> None:
            for number in range(50):
                which.apply([msgspec.structs.replace(BOT, prefix=f"185.44.2.{number}/32")], [], NOW)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(list_many, (store, other)))
        assert len(list(store.active())) == len(list(other.active())) == 50
    with contextlib.closing(ListingStore(tmp_path, read_only=True)) as reader:
        assert len(list(reader.active())) == 50
        with pytest.raises(StoreError, match="cannot be written"):
            reader.apply([BOT], [], NOW)


def test_a_refusal_of_the_disk_changes_nothing(store, tmp_path) -> None:
    store.apply([BOT], [], NOW)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute(
            "create trigger no before insert on listings begin select raise(abort, 'disk I/O error'); end"
        )
        with pytest.raises(StoreError, match="disk I/O error"):
            store.apply([Listing("45.1.1.1/32", Layer.BOT, "x", NOW)], [Removal(PREFIX, Layer.BOT, "gone")], NOW)
        other.execute("drop trigger no")
    assert list(store.active()) == [BOT]
    store.apply([], [Removal(PREFIX, Layer.BOT, "gone")], NOW)
    assert list(store.active()) == []

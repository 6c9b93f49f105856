import contextlib
import sqlite3

import pytest

from dnsbl.config import Config, Listing
from dnsbl.listing.codes import Layer
from dnsbl.listing.store import Listing as ListingRow
from dnsbl.listing.store import ListingStore, Removal
from dnsbl.offline import release_held
from dnsbl.publisher import Publisher
from dnsbl.registry import Network
from dnsbl.service import zones_of
from dnsbl.zone.live import LiveZones
from profiler.address import parse, parse_network
from profiler.classify.evidence import Class
from profiler.database import FILE_NAME
from profiler.errors import JournalError, SinkError
from tests.dnsbl.asking import listed
from tests.dnsbl.listing.test_policy import NOW, verdict

IP = "185.44.2.66"
BOT = {"bl": ["127.0.0.4"], "all": ["127.0.0.4"], "class": ["127.0.0.4"]}
DECLARED = {"dyn": ["127.0.0.10"], "all": ["127.0.0.10"], "class": ["127.0.0.10"]}


class House:
    """A publisher over a real store and real zones."""

    def __init__(self, data, **listing) -> None:
        self.config = Config(data=str(data), listing=Listing(**listing))
        self.store = ListingStore(data)
        self.live = LiveZones(zones_of(self.config), public_url=self.config.public_url)
        self.publisher = Publisher(self.config, self.store, self.live)

    def judged(self, classes: Class, ip: str = IP, was: int = 0, **more) -> None:
        self.publisher.sink([verdict(classes, ip, was=Class(was), **more)])

    def by_hand(self, prefix: str, expires: int = 0) -> None:
        self.store.apply([ListingRow(prefix, Layer.OPERATOR, "by hand", NOW, expires=expires)], [], NOW)
        self.publisher.redeclare([])

    def layers(self, ip: str = IP) -> list[Layer]:
        return [listing.layer for listing in self.store.at(parse_network(f"{ip}/32"))]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.publisher.load([])
    yield made
    made.store.close()


@contextlib.contextmanager
def another(data, **listing):
    made = House(data, **listing)
    try:
        yield made
    finally:
        made.store.close()


def test_a_verdict_is_answered_and_stored_and_taken_back(house) -> None:
    house.judged(Class.BOT)
    assert listed(house.live, IP) == BOT
    assert house.layers() == [Layer.BOT]
    house.judged(Class(0), was=Class.BOT)
    assert listed(house.live, IP) == {}
    assert house.layers() == []


def test_a_mail_server_is_in_no_zone_that_blocks(house) -> None:
    house.judged(Class.MTA, trust=2)
    assert listed(house.live, IP) == {"wl": ["127.0.0.42"], "class": ["127.0.0.42"]}
    house.judged(Class.BOT, was=Class.MTA)
    assert listed(house.live, IP) == BOT


def test_two_classes_have_two_codes(house) -> None:
    house.judged(Class.BOT | Class.DYNAMIC)
    assert sorted(listed(house.live, IP)["all"]) == ["127.0.0.11", "127.0.0.4"]
    assert listed(house.live, IP)["bl"] == ["127.0.0.4"]


def test_changes_are_counted_by_what_was_and_is(house) -> None:
    house.judged(Class.BOT)
    house.judged(Class.BOT | Class.DYNAMIC, was=Class.BOT)
    house.judged(Class(0), was=Class.BOT)
    assert house.publisher.changes == {("unknown", "bot"): 1, ("bot", "unknown"): 1}


def test_after_a_restart_all_is_answered_again(house, tmp_path) -> None:
    house.judged(Class.BOT)
    house.by_hand("45.1.0.0/16")
    with another(tmp_path) as later:
        assert listed(later.live, IP) == {}
        later.publisher.load([Network("81.9.0.0/16", "dynamic")])
        assert listed(later.live, IP) == BOT
        assert listed(later.live, "45.1.2.3")["bl"] == ["127.0.0.2"]
        assert listed(later.live, "81.9.1.1") == DECLARED


def test_declared_space_is_listed_as_a_whole_and_only_if_dynamic(house) -> None:
    house.publisher.load([Network("185.44.0.0/16", "dynamic"), Network("45.1.0.0/16", "servers")])
    assert listed(house.live, IP) == DECLARED
    assert listed(house.live, "45.1.2.3") == {}
    house.judged(Class.DYNAMIC | Class.DECLARED)
    assert house.layers() == []
    house.publisher.redeclare([])
    assert listed(house.live, IP) == {}


def test_what_must_never_be_is_not_declared_either(house) -> None:
    house.publisher.load([Network("10.0.0.0/8", "dynamic")])
    assert listed(house.live, "10.1.2.3") == {}


def test_the_never_list_takes_its_addresses_out_of_everything_that_blocks(tmp_path) -> None:
    with another(tmp_path, never=("185.44.2.0/24",)) as house:
        house.publisher.load([Network("185.44.0.0/16", "dynamic")])
        house.judged(Class.BOT | Class.DYNAMIC)
        assert listed(house.live, IP) == {}
        assert house.layers() == []


def test_a_listing_by_hand_stands_beside_verdicts_and_ends_alone(house) -> None:
    house.by_hand(f"{IP}/32")
    house.judged(Class.BOT)
    assert sorted(listed(house.live, IP)["bl"]) == ["127.0.0.2", "127.0.0.4"]
    with house.publisher.ending(parse_network(f"{IP}/32"), [Layer.OPERATOR], "enough", NOW) as left:
        assert left == ["operator"]
    assert listed(house.live, IP) == BOT
    with house.publisher.ending(parse_network(f"{IP}/32"), [Layer.OPERATOR], "enough", NOW) as left:
        assert left == []


@pytest.mark.parametrize("first", ["verdict", "hand"])
def test_whoever_ends_it_first_the_history_says_why_it_was_asked_for(house, first) -> None:
    house.judged(Class.BOT)
    with house.publisher.ending(parse_network(f"{IP}/32"), [Layer.BOT], "cleaned", NOW) as left:
        if first == "verdict":
            house.judged(Class(0), was=Class.BOT)
    house.judged(Class(0), was=Class.BOT)
    assert left == ["bot"]
    assert [one.ended_why for one in house.store.history(parse(IP))] == ["cleaned"]
    house.judged(Class.BOT)
    house.judged(Class(0), was=Class.BOT)
    assert house.store.history(parse(IP))[0].ended_why == "no longer judged bot"


def test_what_could_not_be_forgiven_stays_listed(house) -> None:
    house.judged(Class.BOT)
    network = parse_network(f"{IP}/32")
    with pytest.raises(JournalError), house.publisher.ending(network, [Layer.BOT], "cleaned", NOW):
        raise JournalError("the disk is full")
    assert listed(house.live, IP) == BOT
    assert house.layers() == [Layer.BOT]


def test_what_is_listed_for_a_time_ends(house) -> None:
    house.by_hand("45.1.1.1/32", expires=NOW + 60)
    house.publisher.expire(NOW + 59)
    assert [one.prefix for one in house.store.active()] == ["45.1.1.1/32"]
    house.publisher.expire(NOW + 60)
    assert list(house.store.active()) == []


def test_the_brake_holds_a_flood_until_it_is_released(tmp_path) -> None:
    with another(tmp_path, brake_per_network_hour=2) as house:
        house.publisher.load([])
        for last in range(1, 6):
            house.judged(Class.BOT, f"185.44.2.{last}")
        assert [bool(listed(house.live, f"185.44.2.{last}")) for last in range(1, 6)] == [True] * 2 + [False] * 3
        assert house.publisher.held == 3
        assert sum(one.held for one in house.store.active()) == 3
        with another(tmp_path) as later:
            later.publisher.load([])
            assert later.publisher.held == 3
            assert listed(later.live, "185.44.2.5") == {}
        assert len(release_held(house.config)) == 3
        house.publisher.redeclare([])
        assert house.publisher.held == 0
        assert listed(house.live, "185.44.2.5") == BOT


def test_what_is_held_is_not_released_by_another_change_of_its_verdict(tmp_path) -> None:
    with another(tmp_path, brake_per_hour=0) as house:
        house.publisher.load([])
        house.judged(Class.BOT)
        house.judged(Class.BOT | Class.DYNAMIC, was=Class.BOT)
        assert listed(house.live, IP) == {"dyn": ["127.0.0.11"], "all": ["127.0.0.11"], "class": ["127.0.0.11"]}
        assert house.publisher.held == 1
        house.judged(Class(0), was=Class.BOT | Class.DYNAMIC)
        assert house.publisher.held == 0


def test_a_dry_run_stores_and_answers_only_what_was_made_by_hand(tmp_path) -> None:
    with another(tmp_path, dry_run=True) as house:
        house.publisher.load([])
        house.judged(Class.BOT)
        house.by_hand("45.1.1.1/32")
        assert listed(house.live, IP) == {}
        assert listed(house.live, "45.1.1.1")["bl"] == ["127.0.0.2"]
        assert house.layers() == [Layer.BOT]


def test_a_disk_that_refuses_is_told_the_answers_have_changed_and_a_second_try_counts_once(tmp_path) -> None:
    with (
        another(tmp_path, brake_per_hour=1) as house,
        contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other,
    ):
        house.publisher.load([])
        other.execute(
            "create trigger no before insert on listings begin select raise(abort, 'disk I/O error'); end"
        )
        for _ in range(3):
            with pytest.raises(SinkError, match="disk I/O error"):
                house.judged(Class.BOT)
        assert listed(house.live, IP) == BOT
        other.execute("drop trigger no")
        house.judged(Class.BOT)
        assert listed(house.live, IP) == BOT
        assert house.publisher.held == 0
        assert house.publisher.changes == {("unknown", "bot"): 1}


def test_what_another_process_changed_by_hand_is_taken_over(house, tmp_path) -> None:
    house.judged(Class.BOT)
    with contextlib.closing(ListingStore(tmp_path)) as other:
        other.apply(
            [ListingRow("45.1.1.1/32", Layer.OPERATOR, "by hand", NOW)],
            [Removal(f"{IP}/32", Layer.BOT, "by hand")],
            NOW,
        )
    house.publisher.redeclare([])
    assert listed(house.live, "45.1.1.1")["bl"] == ["127.0.0.2"]
    assert listed(house.live, IP) == {}


def test_ipv6_is_answered_by_64(house) -> None:
    house.judged(Class.BOT, "2a00:1450:4:1::")
    assert listed(house.live, "2a00:1450:4:1::25") == BOT
    assert listed(house.live, "2a00:1450:4:2::25") == {}

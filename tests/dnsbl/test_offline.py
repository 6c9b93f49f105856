import time

import pytest

from dnsbl.config import Config
from dnsbl.config import Listing as ListingConfig
from dnsbl.errors import ListingRefusedError
from dnsbl.listing.store import ListingStore
from dnsbl.offline import add_listing, remove_listing
from dnsbl.service import Service
from profiler.address import parse, parse_network
from tests.dnsbl.asking import listed
from tests.dnsbl.test_service import BOT, misdeeds, post, running


def stored(config: Config) -> list[str]:
    store = ListingStore(config.data_path)
    try:
        return [listing.prefix for listing in store.active()]
    finally:
        store.close()


@pytest.fixture
def config(tmp_path):
    return Config(data=str(tmp_path / "data"), listing=ListingConfig(never=("81.2.3.0/24",)))


def test_a_listing_made_without_a_server_is_answered_when_it_starts(config, tmp_path) -> None:
    made = add_listing(config, parse_network("45.1.1.0/24"), "spam from all of it", int(time.time()) + 3600)
    assert (made.prefix, made.reason) == ("45.1.1.0/24", "spam from all of it")
    with running(tmp_path / "data") as service:
        assert listed(service.live, "45.1.1.9")["bl"] == ["127.0.0.2"]


def test_a_running_server_takes_it_over_and_back(config, tmp_path) -> None:
    with running(tmp_path / "data") as service:
        add_listing(config, parse_network("45.1.1.0/24"), "by hand")
        service.refresh()
        assert listed(service.live, "45.1.1.9")["bl"] == ["127.0.0.2"]
        assert remove_listing(config, parse_network("45.1.1.0/24"), "enough") == ["operator"]
        service.refresh()
        assert listed(service.live, "45.1.1.9") == {}


def test_taking_off_a_single_address_forgives_it(config, tmp_path) -> None:
    def listed_bot(service: Service) -> None:
        service.registry.add_feed("mx", format="auto")
        post(service, misdeeds())
        assert listed(service.live, BOT)["bl"] == ["127.0.0.4"]

    with running(tmp_path / "data") as service:
        listed_bot(service)
        assert remove_listing(config, parse_network(f"{BOT}/32"), "cleaned") == ["bot"]
        service.refresh()
        service.engine.catch_up()
        assert listed(service.live, BOT) == {}
        assert service.lookup(parse(BOT))["classes"] == []
        assert service.lookup(parse(BOT))["profile"]["bad_recipient"] == 0


def test_a_prefix_is_taken_off_without_forgiving_its_addresses(config, tmp_path) -> None:
    with running(tmp_path / "data") as service:
        service.registry.add_feed("mx", format="auto")
        post(service, misdeeds())
        add_listing(config, parse_network("185.44.0.0/16"), "by hand")
        assert remove_listing(config, parse_network("185.44.0.0/16"), "enough") == ["operator"]
        service.refresh()
        service.engine.catch_up()
        assert listed(service.live, BOT)["bl"] == ["127.0.0.4"]


@pytest.mark.parametrize("text", ["10.0.0.0/8", "81.2.3.4", "198.41.0.4", "2a00:1450:4:1::25"])
def test_what_must_never_be_listed_is_refused(config, text) -> None:
    with pytest.raises(ListingRefusedError):
        add_listing(config, parse_network(text), "by hand")
    assert not config.data_path.exists() or stored(config) == []


def test_taking_off_what_is_not_listed_leaves_nothing(config) -> None:
    assert remove_listing(config, parse_network("45.1.1.0/24"), "x") == []
    assert stored(config) == []

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator

import pytest

from dnsbl.config import Config
from dnsbl.config import Listing as ListingConfig
from dnsbl.errors import ConfigError, StoreError, ZoneError
from dnsbl.offline import add_listing
from dnsbl.registry import Feed
from dnsbl.service import (
    HASH_KEY_FILE,
    INTERNAL_FEED,
    OPERATOR,
    OUTSIDE,
    Service,
    hash_key,
    pardon_batch,
    question_of,
    within,
)
from profiler.address import parse, parse_network
from profiler.observation import Event, Reason, Rows
from profiler.parse.registry import REJECTED_KEPT
from tests.dnsbl.asking import listed
from tests.profiler.rows import CUSTOMER, destination, join, row

BOT = "185.44.2.66"
NOW = time.time_ns() // 1000
UNKNOWN = {"reason": Reason.UNKNOWN_RECIPIENT, "signs": CUSTOMER}


@contextlib.contextmanager
def running(data, **more) -> Iterator[Service]:
    service = Service(Config(data=str(data), **more))
    service.catch_up()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def service(tmp_path):
    with running(tmp_path / "data") as opened:
        opened.registry.add_feed("mx", format="auto")
        yield opened


def misdeeds(ip: str = BOT, count: int = 10) -> Rows:
    return join(*(row(ip, Event.REJECT, NOW + i, line=i + 1, **UNKNOWN) for i in range(count)))


def post(service: Service, rows: Rows, *, feed: Feed | None = None, key: bytes = b"", rejected=()):
    feed = feed or service.feed("mx")
    key = key or os.urandom(8)
    ack = asyncio.run(service.append(feed, key, rows, len(rows), list(rejected), len(rejected)))
    service.engine.catch_up()
    return ack


# In, and out.


def test_what_is_posted_is_judged_and_answered(service) -> None:
    post(service, misdeeds())
    assert listed(service.live, BOT) == {zone: ["127.0.0.4"] for zone in ("bl", "all", "class")}
    report = service.lookup(parse(BOT))
    assert (report["ip"], report["classes"], report["held"]) == (BOT, ["bot"], False)
    assert {one["zone"] for one in report["listings"]} == {
        f"{zone}.vedette.test" for zone in ("bl", "all", "class")
    }
    assert report["listings"][0]["question"] == question_of(parse(BOT), report["listings"][0]["zone"])
    assert report["profile"]["messages"] == 10
    json.dumps(report)


def test_a_batch_sent_again_counts_once(service) -> None:
    first, again = (post(service, misdeeds(), key=b"same") for _ in range(2))
    assert (first.duplicate, again.duplicate, again.batch) == (False, True, first.batch)
    assert service.acknowledged(service.feed("mx"), b"same").batch == first.batch
    assert service.lookup(parse(BOT))["profile"]["observations"] == 10
    assert service.feed_counters == {
        ("mx", "records"): 10, ("mx", "observations"): 10, ("mx", "rejected"): 0, ("mx", "batches"): 1,
        ("mx", "duplicates"): 1,
    }  # fmt: skip


def test_new_rows_are_told_to_who_looks_names_up_and_repeated_ones_are_not(service) -> None:
    seen: list[Rows] = []
    service.on_rows = seen.append
    for _ in range(2):
        post(service, misdeeds(), key=b"same")
    service.append_live("udp", misdeeds("45.1.1.1"), 10, 0)
    assert [len(rows) for rows in seen] == [10, 10]


def test_a_feed_speaks_only_for_its_networks(service) -> None:
    service.registry.add_feed("small", format="auto", networks=["45.0.0.0/8"])
    rows = join(
        misdeeds(), row("45.1.1.1", Event.MESSAGE, NOW, line=11), row("", Event.BOUNCE, NOW, queue=5, line=12)
    )
    ack = post(service, rows, feed=service.feed("small"), rejected=[(13, "no date")])
    assert (ack.observations, ack.rejected_count) == (2, 11)
    assert [one.line for one in ack.rejected] == [*range(1, 11), 13]
    assert ack.rejected[0].error == OUTSIDE
    assert service.lookup(parse(BOT))["profile"] == {}


def test_only_so_many_rejections_are_described_but_all_are_counted() -> None:
    rows = join(*(row(BOT, Event.MESSAGE, line=i) for i in range(5)))
    kept, outside = within(rows, ["45.0.0.0/8", "2a00::/16"])
    assert (len(kept), len(outside)) == (0, 5)
    assert within(rows, []) == (rows, [])
    assert REJECTED_KEPT < 10_000


def test_feeds_of_others_do_not_list(service) -> None:
    service.registry.add_feed("theirs", format="auto", trust="foreign")
    post(service, misdeeds(count=200), feed=service.feed("theirs"))
    assert listed(service.live, BOT) == {}


def test_flows_without_acknowledgement_are_journalled_as_well(service) -> None:
    service.registry.add_network("185.44.0.0/16", use="dynamic", asn=64500, name="Example Cable")
    service.refresh()
    flows = [row(BOT, Event.FLOW, NOW + i, proto=6, dport=25, target=destination(i)) for i in range(8)]
    service.append_live("udp", join(*flows), 8, 1)
    service.append_live("udp", join(), 0, 1)
    service.journal.append(pardon_batch(parse("45.200.1.1"))).result()  # commits after what went before it
    service.engine.catch_up()
    assert sorted(listed(service.live, BOT)["all"]) == ["127.0.0.10", "127.0.0.4"]
    assert service.feed_counters["udp", "rejected"] == 2
    report = service.lookup(parse(BOT))
    assert report["network"] == {
        "prefix": "185.44.0.0/16", "use": "dynamic", "asn": 64500, "name": "Example Cable",
    }  # fmt: skip


# Delisting.


def test_a_delisting_takes_off_at_once_forgives_and_lasts_over_a_restart(tmp_path) -> None:
    with running(tmp_path) as service:
        service.registry.add_feed("mx", format="auto")
        post(service, misdeeds())
        done = service.delist(parse(BOT), by="cable", reason="cleaned")
        assert done == {"ip": BOT, "delisted": ["bot"], "by": "cable"}
        assert listed(service.live, BOT) == {}
        service.engine.catch_up()
        assert service.lookup(parse(BOT))["classes"] == []
        post(service, misdeeds())  # late rows of before
        assert listed(service.live, BOT) == {}
        [past] = service.lookup(parse(BOT))["history"]
        assert (past["layer"], past["why"]) == ("bot", "delisted by cable")
    with running(tmp_path) as service:
        assert listed(service.live, BOT) == {}
        assert service.lookup(parse(BOT))["classes"] == []


def test_only_the_operator_takes_off_what_was_made_by_hand(service) -> None:
    add_listing(service.config, parse_network(f"{BOT}/32"), "by hand")
    service.refresh()
    assert listed(service.live, BOT)["bl"] == ["127.0.0.2"]
    assert service.delist(parse(BOT), by="cable", reason="")["delisted"] == []
    assert listed(service.live, BOT)["bl"] == ["127.0.0.2"]
    assert service.delist(parse(BOT), by=OPERATOR, reason="")["delisted"] == ["operator"]
    assert listed(service.live, BOT) == {}


def test_an_address_never_seen_can_be_delisted_to_no_effect(service) -> None:
    assert service.delist(parse("2a00:1450:4:1::25"), by="x", reason="")["delisted"] == []


# For ISPs and the operator.


def test_the_infected_are_those_inside_with_their_isp(service) -> None:
    service.registry.add_isp("cable", ["185.44.0.0/16"])
    for ip in (BOT, "185.44.2.7", "45.1.1.1", "2a00:1450:4:1::25"):
        post(service, misdeeds(ip))
    rows = service.infected([parse_network("185.44.0.0/16")])
    assert [(one["ip"], one["isp"]) for one in rows] == [("185.44.2.7", "cable"), (BOT, "cable")]
    assert rows[0]["class"] == "bot"
    assert rows[0]["listed_since"]
    assert [one["ip"] for one in service.infected([parse_network("2a00::/16")])] == ["2a00:1450:4:1::/64"]
    assert service.infected([parse_network("81.0.0.0/8")]) == []


def test_what_the_brake_holds_is_told_and_not_answered(tmp_path) -> None:
    with running(tmp_path, listing=ListingConfig(brake_per_hour=0)) as service:
        service.registry.add_feed("mx", format="auto")
        post(service, misdeeds())
        assert listed(service.live, BOT) == {}
        report = service.lookup(parse(BOT))
        assert report["held"]
        assert report["listings"] == []
        assert ("brake", True, "1 listings held: `vedette listing release` publishes them") in service.checks()


def test_readiness_says_what_is_wrong(service) -> None:
    assert all(holds for _, holds, _ in service.checks())
    service.engine.failure = "disk full"
    assert ("engine", False, "disk full") in service.checks()


# Starting, and what changes while serving.


def test_killed_and_started_again_it_answers_as_before(tmp_path) -> None:
    with running(tmp_path / "lived") as service:
        service.registry.add_feed("mx", format="auto")
        post(service, misdeeds())
        before = service.engine.profiles.tables["own"].profiles().tobytes()
        shutil.copytree(tmp_path / "lived", tmp_path / "killed")
    with running(tmp_path / "killed") as service:
        assert listed(service.live, BOT)["bl"] == ["127.0.0.4"]
        assert service.engine.profiles.tables["own"].profiles().tobytes() == before


def test_two_do_not_share_a_data_directory(service) -> None:
    with pytest.raises(StoreError, match="a running Vedette has this data directory"):
        Service(service.config)


def test_the_key_of_hashes_is_made_once_private_and_checked(tmp_path) -> None:
    key = hash_key(tmp_path)
    assert hash_key(tmp_path) == key
    assert len(key) == 16
    assert (tmp_path / HASH_KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / HASH_KEY_FILE).write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes, not 16: restore it"):
        hash_key(tmp_path)


def test_zones_are_read_again_while_serving_and_a_broken_file_changes_nothing(tmp_path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    text = 'name = "bl"\n[[answer]]\nlayer = "bot"\ncode = "127.0.0.4"\ntext = "bot"\n'
    (zones / "bl.toml").write_text(text)
    with running(tmp_path / "data", zones=str(zones)) as service:
        service.registry.add_feed("mx", format="auto")
        post(service, misdeeds())
        question = question_of(parse(BOT), "bl.vedette.test")
        assert service.lookup(parse(BOT))["listings"][0]["code"] == "127.0.0.4"
        (zones / "bl.toml").write_text(text.replace("127.0.0.4", "127.0.0.9"))
        service.reload_zones()
        assert service.lookup(parse(BOT))["listings"][0]["code"] == "127.0.0.9"
        (zones / "bl.toml").write_text("nonsense")
        with pytest.raises(ZoneError):
            service.reload_zones()
        [row] = service.lookup(parse(BOT))["listings"]
        assert (row["code"], row["question"]) == ("127.0.0.9", question)


def test_the_question_about_an_address() -> None:
    assert question_of(parse("185.44.2.66"), "bl.vedette.test.") == "66.2.44.185.bl.vedette.test"
    assert question_of(parse("2a00::1"), "x") == "1." + "0." * 27 + "0.0.a.2.x"


# DESIGN §5.5: people are not stored.

SECRETS = (
    b"jane.doe",
    b"secret-recipient",
    b"private-helo",
    b"hidden-sender",
    b"lonely.example",
    b"Invoice",
    b"sasl-jane",
)
_AT = b"Nov  3 04:05:06 mx1 postfix/"
POSTFIX = b"\n".join(
    _AT + line
    for line in (
        b"smtpd[11]: connect from unknown[185.44.2.66]",
        b"smtpd[11]: NOQUEUE: reject: RCPT from unknown[185.44.2.66]: 550 5.1.1 <secret-recipient@lonely.example>: "
        b"Recipient address rejected: User unknown in virtual mailbox table; from=<jane.doe@lonely.example> "
        b"to=<secret-recipient@lonely.example> proto=ESMTP helo=<private-helo.lonely.example>",
        b"smtpd[11]: 4X1AA: client=unknown[185.44.2.66], sasl_method=PLAIN, sasl_username=sasl-jane",
        b"cleanup[11]: 4X1AA: message-id=<Invoice@lonely.example>",
        b"cleanup[11]: 4X1AA: warning: header Subject: Invoice for jane.doe; from=<hidden-sender@lonely.example>",
        b"qmgr[1]: 4X1AA: from=<hidden-sender@lonely.example>, size=900, nrcpt=1 (queue active)",
        b"smtp[9]: 4X1AA: to=<secret-recipient@lonely.example>, relay=x, delay=1, dsn=5.1.1, status=bounced "
        b"(host said: 550 no jane.doe here)",
    )
)
POSTFIX += b"\na broken line of jane.doe with Invoice\n"
NDJSON = (
    b'{"time": 1793491200, "ip": "185.44.2.67", "event": "reject", "reason": "unknown_recipient", '
    b'"helo": "private-helo.lonely.example", "sender_domain": "lonely.example", '
    b'"rdns": "jane.doe.lonely.example"}\n'
    b'{"time": 1793491200, "ip": "185.44.2.67", "event": "jane.doe"}\n'
    b'{"time": "Invoice", "ip": "jane.doe", "event": "reject"}\n'
)


@pytest.mark.parametrize("text", [POSTFIX, NDJSON], ids=["postfix", "ndjson"])
def test_no_name_of_a_person_or_host_reaches_the_disk(service, tmp_path, text) -> None:
    parser = service.open_parser(service.feed("mx"))
    result = parser.feed(text, final=True)
    assert len(result.rows)
    assert result.rejected
    feed = service.feed("mx")
    asyncio.run(service.append(feed, b"k", result.rows, result.records, result.rejected, result.rejected_count))
    _nobody(_everything(tmp_path))
    service.engine.catch_up()
    service.engine.checkpoint()
    _nobody(_everything(tmp_path))


def _everything(path) -> bytes:
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


def _nobody(on_disk: bytes) -> None:
    assert b"vedette" in on_disk or b"journal" in on_disk
    lowered = on_disk.lower()
    for secret in SECRETS:
        assert secret.lower() not in lowered, secret


def test_the_internal_feed_cannot_be_taken(service) -> None:
    with pytest.raises(StoreError):
        service.registry.add_feed(INTERNAL_FEED, format="auto")

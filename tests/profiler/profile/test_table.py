import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler import address
from profiler.address import Key, parse
from profiler.observation import OBSERVATION, Event, Reason, Rows, Sign
from profiler.profile import table as module
from profiler.profile.record import (
    COLUMNS,
    FAST_HALF_LIFE_SECONDS,
    PROFILE,
    SLOTS,
    SLOW_HALF_LIFE_SECONDS,
    Fast,
    Slow,
)
from profiler.profile.table import BLOCK, C_BYTES, STANDING, Joins, Table
from tests.profiler.rows import DAY, HOUR, MINUTE, SECOND, START, data, destination, fold, join, key, row

IP = "185.44.2.1"
OTHER = "185.44.2.2"
SLOT = 10 * MINUTE
QUEUE = 0x1234_5678_9ABC_DEF0
UNKNOWN = {"reason": Reason.UNKNOWN_RECIPIENT}


def folded(*parts: Rows, table: Table | None = None) -> Table:
    table = Table() if table is None else table
    fold(table, *parts)
    return table


def columns(table: Table, now: int = START, ip: str = IP) -> np.void:
    slot = table.find(*key(ip))
    assert slot >= 0, f"{ip} has no profile"
    return table.columns(np.array([slot], np.uint32), now)[0]


def profile(table: Table) -> np.void:
    assert len(table) == 1
    return table.profiles()[0]


def test_the_c_structures_are_as_large_as_their_dtypes() -> None:
    assert {
        "profile": PROFILE.itemsize,
        "columns": COLUMNS.itemsize,
        "standing": STANDING.itemsize,
        "row": OBSERVATION.itemsize,
    } == C_BYTES
    assert PROFILE.itemsize <= 256


# What counts as what: DESIGN §2 and profiler/profile/record.py.

NOTHING: tuple[Fast | None, Slow | None, int] = (None, None, 0)
_REFUSED = (Fast.REFUSED, None, 0)
_BAD_RECIPIENT = (Fast.BAD_RECIPIENT, Slow.BAD, 1)
_BAD_CONTENT = (Fast.BAD_CONTENT, Slow.BAD, 1)
_REJECTED = {
    Reason.NONE: _REFUSED,
    Reason.UNKNOWN_RECIPIENT: _BAD_RECIPIENT,
    Reason.RELAY_DENIED: _BAD_RECIPIENT,
    Reason.HELO: _REFUSED,
    Reason.RDNS: _REFUSED,
    Reason.DNSBL: NOTHING,
    Reason.GREYLIST: NOTHING,
    Reason.POLICY: _REFUSED,
    Reason.CONTENT: _BAD_CONTENT,
    Reason.RATE: _REFUSED,
    Reason.PROTOCOL: _REFUSED,
    Reason.SENDER: _REFUSED,
    Reason.TEMPORARY: NOTHING,
    Reason.OTHER: _REFUSED,
}
_OF_EVENT = {
    Event.CONNECT: (None, Slow.OTHER, 0),
    Event.MESSAGE: (Fast.GOOD, Slow.GOOD, 0),
    Event.DEFER: (None, Slow.OTHER, 0),
    Event.AUTH_FAIL: (Fast.AUTH_FAIL, None, 0),
    Event.AUTH_OK: (Fast.SUBMITTED, None, 0),
    Event.PREGREET: (Fast.PROTOCOL, None, 0),
    Event.LOST: NOTHING,
    Event.SPAM: _BAD_CONTENT,
    Event.HAM: (Fast.GOOD, Slow.GOOD, 0),
    Event.TRAP: (Fast.BAD_CONTENT, Slow.BAD, 4),
    Event.COMPLAINT: _BAD_CONTENT,
    Event.FLOW: (None, Slow.OTHER, 0),
    Event.SIP: NOTHING,
    Event.XMPP: NOTHING,
    Event.DECLARED: NOTHING,
}
CASES = (
    [(event, Reason.NONE, {}, *counts) for event, counts in _OF_EVENT.items()]
    + [(Event.REJECT, reason, {}, *counts) for reason, counts in _REJECTED.items()]
    + [(Event.BOUNCE, reason, {}, *counts) for reason, counts in _REJECTED.items()]
    + [
        (Event.LOST, Reason.PROTOCOL, {}, Fast.PROTOCOL, None, 0),
        (Event.MESSAGE, Reason.NONE, {"signs": Sign.AUTHENTICATED}, Fast.SUBMITTED, None, 0),
        (Event.FLOW, Reason.NONE, {"proto": 6, "dport": 25}, Fast.FLOW, Slow.FLOW, 0),
        (Event.FLOW, Reason.NONE, {"proto": 6, "dport": 443}, None, Slow.OTHER, 0),
        (Event.FLOW, Reason.NONE, {"proto": 17, "dport": 25}, None, Slow.OTHER, 0),
    ]
)


@pytest.mark.parametrize(("event", "reason", "fields", "fast", "slow", "bad_units"), CASES)
def test_each_event_and_reason_counts_where_the_record_says(
    event: Event, reason: Reason, fields: dict[str, int], fast: Fast | None, slow: Slow | None, bad_units: int
) -> None:
    found = profile(folded(row(IP, event, reason=reason, count=3, **fields)))
    assert [kind for kind in Fast if found["fast"][0][kind]] == ([] if fast is None else [fast])
    assert [kind for kind in Slow if found["slow"][0][kind]] == ([] if slow is None else [slow])
    good = 3 if fast is Fast.GOOD else 0
    assert found["recent"].sum(axis=0).tolist() == [good, 3 * bad_units]
    assert found["observations"] == 3
    assert found["first"] == found["last"] == START


@pytest.mark.parametrize(
    ("event", "fields", "messages"),
    [(Event.MESSAGE, {}, 2), (Event.REJECT, {}, 2), (Event.REJECT, {"queue": 7}, 0), (Event.BOUNCE, {}, 0)],
)
def test_messages_are_those_accepted_and_the_recipients_refused(event, fields, messages) -> None:
    assert profile(folded(row(IP, event, count=2, **fields)))["messages"] == messages


def test_internal_rows_make_no_profile() -> None:
    rows = join(row(IP, Event.ENVELOPE), row(IP, Event.CLOSED))
    assert len(folded(rows)) == 0


# Whose profile it is.

_EDGES = [
    parse(str(edge))
    for network in (*address._RESERVED, *address._RESERVED6, address._GLOBAL_UNICAST)
    for edge in (network[0], network[-1], network[0] - 1 if int(network[0]) else network[0])
]


def _is_root_server(at: Key) -> bool:
    value = at.lo & 0xFFFFFFFF if at.is_v4 else at.hi << 64
    return value in address._ROOT_KEYS


@pytest.mark.parametrize("at", _EDGES, ids=str)
def test_the_edges_of_reserved_space_are_those_of_address(at: Key) -> None:
    table = Table()
    table.fold(_row_at(at))
    assert (len(table) == 0) == address.is_reserved(at)
    assert table.reserved + table.folded == 1


@given(
    st.one_of(
        st.integers(0, (1 << 32) - 1).map(lambda low: Key(0, address.V4_MARK | low)),
        st.builds(Key, st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1)),
        st.builds(Key, st.integers(0x2000 << 48, (0x4000 << 48) - 1), st.integers(0, (1 << 64) - 1)),
        st.builds(Key, st.integers(0x20010000 << 32, (0x20020000 << 32) - 1), st.just(1)),
    )
)
def test_reserved_space_is_that_of_address_everywhere(at: Key) -> None:
    _SHARED.fold(_row_at(at))
    assert (_SHARED.find(*at) < 0) == (address.is_reserved(at) and not _is_root_server(at))


_SHARED = Table()


def _row_at(at: Key) -> bytes:
    made = row("", Event.CONNECT)
    made["ip_hi"], made["ip_lo"] = at
    return made.tobytes()


def test_ipv6_is_kept_by_64() -> None:
    table = folded(row("2a00:1450:4:1::25", Event.MESSAGE), row("2a00:1450:4:1:ffff::1", Event.MESSAGE))
    assert profile(table)["observations"] == 2
    assert table.find(*parse("2a00:1450:4:1::99")) == table.find(*parse("2a00:1450:4:1::")) == 0
    assert table.find(*parse("2a00:1450:4:2::25")) == -1


def test_what_has_no_time_is_not_counted() -> None:
    table = folded(row(IP, Event.MESSAGE, at=0), row(IP, Event.MESSAGE, at=-5))
    assert (len(table), table.reserved) == (0, 2)


def test_a_full_table_takes_no_new_address_and_counts_what_it_leaves() -> None:
    table = Table(limit=2)
    rows = [row(f"185.44.2.{last}", Event.MESSAGE) for last in (1, 2, 3, 1)]
    folded(*rows, table=table)
    assert (len(table), table.folded, table.overflowed) == (2, 3, 1)
    assert table.find(*key("185.44.2.3")) == -1
    assert table.ensure(*key("185.44.2.3")) == -1
    assert table.ensure(*key("185.44.2.2")) == 1


def test_many_addresses_are_all_found_again() -> None:
    chosen = random.Random(3).sample(range(0x2D000000, 0x2E000000), 20_000)
    rows = np.zeros(len(chosen), OBSERVATION)
    rows["time"], rows["event"], rows["count"] = START, Event.CONNECT, 1
    rows["ip_lo"] = np.array(chosen, np.uint64) | np.uint64(address.V4_MARK)
    table = folded(rows)
    assert len(table) == len(chosen)
    for slot, low in list(enumerate(chosen))[::97]:
        assert table.find(0, address.V4_MARK | low) == slot
    assert table.find(0, address.V4_MARK | 0x2E000001) == -1
    assert (np.diff(table.profiles()["ip_lo"].astype(np.int64)) > 0).all()


# Joins.


def _opened(ip: str = IP, queue: int = QUEUE, **fields: int) -> Rows:
    signs = fields.pop("signs", 0) | Sign.OPENS
    return row(ip, Event.MESSAGE, queue=queue, signs=signs, **fields)


def _bounced(queue: int = QUEUE) -> Rows:
    return row("", Event.BOUNCE, queue=queue, **UNKNOWN)


def test_a_bounce_counts_against_the_client_that_opened_the_transaction() -> None:
    table = folded(_opened(), _opened(OTHER, QUEUE + 1), _bounced())
    assert columns(table)["bad_recipient"] > 0.9
    assert columns(table, ip=OTHER)["bad_recipient"] == 0


def test_a_join_holds_over_calls_and_over_dump_and_load() -> None:
    table = folded(_opened())
    for later in (Table(), table):
        if later is not table:
            later.joins.load(table.joins.dump())
        folded(_bounced(), table=later)
        assert columns(later)["bad_recipient"] > 0.9


def test_a_closed_transaction_no_longer_joins() -> None:
    table = folded(_opened(), row("", Event.CLOSED, queue=QUEUE), _bounced())
    assert columns(table)["bad_recipient"] == 0
    assert table.unjoined == 1


def test_a_closed_transaction_does_not_hide_its_neighbours() -> None:
    # Both fall on the same place of the hash table; the second is found beyond the first, closed or not.
    table = folded(_opened(), _opened(OTHER, QUEUE + 1))
    folded(row("", Event.CLOSED, queue=QUEUE), _bounced(QUEUE + 1), table=table)
    assert columns(table, ip=OTHER)["bad_recipient"] > 0.9
    loaded = Table()
    loaded.joins.load(table.joins.dump())
    folded(_bounced(), _bounced(QUEUE + 1), table=loaded)
    assert (loaded.unjoined, len(loaded)) == (1, 1)


def test_a_queue_id_used_again_is_its_new_client() -> None:
    table = folded(_opened(), row("", Event.CLOSED, queue=QUEUE), _opened(OTHER), _bounced())
    assert columns(table)["bad_recipient"] == 0
    assert columns(table, ip=OTHER)["bad_recipient"] > 0.9


def test_what_was_never_opened_is_counted_as_unjoined() -> None:
    table = folded(_bounced())
    assert (table.unjoined, len(table)) == (1, 0)


def test_old_transactions_fall_off_by_generation_in_bounded_memory() -> None:
    capacity = 64
    table = Table(open_transactions=capacity)
    for number in range(10 * capacity):
        folded(_opened(queue=number << 32 | 1), table=table)
        assert len(table.joins.dump()) <= 8 + capacity * 32
    newest, oldest = 10 * capacity - 1, 0
    folded(*(_bounced(number << 32 | 1) for number in (newest, newest - capacity // 2, oldest)), table=table)
    assert (columns(table)["recent_bad"], table.unjoined) == (2, 1)


def test_a_row_folded_again_after_an_early_stop_opens_no_second_transaction() -> None:
    # The stop comes before the row that fills the generation.
    capacity = 4
    rows = join(*(row(IP, Event.TRAP) for _ in range(3)), _opened(queue=1 << 32), _opened(queue=2 << 32))
    table = Table(open_transactions=capacity)
    assert len(fold(table, rows)) > 3
    folded(_opened(queue=3 << 32), table=table)
    folded(_bounced(1 << 32), _bounced(2 << 32), _bounced(3 << 32), table=table)
    assert table.unjoined == 0


def test_a_known_users_mistakes_do_not_count_against_the_host() -> None:
    table = folded(
        _opened(signs=Sign.AUTHENTICATED),
        _bounced(),
        row(IP, Event.REJECT, queue=QUEUE, **UNKNOWN),
        row(IP, Event.REJECT, signs=Sign.AUTHENTICATED, **UNKNOWN),
    )
    found = columns(table)
    assert found["bad_recipient"] == found["recent_bad"] == found["past_bad"] == 0
    assert found["submitted"] > 0.9


@pytest.mark.parametrize("capacity", [0, 1, 3, 100])
def test_the_number_of_open_transactions_is_a_power_of_two(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Joins(capacity)


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw[:5], lambda raw: b"\0\0\0\0\xff\0\0\0"])
def test_damaged_transactions_are_refused(change) -> None:
    raw = folded(_opened()).joins.dump()
    with pytest.raises(ValueError, match="damaged"):
        Joins(64).load(change(raw))


def test_more_transactions_than_places_are_refused() -> None:
    raw = folded(*(_opened(queue=number << 32 | 1) for number in range(1, 9))).joins.dump()
    with pytest.raises(ValueError, match="do not fit"):
        Joins(8).load(raw)


# Stopping early.


def test_good_mail_is_folded_in_one_go() -> None:
    rows = join(*(row(IP, Event.MESSAGE) for _ in range(500)))
    assert fold(Table(), rows) == [500]


def test_a_bot_is_seen_at_each_message_from_where_its_verdict_may_turn() -> None:
    rows = join(*(row(IP, Event.REJECT, at=START + i, **UNKNOWN) for i in range(8)))
    table = Table()
    assert fold(table, rows) == [2, 1, 1, 1, 1, 1, 1]
    table.decide(0, START, 1, 0, 60_000)
    assert fold(table, rows) == [8], "what is a bot already need not be judged at each message"


def test_flows_to_new_destinations_stop_folding_but_not_for_a_mail_server() -> None:
    rows = join(*(row(IP, Event.FLOW, proto=6, dport=25, target=destination(i)) for i in range(4)))
    table = Table()
    assert fold(table, rows) == [1, 1, 1, 1]
    server = Table()
    server.decide(server.ensure(*key(IP)), START, 4, 0, 60_000)
    assert fold(server, rows) == [4]


def test_the_slots_that_changed_are_told_once_each_with_their_last_row() -> None:
    rows = join(row(IP, Event.MESSAGE), row(OTHER, Event.MESSAGE), row(IP, Event.MESSAGE))
    table = Table()
    slots, last = table.fold(rows.tobytes())
    assert (slots.tolist(), last.tolist()) == ([0, 1], [2, 1])
    slots, last = table.fold(rows[1:].tobytes())
    assert (slots.tolist(), last.tolist()) == ([1, 0], [0, 1])
    assert table.fold(b"")[0].tolist() == []
    assert table.resume(rows.tobytes())[0].tolist() == []
    with pytest.raises(ValueError, match="whole number"):
        table.fold(b"x" * 95)


def test_rows_of_one_address_wait_in_order_and_those_of_others_do_not() -> None:
    blamed = [row(IP, Event.TRAP, at=START + i) for i in range(3)]
    rows = join(*blamed, row(OTHER, Event.MESSAGE), row(IP, Event.MESSAGE, at=START + 9)).tobytes()
    table = Table()
    slots, last = table.fold(rows)
    assert (slots.tolist(), last.tolist(), table.waiting) == ([0, 1], [0, 3], 3)
    with pytest.raises(ValueError, match="resume"):
        table.fold(rows)
    slots, last = table.resume(rows)
    assert (slots.tolist(), last.tolist(), table.waiting) == ([0], [1], 2)
    slots, last = table.resume(rows, patient=False)
    assert (slots.tolist(), last.tolist(), table.waiting) == ([0], [4], 0)
    assert columns(table)["messages"] == 1


# Time: DESIGN §5.7.


@pytest.mark.parametrize(
    ("event", "column", "half_life_seconds"),
    [
        (Event.MESSAGE, "good", FAST_HALF_LIFE_SECONDS),
        (Event.AUTH_FAIL, "auth_fail", FAST_HALF_LIFE_SECONDS),
        (Event.MESSAGE, "past_good", SLOW_HALF_LIFE_SECONDS),
        (Event.CONNECT, "past_other", SLOW_HALF_LIFE_SECONDS),
    ],
)
def test_counters_halve_in_their_half_life(event: Event, column: str, half_life_seconds: int) -> None:
    half_life = half_life_seconds * SECOND
    for offset in range(0, 16 * half_life, half_life // 3):
        table = folded(row(IP, event, at=START + offset, count=100))
        for half_lives in (0, 0.5, 1, 2, 5):
            value = columns(table, START + offset + int(half_lives * half_life))[column]
            assert value == pytest.approx(100 * 0.5**half_lives, rel=0.03)


def test_counts_of_different_times_add_up_decayed() -> None:
    days = range(12)
    table = folded(*(row(IP, Event.MESSAGE, at=START + day * DAY, count=10) for day in days))
    expected = sum(10 * 0.5 ** (11 - day) for day in days)
    assert columns(table, START + 11 * DAY)["good"] == pytest.approx(expected, rel=0.03)


def test_what_is_later_than_the_kept_epochs_changes_no_counter() -> None:
    now = START + 400 * DAY
    table = folded(row(IP, Event.MESSAGE, at=now))
    before = columns(table, now)
    folded(row(IP, Event.MESSAGE, at=START, count=1000), table=table)
    after = columns(table, now)
    assert after["good"] == before["good"]
    assert after["recent_good"] == before["recent_good"] == 1
    assert after["first"] == START


def test_the_ring_keeps_sixteen_slots_of_ten_minutes() -> None:
    table = folded(*(row(IP, Event.MESSAGE, at=START + slot * SLOT) for slot in range(SLOTS)))
    last = START + (SLOTS - 1) * SLOT
    assert columns(table, last)["recent_good"] == SLOTS
    for later in range(SLOTS + 1):
        assert columns(table, last + later * SLOT)["recent_good"] == SLOTS - later
    folded(row(IP, Event.MESSAGE, at=last + SLOT), table=table)
    assert columns(table, last + SLOT)["recent_good"] == SLOTS
    folded(row(IP, Event.MESSAGE, at=last + 5 * SLOT), table=table)
    assert columns(table, last + 5 * SLOT)["recent_good"] == SLOTS - 4 + 1
    folded(row(IP, Event.MESSAGE, at=last + 500 * SLOT), table=table)
    assert columns(table, last + 500 * SLOT)["recent_good"] == 1


@pytest.mark.parametrize(("slots_late", "counted"), [(0, 2), (SLOTS - 1, 2), (SLOTS, 1), (SLOTS + 1, 1)])
def test_what_is_later_than_the_ring_changes_no_slot(slots_late: int, counted: int) -> None:
    table = folded(row(IP, Event.MESSAGE), row(IP, Event.MESSAGE, at=START - slots_late * SLOT))
    assert columns(table)["recent_good"] == counted


def test_the_cusum_forgets_good_before_bad_but_not_good_among_bad() -> None:
    good_then_bad = folded(
        row(IP, Event.MESSAGE, count=50), row(IP, Event.REJECT, at=START + SLOT, count=5, **UNKNOWN)
    )
    assert columns(good_then_bad, START + SLOT)["cusum"] == pytest.approx(5 * 1.1)
    among = folded(row(IP, Event.MESSAGE, count=50), row(IP, Event.REJECT, count=5, **UNKNOWN))
    assert columns(among)["cusum"] == 0
    bad_then_good = folded(
        row(IP, Event.REJECT, count=5, **UNKNOWN), row(IP, Event.MESSAGE, at=START + SLOT, count=10)
    )
    assert columns(bad_then_good, START + SLOT)["cusum"] == pytest.approx(5 * 1.1 - 10 * 0.4)


@pytest.mark.parametrize("distinct", [1, 4, 10, 25, 50])
def test_distinct_names_are_counted_within_the_error_of_linear_counting(distinct: int) -> None:
    counted = []
    for seed in range(40):
        rng = random.Random(seed)
        hashes = [rng.getrandbits(64) | 1 for _ in range(distinct)]
        rows = [row(IP, Event.CONNECT, helo=value) for value in hashes for _ in range(2)]
        counted.append(float(columns(folded(*rows))["helos"]))
    # Whang et al. (1990): the standard error for a load t is sqrt(m (e^t - t - 1)) / n.
    load = distinct / 64
    error = math.sqrt(64 * (math.exp(load) - load - 1))
    assert abs(np.mean(counted) - distinct) < 4 * error / math.sqrt(40) + 0.06 * distinct
    assert np.std(counted) < 2 * error + 0.1


def test_distinct_names_and_destinations_are_those_of_two_days() -> None:
    flows = [
        row(IP, Event.FLOW, at=START + day * DAY, proto=6, dport=25, target=destination(number))
        for day, number in ((0, 1), (0, 2), (1, 3))
    ]
    table = folded(*flows, row(IP, Event.CONNECT, helo=destination(9)))

    def seen(now: int) -> list[int]:
        return [round(float(columns(table, now)[name])) for name in ("destinations", "helos")]

    assert seen(START + DAY) == [3, 1]
    assert seen(START + 2 * DAY - SECOND) == [3, 1]
    assert seen(START + 2 * DAY) == [1, 0]
    assert seen(START + 3 * DAY) == [0, 0]
    folded(row(IP, Event.CONNECT, at=START + 2 * DAY, helo=destination(5)), table=table)
    assert seen(START + 2 * DAY) == [1, 1]


def test_all_bits_set_is_the_end_of_the_count() -> None:
    table = folded(*(row(IP, Event.CONNECT, helo=destination(bit)) for bit in range(64)))
    assert columns(table)["helos"] == 266


def test_the_newest_statement_of_a_name_holds() -> None:
    table = folded(
        row(IP, Event.CONNECT, at=START + 2 * HOUR, signs=Sign.RDNS_VERIFIED | Sign.HELO_NAMED),
        row(IP, Event.CONNECT, signs=Sign.RDNS_NONE | Sign.HELO_LITERAL),
    )
    found = columns(table)
    assert (found["rdns"], found["helo"]) == (Sign.RDNS_VERIFIED, Sign.HELO_NAMED)
    folded(row(IP, Event.NAMED, at=START + 3 * HOUR, signs=Sign.RDNS_NONE), table=table)
    assert columns(table)["rdns"] == Sign.RDNS_NONE
    assert columns(table)["observations"] == 2, "what our resolver says is nothing that the address did"


# Bounds.


def test_counters_saturate_and_say_so() -> None:
    many = 0xFFFFFFFF
    table = folded(*(row(IP, Event.MESSAGE, count=many) for _ in range(2)))
    found = profile(table)
    assert found["observations"] == found["messages"] == found["fast"][0][Fast.GOOD] == many
    assert found["recent"].max() == 0xFFFF
    assert columns(table)["saturated"] == 1
    assert columns(folded(row(IP, Event.MESSAGE, count=60_000)))["saturated"] == 0


# Pardon.


def test_a_pardon_forgives_what_was_bad_and_keeps_what_was_good() -> None:
    bad = [
        row(IP, Event.REJECT, helo=destination(1), **UNKNOWN),
        row(IP, Event.TRAP),
        row(IP, Event.PREGREET),
        row(IP, Event.AUTH_FAIL),
        row(IP, Event.REJECT, reason=Reason.POLICY),
        row(IP, Event.FLOW, proto=6, dport=25, target=destination(4)),
    ]
    good = [row(IP, Event.MESSAGE, count=7), row(IP, Event.AUTH_OK)]
    table = folded(*good, *bad, row(IP, Event.PARDON, at=START + MINUTE))
    clean = folded(*good)
    left, expected = columns(table), columns(clean)
    for name in COLUMNS.names[4:21]:
        assert left[name] == expected[name], name


def test_late_rows_of_before_a_pardon_stay_forgiven_and_later_ones_count() -> None:
    pardon = START + HOUR
    table = folded(row(IP, Event.PARDON, at=pardon))
    for minutes_after, counts in ((-30, False), (-1, False), (1, True)):
        at = pardon + minutes_after * MINUTE
        folded(
            row(IP, Event.REJECT, at=at, **UNKNOWN),
            row(IP, Event.FLOW, at=at, proto=6, dport=25, target=destination(4)),
            table=table,
        )
        found = columns(table, pardon + HOUR)
        assert (found["recent_bad"] > 0, found["destinations"] > 0, found["flow"] > 0) == (counts,) * 3


def test_an_earlier_pardon_takes_nothing_back() -> None:
    table = folded(row(IP, Event.PARDON, at=START + HOUR), row(IP, Event.REJECT, at=START + 2 * HOUR, **UNKNOWN))
    before = table.profiles().tobytes()
    folded(row(IP, Event.PARDON, at=START), table=table)
    assert table.profiles().tobytes() == before


# Blocks.


def _filled(addresses: int) -> Table:
    return folded(*(row(f"185.44.{n >> 8}.{n & 255}", Event.MESSAGE, count=n + 1) for n in range(addresses)))


def test_blocks_come_back_as_they_were() -> None:
    table = _filled(BLOCK + 3)
    table.decide(BLOCK + 1, START, 5, 2, 1234)
    assert table.dirty_blocks() == [0, 1]
    loaded = Table()
    for number in (0, 1):
        loaded.load_block(table.block(number))
    assert loaded.profiles().tobytes() == table.profiles().tobytes()
    assert loaded.standing_slots().tolist() == [BLOCK + 1]
    standing = loaded.standings_of(np.array([BLOCK + 1], np.uint32))[0]
    assert standing.tolist()[:4] == (START, 5, 2, 1234)
    assert loaded.dirty_blocks() == []


def test_a_block_is_dirty_from_a_change_until_it_is_written() -> None:
    table = _filled(BLOCK + 3)
    table.mark_clean(table.dirty_blocks())
    assert table.dirty_blocks() == []
    folded(row("185.44.1.1", Event.MESSAGE), table=table)
    assert table.dirty_blocks() == [1]
    table.mark_clean([1])
    table.decide(0, START, 1, 0, 1)
    assert table.dirty_blocks() == [0]
    table.mark_clean([0])
    table.ensure(*key("185.44.0.7"))
    assert table.dirty_blocks() == []
    table.ensure(*key("185.44.9.9"))
    assert table.dirty_blocks() == [1], "an address made by ensure must reach the disk"


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: raw[: PROFILE.itemsize] * 2 + raw[2 * PROFILE.itemsize :],
    ],
)
def test_damaged_blocks_are_refused(damage) -> None:
    raw = _filled(3).block(0)
    with pytest.raises(ValueError, match="damaged"):
        Table().load_block(damage(raw))


def test_blocks_out_of_order_are_refused() -> None:
    table = _filled(BLOCK + 3)
    loaded = Table()
    loaded.load_block(table.block(1))
    with pytest.raises(ValueError, match="damaged"):
        loaded.load_block(table.block(0))


def test_columns_of_a_slot_that_does_not_exist_are_an_error() -> None:
    with pytest.raises(IndexError, match="slot 3 of 0"):
        Table().columns(np.array([3], np.uint32), START)


def test_columns_come_in_the_order_asked_for_with_their_classes() -> None:
    table = folded(row(IP, Event.MESSAGE), row(OTHER, Event.MESSAGE, count=2))
    table.decide(1, START, 3, 0, 0)
    found = table.columns(np.array([1, 0, 1], np.uint32), START)
    assert found["observations"].tolist() == [2, 1, 2]
    assert found["classes"].tolist() == [3, 0, 3]
    assert len(table.columns(np.empty(0, np.uint32), START)) == 0


# Chunks.


@given(st.integers(0, 1 << 32))
def test_folding_in_any_chunks_gives_the_same_profiles(seed: int) -> None:
    rng = random.Random(seed)
    rows = join(*(_any_row(rng) for _ in range(60)))
    whole, pieces = folded(rows, table=Table(open_transactions=16)), Table(open_transactions=16)
    cuts = sorted(rng.choices(range(len(rows) + 1), k=rng.randrange(6)))
    for start, stop in pairwise([0, *cuts, len(rows)]):
        fold(pieces, rows[start:stop])
    assert pieces.profiles().tobytes() == whole.profiles().tobytes()
    assert pieces.joins.dump() == whole.joins.dump()


def _any_row(rng: random.Random) -> Rows:
    signs = rng.choice([0, Sign.OPENS, Sign.AUTHENTICATED | Sign.OPENS, Sign.RDNS_NONE])
    return row(
        rng.choice(["", IP, OTHER]),
        rng.choice([Event.MESSAGE, Event.REJECT, Event.BOUNCE, Event.TRAP, Event.FLOW, Event.CLOSED]),
        at=START + rng.randrange(3 * DAY),
        queue=rng.choice([0, *(number << 32 for number in range(1, 40))]),
        signs=signs,
        reason=rng.choice([Reason.UNKNOWN_RECIPIENT, Reason.CONTENT, Reason.NONE]),
        proto=6,
        dport=25,
        target=rng.randrange(1 << 64),
    )


def test_the_table_says_how_many_it_holds() -> None:
    assert len(Table()) == 0
    assert len(_filled(5)) == 5
    assert module.MAX_PROFILES >= 10_000_000


def test_data_helper_matches_the_row_size() -> None:
    assert len(data(row(IP, Event.MESSAGE))) == C_BYTES["row"]

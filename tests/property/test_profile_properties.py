"""What holds whatever is folded: order, batches and checkpoints make no difference (DESIGN §5.7, §5.8)."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.observation import OBSERVATION, Event, Reason, Rows, Sign
from profiler.profile.record import COLUMNS
from profiler.profile.table import Table
from tests.profiler.rows import DAY, MINUTE, START, row
from tests.profiler.rows import fold as fold_runs

ADDRESSES = ("185.44.2.1", "185.44.2.2", "2a00:1450:4:1::25", "10.1.2.3")
COUNTED = [event for event in Event if event is not Event.PARDON]

_ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(ADDRESSES),
        st.sampled_from(COUNTED),
        at=st.one_of(
            st.integers(START, START + 3 * DAY),
            st.integers(START, START + 600 * DAY),
            st.integers(0, 60).map(lambda slot: START + slot * 5 * MINUTE),
        ),
        reason=st.sampled_from(Reason),
        count=st.sampled_from([1, 2, 1000, 0xFFFFFFFF]),
        signs=st.sampled_from([0, Sign.RDNS_NONE, Sign.RDNS_VERIFIED | Sign.HELO_MATCH, Sign.AUTHENTICATED]),
        helo=st.integers(0, (1 << 64) - 1),
        target=st.integers(0, (1 << 64) - 1),
        proto=st.sampled_from([6, 17]),
        dport=st.sampled_from([25, 80]),
    ),
    min_size=1,
    max_size=40,
).map(lambda parts: np.concatenate(parts, dtype=OBSERVATION))


def fold(table: Table, rows: Rows) -> Table:
    fold_runs(table, rows)
    return table


def reloaded(table: Table) -> Table:
    fresh = Table()
    for number in range((len(table) + 255) // 256):
        fresh.load_block(table.block(number))
    fresh.joins.load(table.joins.dump())
    return fresh


@given(_ROWS, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_any_order_of_observations_gives_the_same_bytes(rows, rng) -> None:
    order = list(range(len(rows)))
    rng.shuffle(order)
    assert fold(Table(), rows[order]).profiles().tobytes() == fold(Table(), rows).profiles().tobytes()


@given(_ROWS, st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=200)
def test_any_split_into_batches_with_restarts_between_gives_the_same_bytes(rows, cuts) -> None:
    table = Table()
    for part in np.split(rows, sorted(min(cut, len(rows)) for cut in cuts)):
        table = reloaded(fold(table, part))
    assert table.profiles().tobytes() == fold(Table(), rows).profiles().tobytes()


@given(_ROWS, st.integers(0, 700 * DAY))
def test_columns_are_never_negative_nor_nonsense(rows, later) -> None:
    table = fold(Table(), rows)
    found = table.columns(np.arange(len(table), dtype=np.uint32), START + later)
    for name in COLUMNS.names:
        if COLUMNS[name].kind == "f":
            assert np.isfinite(found[name]).all(), name
            assert (found[name] >= 0).all(), name


@given(_ROWS)
def test_each_row_is_accounted_for(rows) -> None:
    table = fold(Table(), rows)
    uncounted = np.isin(rows["event"], [Event.ENVELOPE, Event.CLOSED]) & (rows["ip_lo"] != 0xFFFF_0A01_0203)
    assert table.folded + table.reserved + int(uncounted.sum()) == len(rows)

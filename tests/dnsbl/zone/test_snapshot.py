"""The snapshot beside a dictionary: many changes of many sizes leave the same listings."""

import random

import numpy as np
import pytest

from dnsbl.zone.snapshot import Snapshots

REMOVED = 0xFFFFFFFF
NOW = 1000


@pytest.mark.parametrize("is_v4", [True, False])
@pytest.mark.parametrize("spread", [1 << 6, 1 << 17, 1 << 32])
def test_hosts_are_those_of_a_dictionary(is_v4, spread):
    random_ = random.Random(spread)
    snapshots = Snapshots()
    wanted: dict[int, int] = {}
    for serial in range(1, 60):
        changed = sorted({random_.randrange(spread) for _ in range(random_.choice([1, 3, 200]))})
        changes = {value: None if random_.random() < 0.4 else random_.randrange(5) for value in changed}
        records = [REMOVED if since is None else snapshots.intern(b"r", since, 0, 0) for since in changes.values()]
        snapshots.change_hosts(1, is_v4, np.array(changed, np.uint64), np.array(records, np.uint32))
        for value, since in changes.items():
            wanted.pop(value, None)
            if since is not None:
                wanted[value] = since
        # Nothing is seen before it is published.
        assert snapshots.serial == serial - 1
        snapshots.publish(serial)
        assert snapshots.counts() == [0, len(wanted), 0, 0, 0, 0]
    for value in {*wanted, *(random_.randrange(spread) for _ in range(500))}:
        found = snapshots.find(1, is_v4, value, NOW)
        assert found == ((b"r", wanted[value], 0, 0) if value in wanted else None)


@pytest.mark.parametrize("is_v4", [True, False])
def test_ranges_are_the_longest_live_prefix(is_v4):
    random_ = random.Random(7)
    bits = 32 if is_v4 else 64
    for _ in range(150):
        prefixes: dict[tuple[int, int], int] = {}
        for _ in range(random_.randrange(12)):
            length = random_.choice([0, 1, 2, 3, 4, 8, bits - 1])
            value = random_.getrandbits(bits) >> (bits - length) << (bits - length)
            prefixes[value, length] = random_.choice([0, NOW, NOW + 1])
        snapshots = Snapshots()
        ordered = sorted(prefixes.items())
        records = [snapshots.intern(b"%d/%d" % prefix, 0, expires, 0) for prefix, expires in ordered]
        snapshots.set_ranges(
            3,
            is_v4,
            np.array([value for (value, _), _ in ordered], np.uint64),
            np.array([length for (_, length), _ in ordered], np.uint8),
            np.array(records, np.uint32),
        )
        snapshots.publish(1)
        edges = [value + offset for value, _ in prefixes for offset in (-1, 0, 1)]
        edges += [value + (1 << bits - length) + offset for value, length in prefixes for offset in (-1, 0)]
        for value in {0, (1 << bits) - 1, *(edge for edge in edges if 0 <= edge < 1 << bits)}:
            covering = [
                (length, start)
                for (start, length), expires in prefixes.items()
                if value >> (bits - length) == start >> (bits - length) and expires != NOW
            ]
            found = snapshots.find(3, is_v4, value, NOW)
            assert (found and found[0]) == (b"%d/%d" % max(covering)[::-1] if covering else None)


def test_equal_records_and_reasons_are_kept_once_and_freed_after_the_last():
    snapshots = Snapshots()
    many = 20_000  # more than a page of records, so that the tables grow
    for number in range(many):
        assert snapshots.intern(b"r%d" % (number % 7000), number, 0, 0) == number
    assert snapshots.intern(b"r5", 5, 0, 0) == 5
    assert snapshots.records_held == many
    snapshots.release(5)
    assert snapshots.intern(b"r5", 5, 0, 0) == 5
    for _ in range(2):
        snapshots.release(5)
    snapshots.publish(1)
    assert snapshots.records_held == many - 1
    assert snapshots.waiting == 0
    assert snapshots.intern(b"another", 5, 0, 0) == 5

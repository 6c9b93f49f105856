import sqlite3
from pathlib import Path

import numpy as np
import pytest

from profiler.database import FILE_NAME
from profiler.errors import JournalError
from profiler.observation import Event, Reason, Sign
from profiler.profile.checkpoint import FOREIGN, OWN, Checkpoints, dump
from profiler.profile.record import PROFILE
from profiler.profile.table import BLOCK, Table
from tests.profiler.rows import START, fold, key, row

IP = "185.44.2.1"


def tables() -> dict[str, Table]:
    return {OWN: Table(), FOREIGN: Table()}


def saved(data: Path, given: dict[str, Table], offset: int) -> int:
    checkpoints = Checkpoints(data)
    try:
        return checkpoints.save(given, offset)
    finally:
        checkpoints.close()


def loaded(data: Path) -> tuple[dict[str, Table], int]:
    found = tables()
    checkpoints = Checkpoints(data)
    try:
        return found, checkpoints.load(found)
    finally:
        checkpoints.close()


def test_nothing_saved_is_offset_0(tmp_path) -> None:
    found, offset = loaded(tmp_path)
    assert (offset, len(found[OWN]), len(found[FOREIGN])) == (0, 0, 0)


def test_profiles_transactions_standings_and_offset_come_back_by_tier(tmp_path) -> None:
    given = tables()
    fold(given[OWN], row(IP, Event.MESSAGE, queue=77, signs=Sign.OPENS))
    given[OWN].decide(0, START, 1, 0, 9)
    fold(given[FOREIGN], row("185.44.2.2", Event.TRAP))
    saved(tmp_path, given, 42)
    found, offset = loaded(tmp_path)
    assert offset == 42
    for tier in (OWN, FOREIGN):
        assert found[tier].profiles().tobytes() == given[tier].profiles().tobytes()
    assert found[OWN].standings_of(np.array([0], np.uint32))["classes"][0] == 1
    fold(found[OWN], row("", Event.BOUNCE, queue=77, reason=Reason.UNKNOWN_RECIPIENT))
    assert found[OWN].unjoined == 0


def test_only_changed_blocks_are_written(tmp_path) -> None:
    given = tables()
    fold(given[OWN], *(row(f"185.44.{n >> 8}.{n & 255}", Event.MESSAGE) for n in range(2 * BLOCK + 1)))
    assert saved(tmp_path, given, 1) == 3
    assert saved(tmp_path, given, 2) == 0
    fold(given[OWN], row("185.44.1.9", Event.MESSAGE))
    assert saved(tmp_path, given, 3) == 1
    found, offset = loaded(tmp_path)
    assert offset == 3
    assert found[OWN].profiles().tobytes() == given[OWN].profiles().tobytes()


def test_a_checkpoint_that_fails_leaves_the_earlier_one_and_is_made_up_for(tmp_path) -> None:
    given = tables()
    fold(given[OWN], row(IP, Event.MESSAGE))
    saved(tmp_path, given, 1)
    before = dump(tmp_path)
    fold(given[OWN], row(IP, Event.MESSAGE))
    checkpoints = Checkpoints(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("create trigger no before insert on checkpoint begin select raise(abort, 'disk'); end")
    with pytest.raises(JournalError, match="cannot be written"):
        checkpoints.save(given, 2)
    assert dump(tmp_path) == before
    with other:
        other.execute("drop trigger no")
    other.close()
    assert checkpoints.save(given, 2) == 1, "what was not written is still to be written"
    checkpoints.close()
    assert dump(tmp_path) == given[OWN].profiles().tobytes()


@pytest.mark.parametrize("table", ["profile_blocks", "open_transactions"])
@pytest.mark.parametrize("data", [b"", b"not zstd", b"\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00x"])
def test_damage_is_said_with_its_remedy(tmp_path, table, data) -> None:
    given = tables()
    fold(given[OWN], row(IP, Event.MESSAGE, queue=7, signs=Sign.OPENS))
    saved(tmp_path, given, 1)
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute(f"update {table} set data = ?", (data,))
    other.close()
    with pytest.raises(JournalError, match=r"damaged.*restore it from a backup"):
        loaded(tmp_path)


def test_the_dump_is_in_the_order_of_addresses_whatever_was_seen_first(tmp_path) -> None:
    addresses = ["185.44.2.9", "2a00:1450:4:1::1", "185.44.2.1", "45.9.9.9"]
    for name, order in (("one", addresses), ("two", addresses[::-1])):
        given = tables()
        fold(given[OWN], *(row(ip, Event.MESSAGE) for ip in order))
        fold(given[FOREIGN], *(row(ip, Event.CONNECT) for ip in order))
        saved(tmp_path / name, given, 1)
    assert dump(tmp_path / "one") == dump(tmp_path / "two")
    assert len(dump(tmp_path / "one")) == 2 * len(addresses) * PROFILE.itemsize


def test_a_dump_of_nothing_says_what_to_do(tmp_path) -> None:
    with pytest.raises(JournalError, match="start `vedette up`"):
        dump(tmp_path)


def test_an_address_made_for_a_foreign_feed_reaches_the_disk(tmp_path) -> None:
    given = tables()
    saved(tmp_path, given, 1)
    given[OWN].ensure(*key(IP))
    saved(tmp_path, given, 2)
    assert len(loaded(tmp_path)[0][OWN]) == 1

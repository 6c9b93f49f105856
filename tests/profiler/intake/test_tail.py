"""The follower, on real files: what is handed out, under which key, after whatever happened to the file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.intake.tail import LATE_SECONDS, PORTION_BYTES, Follower, TailError

Open = Callable[..., Follower]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.touch()
    return path


@pytest.fixture
def follow(log: Path, tmp_path: Path) -> Iterator[Open]:
    opened: list[Follower] = []

    def again(*, from_end: bool = False) -> Follower:
        if opened:
            opened.pop().close()
        opened.append(Follower(log, tmp_path / "state.json", from_end=from_end))
        return opened[-1]

    yield again
    for follower in opened:
        follower.close()


def write(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def taken(follower: Follower, now: float = 0.0) -> bytes:
    """Take everything that is there."""
    data = b""
    while portion := follower.next(now):
        data += portion.data
        follower.done()
    return data


def test_hands_out_whole_lines_only(log: Path, follow: Open) -> None:
    follower = follow()
    write(log, b"one\ntwo\nthr")
    assert taken(follower) == b"one\ntwo\n"
    write(log, b"ee\n")
    assert taken(follower) == b"three\n"
    assert follower.next(0.0) is None


def test_a_portion_is_bounded_and_ends_at_a_line(log: Path, follow: Open) -> None:
    line = b"x" * 99 + b"\n"
    write(log, line * (PORTION_BYTES // 100 + 50))
    portion = follow().next(0.0)
    assert portion is not None
    assert len(portion.data) <= PORTION_BYTES
    assert portion.data.endswith(b"\n")


def test_a_line_without_end_is_handed_out_in_parts(log: Path, follow: Open) -> None:
    write(log, b"x" * (PORTION_BYTES + 5) + b"\n")
    assert taken(follow()) == b"x" * (PORTION_BYTES + 5) + b"\n"


def test_waits_for_a_file_that_does_not_exist_yet(log: Path, follow: Open) -> None:
    log.unlink()
    follower = follow()
    assert follower.next(0.0) is None
    write(log, b"one\n")
    assert taken(follower) == b"one\n"


def test_what_was_not_taken_is_handed_out_again_alike(log: Path, follow: Open) -> None:
    write(log, b"one\n")
    follower = follow()
    first = follower.next(0.0)
    write(log, b"two\n")
    assert follower.next(0.0) == first
    assert follow().next(0.0) == first


def test_the_same_portion_after_a_crash_although_more_was_written(log: Path, follow: Open, tmp_path: Path) -> None:
    write(log, b"one\n")
    first = follow().next(0.0)
    kept = (tmp_path / "state.json").read_bytes()
    follow()
    # As kill -9 leaves it: what was saved before the portion was handed out.
    (tmp_path / "state.json").write_bytes(kept)
    write(log, b"two\n")
    follower = follow()
    assert follower.next(0.0) == first
    follower.done()
    assert taken(follower) == b"two\n"


def test_goes_on_where_it_ended(log: Path, follow: Open) -> None:
    write(log, b"one\n")
    assert taken(follow()) == b"one\n"
    write(log, b"two\n")
    assert taken(follow()) == b"two\n"


def test_keys_differ_by_place_and_by_text(log: Path, follow: Open) -> None:
    follower = follow()
    keys = set()
    for text in (b"same\n", b"same\n", b"other\n"):
        write(log, text)
        portion = follower.next(0.0)
        assert portion is not None
        keys.add(portion.key)
        follower.done()
    assert len(keys) == 3


def test_rotation_reads_the_old_file_to_its_end(log: Path, follow: Open) -> None:
    follower = follow()
    write(log, b"one\n")
    assert taken(follower) == b"one\n"
    old = log.rename(log.with_suffix(".log.1"))
    write(old, b"two\n")
    write(log, b"three\n")
    assert taken(follower) == b"two\nthree\n"
    write(old, b"late\n")  # its writer had not heard of the rotation
    assert taken(follower, LATE_SECONDS - 1) == b"late\n"


def test_a_rotated_file_without_last_newline_is_finished_and_let_go(log: Path, follow: Open) -> None:
    follower = follow()
    write(log, b"one\ntwo")
    assert taken(follower) == b"one\n"
    old = log.rename(log.with_suffix(".log.1"))
    write(log, b"three\n")
    assert taken(follower, 1.0) == b"three\n"
    assert taken(follower, LATE_SECONDS + 2) == b"two"
    assert follower.next(LATE_SECONDS + 2) is None
    write(old, b"too late\n")
    assert follower.next(LATE_SECONDS + 3) is None


def test_rotated_twice_while_nobody_followed(log: Path, follow: Open) -> None:
    write(log, b"one\n")
    follower = follow()
    assert taken(follower) == b"one\n"
    follower.close()
    write(log, b"two\n")
    second = log.with_name("mail.log.2")
    log.rename(second)
    first = log.with_name("mail.log.1")
    write(first, b"three\n")
    write(log, b"four\n")
    for age, path in enumerate((log, first, second)):
        os.utime(path, (2e9 - age, 2e9 - age))
    older = log.with_name("mail.log.3")
    write(older, b"before all that\n")
    os.utime(older, (1e9, 1e9))
    again = Follower(log, log.with_name("state.json"))
    assert taken(again) == b"two\nthree\nfour\n"
    again.close()


def test_truncation_starts_again(log: Path, follow: Open, caplog: pytest.LogCaptureFixture) -> None:
    follower = follow()
    write(log, b"one\ntwo\n")
    assert taken(follower) == b"one\ntwo\n"
    os.truncate(log, 0)
    write(log, b"new\n")
    assert taken(follower) == b"new\n"
    assert "truncated" in caplog.text


def test_truncation_is_seen_although_the_new_text_is_longer(log: Path, follow: Open) -> None:
    follower = follow()
    write(log, b"one\n")
    assert taken(follower) == b"one\n"
    os.truncate(log, 0)
    write(log, b"new text, longer than the old\n")
    assert taken(follow()) == b"new text, longer than the old\n"


def test_from_end_skips_what_was_there_only_the_first_time(log: Path, follow: Open) -> None:
    write(log, b"old\n")
    follower = follow(from_end=True)
    assert follower.next(0.0) is None
    write(log, b"new\n")
    assert taken(follow(from_end=True)) == b"new\n"


def test_two_followers_of_one_state_are_refused(log: Path, follow: Open, tmp_path: Path) -> None:
    follow()
    with pytest.raises(TailError, match="another `vedette tail`"):
        Follower(log, tmp_path / "state.json")


def test_a_damaged_state_says_what_to_do(log: Path, follow: Open, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(b"{")
    with pytest.raises(TailError, match="remove it"):
        follow()


def test_a_rotated_file_that_is_gone_is_told(log: Path, follow: Open, caplog: pytest.LogCaptureFixture) -> None:
    write(log, b"one\n")
    assert taken(follow()) == b"one\n"
    follow().close()
    log.unlink()
    (log.parent / "keeps-the-inode-from-being-used-again").touch()
    write(log, b"two\n")
    again = Follower(log, log.with_name("state.json"))
    assert taken(again) == b"two\n"
    again.close()
    assert "after byte 4 is lost" in caplog.text

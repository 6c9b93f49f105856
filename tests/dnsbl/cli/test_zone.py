"""Zone files checked, zones dumped and compared, out of a data directory that nobody serves."""

import json
import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

from dnsbl.cli import UNUSABLE
from dnsbl.listing.codes import Layer
from dnsbl.listing.store import Listing, ListingStore, Removal
from dnsbl.registry import Registry
from dnsbl.zone.zone import packaged_zones
from tests.dnsbl.cli.conftest import Run

NOW = int(time.time())
LONG_AGO = NOW - 1000


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    copied = tmp_path / "zones"
    shutil.copytree(packaged_zones(), copied, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


@pytest.fixture
def installation(data: str) -> str:
    """One address was listed until 100 seconds ago, another is since 50 seconds ago, a network all the time."""
    Registry(Path(data)).close()
    with closing(ListingStore(Path(data))) as store:
        store.apply([Listing("185.44.2.7/32", Layer.OPERATOR, "one", LONG_AGO)], [], LONG_AGO)
        store.apply([], [Removal("185.44.2.7/32", Layer.OPERATOR, "over")], NOW - 100)
        store.apply([Listing("185.44.3.0/24", Layer.OPERATOR, "all", LONG_AGO)], [], LONG_AGO)
        store.apply([Listing("185.44.2.9/32", Layer.OPERATOR, "two", NOW - 50)], [], NOW - 50)
    return data


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after", "line", "key", "says"),
    [
        ("ttl = 300", "ttl = 0", 3, "ttl", "between 1 and"),
        ("ttl = 300", 'ttl = "1h"', 3, "ttl", "Expected `int`"),
        ("ttl = 300", "tll = 300", 3, "tll", "known keys: name, kind, ttl"),
        ("ttl = 300", "ttl = ", 3, "", "not valid TOML"),
        ('code = "127.0.0.4"', 'code = "127.0.0.1"', 12, "answer[1].code", "127.0.0.1, which means not listed"),
        ('code = "127.0.0.4"', "code = 4", 12, "answer[1].code", "Expected `str`"),
        ('layer = "bot"', 'layer = "bots"', 11, "answer[1].layer", "one of operator, bot"),
        ('layer = "bot"\n', "", 10, "answer[1]", "missing required field `layer`"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_key(
    before: str, after: str, line: int, key: str, says: str, zones: Path, run: Run
) -> None:
    edit(zones / "bl.toml", before, after)
    result = run("zone", "check", str(zones), "--json")
    (problem,) = json.loads(result.stdout)["problems"]
    assert result.exit_code == 1
    assert (problem["file"], problem["line"], problem["key"]) == (str(zones / "bl.toml"), line, key)
    assert says in problem["reason"]
    told = run("zone", "check", str(zones / "bl.toml"))
    assert (told.exit_code, told.stdout.count("\n")) == (1, 1)
    assert told.stdout.startswith(f"{zones}/bl.toml:{line}: ")


def test_every_wrong_file_of_a_directory_is_told(zones: Path, run: Run) -> None:
    edit(zones / "bl.toml", "ttl = 300", "ttl = 0")
    edit(zones / "wl.toml", 'layer = "mta"', 'layer = "bot"')
    result = run("zone", "check", str(zones))
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        str(zones / "bl.toml"),
        str(zones / "wl.toml"),
    ]


def test_files_that_do_not_go_together_are_told(zones: Path, run: Run) -> None:
    shutil.copy(zones / "bl.toml", zones / "other.toml")
    result = run("zone", "check", str(zones))
    assert result.exit_code == 1
    assert "other.toml:2: name: bl.vedette.test is already the zone of bl.toml" in result.stdout
    assert run("zone", "check", str(zones / "other.toml")).stdout == "1 zone files can be used\n"


def test_a_dump_is_what_export_writes(run: Run, installation: str, tmp_path: Path) -> None:
    for format_name in ("bind", "rbldnsd"):
        file = tmp_path / format_name
        words = ("zone", "dump", "bl", "--format", format_name, "--data", installation)
        assert run(*words, "-o", str(file)).exit_code == 0
        exported = run("export", format_name, "--zone", "bl", "--data", installation).stdout
        dumped = file.read_text().splitlines()
        differing = [pair for pair in zip(dumped, exported.splitlines(), strict=True) if pair[0] != pair[1]]
        assert all("hostmaster" in line for line, _ in differing)
        assert "185.44.3.0" in file.read_text()


def test_a_zone_is_compared_with_itself_at_another_time(run: Run, installation: str) -> None:
    then = run("zone", "diff", f"bl@{NOW - 200}", "bl", "--data", installation, "--json")
    assert then.exit_code == 1
    found = json.loads(then.stdout)
    assert [one["name"] for one in found["removed"]] == ["7.2.44.185.bl.vedette.test."]
    assert [one["name"] for one in found["added"]] == ["9.2.44.185.bl.vedette.test."]
    assert found["changed"] == []
    between = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - 75))
    told = run("zone", "diff", f"bl@{between}", "bl", "--data", installation)
    assert [line.split()[:3] for line in told.stdout.splitlines()] == [
        ["+", "9.2.44.185.bl.vedette.test.", "A"],
        ["+", "9.2.44.185.bl.vedette.test.", "TXT"],
    ]


def test_a_dump_is_compared_with_what_is_published(run: Run, installation: str, tmp_path: Path) -> None:
    file = tmp_path / "bl.zone"
    run("zone", "dump", "bl", "--data", installation, "-o", str(file))
    same = run("zone", "diff", str(file), "bl", "--ttl", "--data", installation)
    assert (same.exit_code, same.stdout) == (0, "")
    edit(file, "\t300\tA\t127.0.0.2", "\t60\tA\t127.0.0.2")
    assert run("zone", "diff", str(file), "bl", "--data", installation).exit_code == 0
    told = run("zone", "diff", str(file), "bl", "--ttl", "--data", installation)
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        "- 2.0.0.127.bl.vedette.test. 60 A 127.0.0.2",
        "+ 2.0.0.127.bl.vedette.test. 300 A 127.0.0.2",
    ]


def test_zone_files_are_compared_key_by_key(run: Run, zones: Path) -> None:
    original = str(packaged_zones())
    assert run("zone", "diff", original, str(zones)).exit_code == 0
    edit(zones / "bl.toml", "ttl = 300", "negative_ttl = 30\nttl = 300")
    (zones / "dyn.toml").unlink()
    told = run("zone", "diff", original, str(zones))
    assert told.exit_code == 1
    assert "- bl.vedette.test negative_ttl = 60\n+ bl.vedette.test negative_ttl = 30\n" in told.stdout
    assert "- dyn.vedette.test kind = block\n" in told.stdout


@pytest.mark.parametrize(
    ("side", "says"),
    [
        ("nothing", "nothing: no such file, and there is no zone 'nothing': one of all, bl"),
        ("bl@soon", "@soon: a time is needed"),
        ("{tmp}/text", "{tmp}/text: line 1: "),
        ("{tmp}/bytes", "{tmp}/bytes: no text"),
    ],
)
def test_trouble_is_told_apart_from_a_difference(
    side: str, says: str, run: Run, installation: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfd")
    result = run("zone", "diff", side.format(tmp=tmp_path), "bl", "--data", installation)
    assert (result.exit_code, result.stdout) == (UNUSABLE, "")
    assert says.format(tmp=tmp_path) in result.stderr

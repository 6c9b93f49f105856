"""Zones written for other programs, out of a data directory that nobody or somebody serves."""

import os
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from dnsbl.cli.published import LINES_OF_A_BLOCK
from dnsbl.cli.replace import replace_file
from dnsbl.config import load
from dnsbl.listing.codes import Layer
from dnsbl.listing.store import Listing, ListingStore
from dnsbl.publisher import Publisher
from dnsbl.registry import Registry
from dnsbl.service import zones_of
from dnsbl.zone.live import LiveZones
from tests.dnsbl.asking import listed
from tests.dnsbl.cli.conftest import Run

ROOT = Path(__file__).parents[3]
NOW = int(time.time())
FORMATS = ("rbldnsd", "bind", "rpz", "nftables", "plain")
NEVER = "185.44.7.0/24"
LISTINGS = (
    Listing("185.44.2.66/32", Layer.BOT, "spam", NOW - 60),
    Listing("185.44.2.67/32", Layer.BOT, "held", NOW - 60, held=True),
    Listing("185.44.2.68/32", Layer.BOT, "over", NOW - 60, expires=NOW - 1),
    Listing("185.44.2.25/32", Layer.MTA, "accepted mail", NOW - 60, trust=2),
    Listing("185.44.3.0/24", Layer.OPERATOR, "by hand", NOW - 60),
    Listing("2a00:1:2:3::/64", Layer.DYNAMIC_INFERRED, "names", NOW - 60),
)


@pytest.fixture
def installation(data: str) -> str:
    with closing(Registry(Path(data))) as registry:
        registry.add_network("185.44.4.0/22", use="dynamic", name="homes")
        registry.add_network("185.44.2.0/24", use="servers")
    with closing(ListingStore(Path(data))) as store:
        store.apply(LISTINGS, [], NOW)
    return data


def test_what_is_written_is_what_a_server_of_the_same_data_answers(
    run: Run, installation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEDETTE_LISTING_NEVER", NEVER)
    config = load(data=installation)
    live = LiveZones(zones_of(config), public_url=config.public_url)
    with closing(ListingStore(Path(installation))) as store, closing(Registry(Path(installation))) as registry:
        Publisher(config, store, live).load(registry.networks())
    written = {
        zone: run("export", "plain", "--zone", zone, "--data", installation).stdout.split()
        for zone in ("bl", "dyn", "all", "wl")
    }
    assert written == {
        "bl": ["185.44.2.66", "185.44.3.0/24"],
        "dyn": ["185.44.3.0/24", "185.44.4.0/23", "185.44.6.0/24", "2a00:1:2:3::/64"],
        "all": ["185.44.2.66", "185.44.3.0/24", "185.44.4.0/23", "185.44.6.0/24", "2a00:1:2:3::/64"],
        "wl": ["185.44.2.25"],
    }
    for ip, zones in {
        "185.44.2.66": {"bl", "all"}, "185.44.2.67": set(), "185.44.2.68": set(), "185.44.2.25": {"wl"},
        "185.44.3.9": {"bl", "dyn", "all"}, "185.44.6.255": {"dyn", "all"}, "185.44.7.0": set(),
        "2a00:1:2:3::1": {"dyn", "all"},
    }.items():  # fmt: skip
        assert listed(live, ip).keys() - {"class"} == zones, ip


def test_in_a_dry_run_only_what_was_made_by_hand_and_declared_is_written(
    run: Run, installation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEDETTE_LISTING_DRY_RUN", "true")
    found = run("export", "plain", "--zone", "all", "--data", installation).stdout.split()
    assert found == ["185.44.3.0/24", "185.44.4.0/22"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_each_format_goes_to_stdout_or_into_a_file(
    run: Run, installation: str, format_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "out"
    words = ("export", format_name, "--zone", "BL.vedette.test.", "--data", installation)
    shown, written = run(*words), run(*words, "-O", str(file))
    assert (shown.exit_code, written.exit_code, written.output) == (0, 0, "")
    # The serial is the time.
    without_serial = [
        [line for line in text.splitlines() if "hostmaster" not in line]
        for text in (shown.stdout, file.read_text())
    ]
    assert without_serial[0] == without_serial[1]
    assert "66" in shown.stdout
    assert "185.44.2.67" not in shown.stdout


def test_a_running_server_may_hold_the_data(installation: str, run: Run) -> None:
    with closing(ListingStore(Path(installation))) as store:
        store._connection.execute("begin immediate")
        assert "185.44.2.66" in run("export", "plain", "--zone", "bl", "--data", installation).stdout
        store._connection.execute("rollback")


def test_a_data_directory_that_is_not_there_is_no_empty_list(run: Run, data: str, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("the old list\n")
    result = run("export", "plain", "--zone", "bl", "--data", data, "-O", str(file))
    assert result.exit_code == 1
    assert "no such file: start `vedette up`" in result.stderr
    assert file.read_text() == "the old list\n"
    assert not Path(data).exists()


def test_an_installation_that_never_ran_is_no_empty_list_either(run: Run, data: str) -> None:
    assert run("feed", "add", "mx1", "--data", data).exit_code == 0
    result = run("export", "plain", "--zone", "bl", "--data", data)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "start `vedette up` with this data directory once" in result.stderr


def test_an_unknown_zone_is_named_with_those_there_are(run: Run, installation: str) -> None:
    result = run("export", "plain", "--zone", "lb", "--data", installation)
    assert result.exit_code == 2
    assert "there is no zone 'lb': one of all, bl, class, dyn, wl" in result.stderr


def test_a_zone_that_cannot_be_said_so_leaves_the_file_as_it_was(
    run: Run, installation: str, tmp_path: Path
) -> None:
    file = tmp_path / "out"
    file.write_text("the old list\n")
    result = run("export", "nftables", "--zone", "class", "--data", installation, "-O", str(file))
    assert result.exit_code == 1
    assert 'export a zone of kind "block" or "allow"' in result.stderr
    assert file.read_text() == "the old list\n"
    assert {one.name for one in tmp_path.iterdir()} == {"out", "data"}


def test_more_than_a_block_comes_out_whole(run: Run, data: str) -> None:
    many = [
        Listing(f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}/32", Layer.BOT, "x", NOW)
        for n in range(1, 2 * LINES_OF_A_BLOCK + 9, 2)
    ]
    Registry(Path(data)).close()
    with closing(ListingStore(Path(data))) as store:
        store.apply(many, [], NOW)
    shown = run("export", "plain", "--zone", "bl", "--data", data).stdout.split()
    assert [f"{address}/32" for address in shown] == [listing.prefix for listing in many]


# The file


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace_file(file, ["one\n", "two\n"])
    file.chmod(0o640)
    with file.open() as reader:
        replace_file(file, ["three\n"])
        assert reader.read() == "one\ntwo\n"
    assert file.read_text() == "three\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_stays_as_it_was_when_what_makes_it_fails(tmp_path: Path) -> None:
    def failing():
        yield "new\n"
        raise RuntimeError("half way")

    file = tmp_path / "file"
    file.write_text("old\n")
    with pytest.raises(RuntimeError, match="half way"):
        replace_file(file, failing())
    assert file.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_followed(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old\n")
    link.symlink_to(file)
    replace_file(link, ["new\n"])
    assert link.is_symlink()
    assert file.read_text() == "new\n"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = "import sys; from pathlib import Path; from dnsbl.cli.replace import replace_file; "
    code += "replace_file(Path(sys.argv[1]), ['new\\n'])"
    with subprocess.Popen([sys.executable, "-c", code, str(pipe)], cwd=ROOT) as writer:
        assert pipe.read_text() == "new\n"
        assert writer.wait(10) == 0
    assert stat.S_ISFIFO(pipe.stat().st_mode)

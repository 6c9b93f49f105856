"""The real nft takes the file, again and again, and the sets then hold what is listed."""

import dataclasses
import json
import os
import re
import shutil
import subprocess

import pytest

from dnsbl.export import nftables, plain
from dnsbl.listing.codes import Layer
from tests.dnsbl.export.scenes import ZONES, columns, entries
from tests.dnsbl.zone.test_live import entry

NFT_SECONDS = 60
LISTED = [
    entry("11.0.0.4/32"),
    entry("11.1.0.0/16", Layer.DYNAMIC_DECLARED),
    entry("11.1.7.7/32", Layer.MTA),
    entry("2a00:1:2:3::/64"),
]


def in_a_namespace(commands: str) -> subprocess.CompletedProcess[str]:
    """Run shell commands in a network namespace that ends with them: rules of the machine are not touched."""
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("needs Debian's nftables, and root")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", commands],
        capture_output=True,
        text=True,
        timeout=NFT_SECONDS,
        check=False,
    )
    if re.search(r"Operation not permitted|cache initialization failed", done.stderr):
        pytest.skip(f"this kernel lets nobody use nftables: {done.stderr.strip()}")
    return done


def text(zone: str, listed=LISTED) -> str:
    return "".join(nftables.lines(ZONES[zone], columns(listed)))


def test_nft_takes_the_file_and_takes_it_again_with_less(tmp_path) -> None:
    (tmp_path / "first").write_text(text("all"))
    (tmp_path / "second").write_text(text("all", LISTED[:1]))
    done = in_a_namespace(
        f"nft -c -f {tmp_path}/first; nft -f {tmp_path}/first; nft -j list set inet vedette all_v4; "
        f"nft -f {tmp_path}/second; nft -j list set inet vedette all_v4; nft -j list set inet vedette all_v6"
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["nftables"][-1]["set"].get("elem", []) for line in done.stdout.splitlines()]
    assert [len(elements) for elements in found] == [17, 1, 0]
    assert "11.0.0.4" in found[0]
    assert found[1] == ["11.0.0.4"]


def test_nft_takes_thousands_that_meet(tmp_path) -> None:
    (tmp_path / "file").write_text(text("all", entries(5, 4000)))
    done = in_a_namespace(f"nft -c -f {tmp_path}/file")
    assert done.returncode == 0, done.stderr


def test_a_file_replaces_whole_sets_in_statements_of_bounded_length() -> None:
    some = [entry(f"11.{number >> 8}.{number & 255}.9/32") for number in range(2500)]
    lines = text("bl", some).splitlines()
    assert lines[1:4] == [
        "add table inet vedette",
        "add set inet vedette bl_v4 { type ipv4_addr; flags interval; }",
        "flush set inet vedette bl_v4",
    ]
    assert [line.count(",") + 1 for line in lines if line.startswith("add element")] == [1000, 1000, 500]


@pytest.mark.parametrize(("name", "set_name"), [("bl", "bl"), ("my-list.eu", "my_list_eu"), ("4bots", "z4bots")])
def test_names_are_such_as_nft_takes(name: str, set_name: str) -> None:
    assert nftables.set_name(dataclasses.replace(ZONES["bl"], name=name)) == set_name


def test_the_plain_list_has_hosts_bare_and_prefixes_cut_around_exclusions() -> None:
    listed = [entry("11.0.0.4/31"), entry("11.0.0.6/32"), entry("11.0.1.0/24"), entry("11.0.1.128/25", Layer.MTA)]
    lines = list(plain.lines(ZONES["bl"], columns([*listed, LISTED[3]])))
    assert lines == ["11.0.0.4/31\n", "11.0.0.6\n", "11.0.1.0/25\n", "2a00:1:2:3::/64\n"]

"""What holds for every command: one line for an error, the exit status, the version, completion, zones, doctor."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from dnsbl import __version__
from dnsbl.cli import COMMANDS, UNUSABLE
from dnsbl.cli.completion import SHELLS
from dnsbl.zone.zone import packaged_zones
from tests.dnsbl.cli.conftest import Run


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"vedette {__version__}\n"
    said = run("--help").stdout
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_used(name: str, run: Run) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.stderr
    assert f"Usage: vedette {name}" in result.stdout


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("feeds",), 2, "No such command 'feeds'"),
        (("feed", "add"), 2, "Missing argument 'NAME'. See `vedette feed add --help`"),
        (("isp", "add", "x"), 2, "Missing option '--network'"),
        (("network", "add", "185.44.0.0/16", "--use", "pool"), 2, "'dynamic', 'static', 'servers'"),
        (("replay", "/nonexistent/mail.log"), 1, "/nonexistent/mail.log: No such file"),
        (("lookup", "185.44.9"), 1, "'185.44.9' is not an IPv4 or IPv6 address"),
        (("lookup", "185.44.9.1", "--url", "ftp://x"), 1, "write it like http://127.0.0.1:8053"),
        (("check-config", "--config", "/nonexistent/vedette.toml"), 2, "/nonexistent/vedette.toml: cannot be read"),
        (("parse", "-", "--format", "posfix"), 1, "format 'posfix' is unknown"),
        (("parse", "-", "--timezone", "Vienna"), 2, "Europe/Vienna"),
        (("zone", "check", "/nonexistent"), 2, "no such directory"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    words: tuple[str, ...], status: int, says: str, run: Run
) -> None:
    result = run(*words)
    assert result.exit_code == status
    assert result.stderr.count("\n") == 1, result.stderr
    assert says in result.stderr
    assert result.stdout == ""


def test_a_wrong_key_in_the_environment_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEDETTE_DNS_PROT", "53")
    result = run("check-config")
    assert result.exit_code == UNUSABLE
    assert "did you mean `port`" in result.stderr


def test_check_config_prints_what_is_in_effect(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text('origin = "example.net"\n[dns]\nport = 53\n')
    monkeypatch.setenv("VEDETTE_DNS_THREADS", "2")
    result = run("check-config", "--config", str(file), "--json")
    config = json.loads(result.stdout)
    assert (config["origin"], config["dns"]["port"], config["dns"]["threads"]) == ("example.net", 53, 2)
    assert "5 zones under example.net" in run("check-config", "--config", str(file)).stdout


def test_check_config_keeps_secrets_to_itself(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text(f'[dns]\ncookies = true\ncookie_secret = "{"5e" * 16}"\n')
    said = run("check-config", "--config", str(file), "--json").stdout
    assert "5e5e" not in said
    assert json.loads(said)["dns"]["cookie_secret"] == "(set)"


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_what_the_shell_reads(shell: str, run: Run) -> None:
    said = run("completion", shell).stdout
    assert "_VEDETTE_COMPLETE" in said
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=said, text=True, check=True, timeout=10)


def test_zones_are_listed_and_checked(run: Run, tmp_path: Path) -> None:
    listed = {zone["zone"]: zone for zone in json.loads(run("zone", "list", "--json").stdout)}
    assert listed["bl.vedette.test"]["kind"] == "block"
    assert {answer["class"]: answer["code"] for answer in listed["wl.vedette.test"]["answers"]} == {
        "mta": "127.0.0.40"
    }
    assert run("zone", "check").exit_code == 0
    zones = tmp_path / "zones"
    shutil.copytree(packaged_zones(), zones, ignore=shutil.ignore_patterns("__pycache__"))
    (zones / "bl.toml").write_text((zones / "bl.toml").read_text().replace("127.0.0.4", "127.0.0.1"))
    wrong = run("zone", "check", str(zones))
    assert wrong.exit_code == 1
    assert "bl.toml:12: answer[1].code" in wrong.stdout


def test_doctor_finds_nothing_wrong_with_free_ports(run: Run, data: str, tmp_path: Path) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text("[dns]\nport = 0\n[http]\nport = 0\n[flow]\nport = 0\n")
    run("feed", "add", "mx1", "--data", data)
    result = run("doctor", "--config", str(file), "--data", data, "--json")
    assert result.exit_code == 0, result.stdout
    found = {(one["check"], one["state"]) for one in json.loads(result.stdout)}
    assert ("packages", "ok") in found
    assert ("database", "ok") in found
    assert ("server", "warning") in found
    assert ("feeds", "warning") in found


def test_doctor_names_the_remedy(run: Run, data: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "vedette.toml"
        file.write_text(
            f'[dns]\nport = {port}\n[http]\nport = 0\n[flow]\nport = 0\n[resolver]\nnameservers = ["127.0.0.1@1"]\n'
        )
        Path(data).mkdir(mode=0o755)
        result = run("doctor", "--config", str(file), "--data", data, "--json")
    assert result.exit_code == 1
    found = {(one["check"], one["state"]): one for one in json.loads(result.stdout)}
    assert "[dns]" in found["ports", "failure"]["remedy"]
    assert f"chmod 700 {data}" in found["data", "warning"]["remedy"]
    assert "nameservers" in found["resolver", "failure"]["remedy"]

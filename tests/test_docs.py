"""The documentation says all that there is, and nothing that there is not."""

import re
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from prometheus_client.core import CounterMetricFamily

from dnsbl.cli import COMMANDS, main
from dnsbl.config import Config
from dnsbl.http.app import build_app
from dnsbl.http.pages import STYLE_PATH
from dnsbl.listing.codes import LAYER_NAMES
from dnsbl.metrics import _ServiceCollector
from dnsbl.service import Service
from dnsbl.zone.zone import _AnswerFile, _NameServerFile, _SoaFile, _ZoneFile
from profiler.observation import POSTABLE, REASONS
from profiler.parse.ndjson import Observation
from profiler.parse.registry import FORMATS
from tests.cli_reference import reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.glob("*.md")), ROOT / "README.md")


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def first_cells(text: str) -> set[str]:
    """Return what stands in code form in the first cells of a page's tables."""
    rows = re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def section(text: str, title: str) -> str:
    """Return the part of a page below a heading, up to the next one of the same level."""
    after = text.split(f"\n## {title}\n", 1)[1]
    return after.split("\n## ", 1)[0]


def test_the_command_line_is_documented_as_it_is() -> None:
    assert page("cli.md") == reference(), "write it anew: python -m tests.cli_reference > docs/cli.md"


def test_help_of_the_whole_says_what_each_command_says() -> None:
    for name, sentence in COMMANDS.items():
        command = main.get_command(cast(Any, None), name)
        assert command is not None
        assert (command.help or "").splitlines()[0] == sentence


def test_every_key_of_the_configuration_is_documented_with_its_default() -> None:
    text = page("configuration.md")
    for field in msgspec.structs.fields(Config):
        is_section = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        below = section(text, f"`[{field.name}]`" if is_section else "Top level")
        documented = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", below, re.MULTILINE))
        there_is = list(msgspec.structs.fields(cast(Any, field.type))) if is_section else [field]
        for one in there_is:
            assert documented.pop(one.name).strip() == _as_documented(one.default), f"{field.name}.{one.name}"
        assert not documented or not is_section, documented


def _as_documented(default: object) -> str:
    if default in ("", ()):
        return ""
    if isinstance(default, tuple):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_route_is_documented() -> None:
    documented = set(re.findall(r"`(GET|POST) ([^` ]+)`", page("http.md")))
    service = cast(Service, SimpleNamespace())
    there_is = {
        (route.method, route.resource.canonical)
        for route in build_app(service).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    there_is = {(method, path.replace(STYLE_PATH, "/style-….css")) for method, path in there_is}
    assert documented == there_is


def test_every_metric_is_documented_with_its_labels(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section(page("http.md"), "Metrics"), re.MULTILINE)
    documented = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    service = Service(msgspec.structs.replace(Config(), data=str(tmp_path)))
    try:
        there_is = {
            metric.name + ("_total" if isinstance(metric, CounterMetricFamily) else ""): metric._labelnames
            for metric in cast(Any, _ServiceCollector(service).collect())
        }
    finally:
        service.close()
    assert documented == there_is


def test_every_field_event_and_reason_of_an_observation_is_documented() -> None:
    text = page("observations.md")
    fields = first_cells(text.split("\n## ", 1)[0])
    assert fields == {field.name for field in msgspec.structs.fields(Observation)}
    assert first_cells(section(text, "Events")) == set(POSTABLE)
    assert first_cells(section(text, "Reasons")) == set(REASONS)


def test_every_layer_and_key_of_a_zone_file_is_documented() -> None:
    text = page("dns.md")
    codes = re.findall(r"\| `(\w+)` \|", section(text, "The codes"))
    assert set(codes) == set(LAYER_NAMES.values())
    keys = first_cells(section(text, "Zone files"))
    for struct in (_ZoneFile, _AnswerFile, _SoaFile, _NameServerFile):
        for field in msgspec.structs.fields(struct):
            assert {field.name, f"[{field.name}]", f"[[{field.name}]]"} & keys, field.name


def test_every_zone_that_comes_along_is_documented() -> None:
    named = first_cells(section(page("dns.md"), "The zones that come with Vedette"))
    assert named == {path.stem for path in (ROOT / "zones").glob("*.toml")}


def test_every_dependency_is_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    text = page("dependencies.md").lower()
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None
        assert re.search(rf"\b{re.escape(name[0].lower())}\b", text), name[0]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_the_text_exist(path: Path) -> None:
    """Each ``vedette …`` in code names a command, and options that it has; each ``make …`` a target."""
    text = path.read_text("utf-8")
    code = [
        *re.findall(r"`([^`\n]+)`", text),
        *re.findall(r"^(?: {4}|)([^\n]+)$", "\n".join(_blocks(text)), re.MULTILINE),
    ]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    known = reference()
    for line in code:
        for words in re.findall(r"(?:^|/|\s)vedette ([a-z-]+(?: [a-z-]+)?)", line):
            first, _, second = words.partition(" ")
            assert first in COMMANDS, line
            group = re.findall(rf"^## `vedette {first} (\S+)`$", known, re.MULTILINE)
            assert not group or not second or second in group, line
            for option in re.findall(r"(?<!\S)(--[a-z-]+)", line.partition("vedette ")[2]):
                assert f"{option}" in known, line
        for target in re.findall(r"(?:^|\s)make ([a-z]+)", line):
            assert target in targets, line


def _blocks(text: str) -> list[str]:
    return [*re.findall(r"```\w*\n(.*?)```", text, re.DOTALL), *re.findall(r"^ {4}(.*)$", text, re.MULTILINE)]


def test_readme_names_the_formats_that_there_are() -> None:
    names = {"postfix": "Postfix", "ndjson": "NDJSON", "netflow": "NetFlow", "ipfix": "IPFIX", "pcap": ""}
    assert set(names) == set(FORMATS), "say in README.md and CHANGELOG.md what is understood now"
    text = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in names.values() if name not in text] == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make (\w+)", said, re.MULTILINE) == phony[1].split()

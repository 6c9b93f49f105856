"""The import directions and the pure rooms of docs/architecture.md, read from the source itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

#: In each package a later room may import an earlier one, not the reverse.
ORDER = {
    "profiler": (
        "errors", "observation", "address", "keyed", "name", "parse", "database", "journal", "sources", "intake",
        "profile", "classify", "engine", "replay", "simulate",
    ),
    "dnsbl": (
        "errors", "config", "listing", "zone", "wire", "serve", "registry", "publisher", "view", "metrics",
        "service", "schedule", "offline", "export", "http", "server", "cli",
    ),
}  # fmt: skip
#: zone and wire lean on each other: the snapshot is what the answer reads, LiveZones asks the answer.
LEAN_ON_EACH_OTHER = {("dnsbl", "zone", "wire")}
PURE = (
    "profiler.parse",
    "profiler.classify",
    "profiler.profile",
    "dnsbl.wire",
    "dnsbl.zone.snapshot",
    "dnsbl.listing.policy",
)
#: The checkpoint is a file; the twin serves tests only.
NOT_PURE = ("profiler.profile.checkpoint", "dnsbl.wire.twin")
#: What brings sockets, files or processes, none of which a pure room may know.
WORLD = frozenset(
    {"socket", "sqlite3", "sqlite_utils", "subprocess", "threading", "asyncio", "aiohttp", "pathlib", "os"}
)
CLOCKS = re.compile(r"\b(time\.(time|time_ns|monotonic)|datetime\.now|datetime\.utcnow)\(")
OPENS = re.compile(r"(?<![.\w])open\(|\.read_text\(|\.read_bytes\(|\.write_text\(|\.write_bytes\(")


class Import(NamedTuple):
    module: str
    imported: str


def modules() -> dict[str, Path]:
    """Return every module of the two packages by its name."""
    found = {}
    for package in ORDER:
        for path in sorted((ROOT / package).rglob("*.py")) + sorted((ROOT / package).rglob("*.pyx")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> Iterator[Import]:
    """Yield what a module imports when it runs, in functions too; not what only type checkers read."""
    text = path.read_text("utf-8")
    if path.suffix == ".pyx":
        for first, second, third in re.findall(
            r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(\w+)|c?import\s+([\w.]+))", text, re.MULTILINE
        ):
            yield Import(name, third or f"{first}.{second}")
        return
    for node in _run(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Import(name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            yield from (Import(name, f"{node.module}.{alias.name}") for alias in node.names)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run(child)


MODULES = modules()
IMPORTS = [one for name, path in MODULES.items() for one in imports(name, path)]


def room(module: str) -> tuple[str, str]:
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 60
    assert Import("dnsbl.service", "profiler.engine.Engine") in IMPORTS
    assert Import("dnsbl.serve.udp", "dnsbl.wire.answer.answer") in [
        one._replace(imported="dnsbl.wire.answer.answer") for one in IMPORTS if "dnsbl.wire.answer" in one.imported
    ]


def test_every_room_has_its_place_in_the_order() -> None:
    for package, order in ORDER.items():
        rooms = {room(module)[1] for module in MODULES if room(module)[0] == package} - {""}
        assert rooms <= set(order), f"{package}: say where {rooms - set(order)} stands in the order"


def test_profiler_does_not_know_dnsbl() -> None:
    assert [one for one in IMPORTS if one.module.startswith("profiler") and room(one.imported)[0] == "dnsbl"] == []


@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_earlier_rooms_only(package: str) -> None:
    order = ORDER[package]
    wrong = []
    for one in IMPORTS:
        (own_package, own), (other_package, other) = room(one.module), room(one.imported)
        if own_package == other_package == package and own in order and other in order:
            leans = (package, own, other) in LEAN_ON_EACH_OTHER
            if order.index(other) > order.index(own) and not leans:
                wrong.append(one)
    assert wrong == []


@pytest.mark.parametrize("name", ["dnsbl.wire", "dnsbl.zone"])
def test_the_answering_rooms_know_neither_profiler_nor_http(name: str) -> None:
    inside = [one for one in IMPORTS if one.module.startswith(name)]
    assert inside
    assert [one for one in inside if one.imported.partition(".")[0] in ("profiler", "aiohttp")] == []
    # The rest of listing/ knows the profiler or the disk.
    listing = {one.imported.split(".")[2] for one in inside if one.imported.startswith("dnsbl.listing.")}
    assert listing <= {"codes", "columns", "entry"}


@pytest.mark.parametrize("name", PURE)
def test_pure_rooms_hold_no_socket_file_or_clock(name: str) -> None:
    inside = {
        module: path for module, path in MODULES.items()
        if (module + ".").startswith(name + ".") and module not in NOT_PURE
    }  # fmt: skip
    assert inside
    for module, path in inside.items():
        world = [one for one in imports(module, path) if one.imported.partition(".")[0] in WORLD]
        assert world == [], module
        text = path.read_text("utf-8")
        # A .pyx may have a function of its own called open, which Cython would not take for the file's.
        for pattern in (CLOCKS, OPENS) if path.suffix == ".py" else (CLOCKS,):
            assert not pattern.search(text), f"{module}: {pattern.search(text)}"


def test_no_module_is_a_drawer() -> None:
    assert [name for name in MODULES if name.rpartition(".")[2] in ("utils", "helpers", "misc", "common")] == []


def test_every_module_says_its_job() -> None:
    silent = [
        name for name, path in MODULES.items()
        if path.stat().st_size and not re.match(r'(#.*\n)*"""\S', path.read_text("utf-8"))
    ]  # fmt: skip
    assert silent == []


def test_every_compiled_module_is_typed_and_built() -> None:
    built = (ROOT / "pyproject.toml").read_text("utf-8")
    for path in [*ROOT.glob("profiler/**/*.pyx"), *ROOT.glob("dnsbl/**/*.pyx")]:
        assert path.with_suffix(".pyi").exists(), path
        assert f'"{path.relative_to(ROOT)}"' in built, path

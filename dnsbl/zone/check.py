"""What is wrong in zone files: each file on its own, then all together; with file, line and key.

Paths in, problems out; nothing is served from what is read here.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dnsbl.errors import ZoneError
from dnsbl.zone.zone import load_zones, read_zone

_TOML_LINE = re.compile(r"\(at line (\d+), column \d+\)")
#: How messages name a key: first, as in ``answer[1].code = 'x': ...``, or as msgspec does, at the end.
_KEY = re.compile(r"((?:soa\.|(?:answer|nameservers)\[\d+\]\.?)?[a-z_]*)(?: = |: )")
_PATH = re.compile(r"at `\$\.([^`]+)`")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")
_PART = re.compile(r"([a-z_0-9]+)(?:\[(\d+)\])?")


class Problem(NamedTuple):
    """Why a file cannot be used, and what would be right. ``line`` 0 and ``key`` "": it is the file as a whole."""

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        named = not self.key or self.key in self.reason
        return f"{place}: {self.reason}" if named else f"{place}: {self.key}: {self.reason}"


def check_files(paths: Sequence[Path], origin: str, public_url: str) -> list[Problem]:
    """Return the first problem of each zone file that has one."""
    found = []
    for path in paths:
        try:
            read_zone(path, origin, public_url)
        except ZoneError as error:
            found.append(_problem(path, str(error)))
    return found


def check_directory(directory: Path, origin: str, public_url: str) -> list[Problem]:
    """Return the first problem of each zone file of a directory, or else what is wrong with them together."""
    found = check_files(sorted(directory.glob("*.toml")), origin, public_url)
    if not found:
        try:
            load_zones(directory, origin, public_url)
        except ZoneError as error:
            file, _, _ = str(error).partition(": ")
            found.append(_problem(Path(file), str(error)))
    return found


def _problem(path: Path, message: str) -> Problem:
    reason = message.removeprefix(f"{path}: ")
    if line := _TOML_LINE.search(reason):
        return Problem(str(path), int(line[1]), "", reason)
    key = ""
    if unknown := _UNKNOWN.search(reason):
        below = _PATH.search(reason)
        key = f"{below[1]}.{unknown[1]}" if below else unknown[1]
    elif (named := _PATH.search(reason)) or (named := _KEY.match(reason)):
        key = named[1]
    return Problem(str(path), _line_of(path, key), key, reason)


def _line_of(path: Path, key: str) -> int:
    """Return the line where a key of a zone file stands, or the table that lacks it; 0: it stands nowhere."""
    try:
        text = path.read_text("utf-8")
        tomllib.loads(text)
    except (OSError, ValueError):
        return 0
    parts = [(part[1], int(part[2] or 0)) for part in _PART.finditer(key)]
    table, place = (parts[0], 0) if len(parts) > 1 or "[" in key else (("", 0), 0)
    name = parts[-1][0] if parts else ""
    seen, inside = -1, not table[0]
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith("["):
            seen += words.strip("[] ") == table[0]
            inside = words.strip("[] ") == table[0] and seen == table[1]
            place = number if inside else place
        elif inside and re.match(rf"{re.escape(name)}\s*=", words):
            return number
    return place

"""The command, run in this process as its users run it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnsbl.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command and return its result; ``stdin`` are bytes."""

    def command(*words: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(main, words, input=stdin, prog_name="vedette")

    return command


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data directory that does not exist yet."""
    return str(tmp_path / "data")

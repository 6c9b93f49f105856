"""What is built installs elsewhere: a source distribution, a wheel from it, the command in a new environment."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BUILD_SECONDS = 600.0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a source distribution of this tree, and a wheel built from that."""
    directory = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("needs git: what is ignored must not get into the distribution")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    # With what is installed here: no network is needed, and every build requirement is in the dev group.
    command(directory, sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(source))
    return directory


def command(directory: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        words, cwd=directory, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def the_only(directory: Path, pattern: str) -> Path:
    (path,) = directory.glob(pattern)
    return path


def test_the_wheel_holds_what_runs_and_nothing_generated(built: Path) -> None:
    names = set(zipfile.ZipFile(the_only(built, "*.whl")).namelist())
    assert {"dnsbl/zone/defaults/bl.toml", "dnsbl/http/pages/style.css", "dnsbl/http/pages/address.html"} <= names
    assert {"profiler/py.typed", "dnsbl/py.typed", "profiler/parse/postfix.pyi", "profiler/row.pxd"} <= names
    assert [name for name in names if name.endswith((".c", ".pyx.c", ".html.cython"))] == []
    assert [
        name for name in names if name.split("/")[0] not in ("dnsbl", "profiler") and "dist-info" not in name
    ] == []
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for path in [*ROOT.glob("profiler/**/*.pyx"), *ROOT.glob("dnsbl/**/*.pyx")]:
        assert str(path.relative_to(ROOT).with_suffix("")) + suffix in names


def test_every_package_is_in_the_wheel(built: Path) -> None:
    names = set(zipfile.ZipFile(the_only(built, "*.whl")).namelist())
    for package in ("dnsbl", "profiler"):
        for path in (ROOT / package).rglob("*.py"):
            assert str(path.relative_to(ROOT)) in names


def test_the_source_distribution_can_be_built_and_holds_no_generated_code(built: Path) -> None:
    with tarfile.open(the_only(built, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "profiler/row.pxd",
        "profiler/parse/postfix.pyx",
        "zones/bl.toml",
    } <= names
    assert [name for name in names if name.endswith((".c", ".so"))] == []


def test_the_command_runs_where_only_the_wheel_is_installed(built: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = str(environment / "bin" / "python")
    packages = Path(
        command(tmp_path, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    command(
        tmp_path, sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index",
        str(the_only(built, "*.whl")),
    )  # fmt: skip
    # The dependencies are those of this environment; ours come first on the path, as .pth files are read last.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    vedette = str(environment / "bin" / "vedette")
    assert command(tmp_path, vedette, "--version").startswith("vedette 0.")
    assert "5 zones" in command(tmp_path, vedette, "check-config")
    where = command(tmp_path, python, "-c", "import profiler, dnsbl; print(profiler.__file__, dnsbl.__file__)")
    assert all(path.startswith(str(packages)) for path in where.split())
    command(tmp_path, vedette, "feed", "add", "mx1", "--data", "data")
    assert "mx1" in command(tmp_path, vedette, "feed", "list", "--data", "data")

"""Commands that see another /etc/resolv.conf: a mount namespace of their own, the machine's file untouched."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ENTER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def missing() -> str:
    """Return what this machine lacks for it, or nothing."""
    if shutil.which("unshare") is None:
        return "unshare (util-linux) is missing"
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode:
        return "a mount namespace cannot be made here: root with CAP_SYS_ADMIN is needed"
    return ""


def resolv_conf(directory: Path, resolver: str) -> Path:
    """Write a resolv.conf that names ``resolver`` and return its path."""
    path = directory / "resolv.conf"
    path.write_text(f"nameserver {resolver}\noptions timeout:2 attempts:2\n")
    path.chmod(0o644)
    return path


def behind(resolv_conf: Path, command: Sequence[str]) -> list[str]:
    """Return the command that runs ``command`` with this file as its /etc/resolv.conf."""
    return ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(resolv_conf), *command]

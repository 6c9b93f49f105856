"""Files that whoever reads them sees whole: the old one or the new one, also after a crash."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_PARTIAL = ".partial"


def replace_file(path: Path, blocks: Iterable[str]) -> None:
    """Write blocks of text to a file beside ``path``, flush it to the disk and put it in the place of ``path``.

    A link is followed, and the mode of a file that is there already is kept. What is no file (a pipe, a device) is
    written to directly. If ``blocks`` raises, ``path`` stays as it was.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("w", encoding="ascii") as out:
            out.writelines(blocks)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with partial.open("x", encoding="ascii") as out:
            if path.exists():
                shutil.copymode(path, partial)
            out.writelines(blocks)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

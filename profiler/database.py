"""The one SQLite file that everything durable lives in: how it is opened, and what a version means.

Each room makes its own tables through :func:`open_database`; this module knows none of them.
"""

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from profiler.errors import JournalError

FILE_NAME = "vedette.sqlite3"
SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 10_000


def open_database(data: Path, *, read_only: bool = False) -> Database:
    """Open the file in the data directory ``data``, made if missing unless ``read_only``.

    A commit is on the disk when it returns (WAL, synchronous=FULL). The connection may be handed from thread
    to thread but not shared by two at a time.

    Raises:
        JournalError: the directory cannot be used, or the file is of another version.
    """
    path = data / FILE_NAME
    try:
        if read_only:
            if not path.exists():
                raise JournalError(f"{path}: no such file: start `vedette up` with this data directory once")
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        else:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(path, check_same_thread=False)
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        version = connection.execute("pragma user_version").fetchone()[0]
        if not read_only:
            if version == 0:
                connection.execute("pragma journal_mode = wal")
                connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
                version = SCHEMA_VERSION
            connection.execute("pragma synchronous = full")
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"{path}: cannot be opened: {error}; check owner and free space") from None
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"{path}: has version {version}, this Vedette writes version {SCHEMA_VERSION}: use the release "
            "that wrote it, or another data directory"
        )
    return Database(connection)

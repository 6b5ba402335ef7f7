"""SQLite files: made for their owner only, opened only where they are, and left in order when they were moved away.

SQLite goes on with a file that was moved, and takes the ``-wal`` of the old one for that of the new one.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

_PATIENCE = 500  # milliseconds to wait for other users of a file that was moved away
_WAL_PATIENCE = 2.0  # seconds to wait for another connection that turns the same new file to WAL

_changing = threading.RLock()
_connections: "WeakSet[FileConnection]" = WeakSet()
_unfinished: "set[FileConnection]" = set()  # closed, but for what has to be done before


class UnusableError(sqlite3.OperationalError):
    """The file cannot be opened; the message says why."""

    sqlite_errorcode = sqlite3.SQLITE_CANTOPEN  # as SQLite's own errors have one


class MissingError(UnusableError):
    """There is no file at the path: it was never made, or taken away."""


class MovedError(UnusableError):
    """The file that was opened is not the one at its path any more: what is written to it may be lost."""


class FileConnection(sqlite3.Connection):
    """A connection that knows which files it has open; in WAL mode, with commits that survive a power cut."""

    path: Path
    _names: tuple[str, ...] = ()
    _places: tuple[tuple[int, int] | None, ...] = ()

    def set_up(self, path: Path) -> None:
        """Note what is open: the file at *path*, and the two that SQLite keeps beside it."""
        self.path = path
        self._use_wal()
        self.execute("PRAGMA synchronous=FULL")
        self.execute("SELECT 1 FROM sqlite_master").fetchone()  # what is beside the file comes with the first look
        _number, _name, real = self.execute("PRAGMA database_list").fetchone()  # links are followed
        self._names = (str(path), f"{real}-wal", f"{real}-shm")
        self._places = tuple(_place(name) for name in self._names)
        with _changing:
            _connections.add(self)

    def _use_wal(self) -> None:
        """Turn the file to WAL mode. SQLite itself does not wait for another connection that does the same."""
        deadline = time.monotonic() + _WAL_PATIENCE
        while True:
            try:
                self.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def is_there(self) -> bool:
        """Tell whether the three files are still the ones that were opened."""
        return bool(self._places) and tuple(_place(name) for name in self._names) == self._places

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return bool(self._places)

    def finish(self) -> None:
        """Write all that is committed into the file itself, and leave nothing of it for the one in its place.

        Raises ``MovedError`` while another connection uses the file.
        """
        wal, wal_place = self._names[1], self._places[1]
        if _place(wal) not in (wal_place, None):
            return  # it was finished, and this belongs to a new file
        self.execute(f"PRAGMA busy_timeout={_PATIENCE}")
        _is_busy, written, finished = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        _require(0 <= written == finished, f"{self.path} was moved or replaced, and what was there is still in use")
        if self.is_there():
            return  # it was put back meanwhile: others may use what lies beside it again
        for name, place in zip(self._names[1:], self._places[1:], strict=True):
            if _place(name) == place:
                Path(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close it. A file that was moved away has to be finished before: if it cannot be, ``leave`` tries again."""
        if self._places and not self.is_there():
            with suppress(sqlite3.Error):
                self.rollback()
            try:
                with _alone_in(self.path.parent):
                    self.finish()
            except (OSError, sqlite3.Error):
                _unfinished.add(self)
                return
        self.really_close()

    def really_close(self) -> None:
        """Close it as it is, not while another thread looks for what is open."""
        with _changing:
            self._places = ()
            _unfinished.discard(self)
            super().close()


def connect(path: Path, remedy: str, **options: Any) -> FileConnection:
    """Open the file at *path*, which must exist; threads may share the connection.

    Raises ``UnusableError``, which names the path, the reason and the *remedy*, ``MovedError``, or what SQLite says.
    """
    options = {**options, "uri": True, "check_same_thread": False, "isolation_level": None, "factory": FileConnection}
    connection: FileConnection | None = None
    before = _place(str(path))
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", **options)
        _require(_place(str(path)) == before, f"{path} was replaced while it was opened")
        leave(path)  # only now, when it is known which file it is, and before SQLite looks at what lies beside it
        connection.set_up(path)
        _require(_place(str(path)) == before, f"{path} was replaced while it was opened")
    except BaseException as error:
        if connection:
            connection.really_close()
        reason = _reason(path)
        if isinstance(error, sqlite3.OperationalError) and reason:
            kind = UnusableError if path.exists() or not path.parent.is_dir() else MissingError
            raise kind(f"cannot open {path}: {reason}; {remedy}") from error
        raise
    return connection


def leave(path: Path) -> None:
    """Close what this process has open of a file that was moved away from *path*, so that another may take its place.

    Raises ``MovedError`` while it is in use, here or elsewhere.
    """
    with _changing:
        stale = [each for each in _connections if each.path == path and each.is_open and not each.is_there()]
        if not stale:
            return
        idle = [each for each in stale if not each.in_transaction]
        with _alone_in(path.parent):
            for each in idle:
                each.finish()
        for each in idle:
            each.really_close()
        _require(len(idle) == len(stale), f"{path} was moved or replaced, and what was there is still in use")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from doing the same in *folder*. Raises ``MovedError`` if one does."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # moved away whole: nothing is in the place of anything
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise MovedError(f"a file was moved out of {folder}, and another process closes it at the moment") from None
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: a child forked meanwhile holds the file, too
        os.close(file)


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 - as in assert
    if not condition:
        raise MovedError(message)


def _place(name: str) -> tuple[int, int] | None:
    """Return what tells a file from every other that exists."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = os.stat(name)  # noqa: PTH116 - twice for each batch: a Path costs as much again
        return found.st_dev, found.st_ino
    return None


def _reason(path: Path) -> str:
    """Return what keeps us from opening *path*, if it is one of the usual things."""
    if not path.parent.is_dir():
        return "there is no such folder"
    if not path.exists():
        return "there is no such file"
    if not path.is_file():
        return "it is no file"
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        return "this user may not write to it or to its folder"
    return ""


def _forget() -> None:
    """In a forked child: the connections are the parent's, and another of its threads may have held the lock."""
    global _changing, _connections
    _changing, _connections = threading.RLock(), WeakSet()


os.register_at_fork(after_in_child=_forget)

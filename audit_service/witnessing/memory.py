"""What a witness remembers: of each log the last checkpoint that it has cosigned, in a file named after the origin."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_service.settings.data_folder import make_folder, replace_file


class Memory:
    """The folder with the files. Several threads and processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing. Raises ``SettingsError``."""
        make_folder(folder)
        self._folder = folder

    @contextmanager
    def locked(self, origin: str) -> Iterator[None]:
        """Keep all others from this log, as long as the context lasts."""
        path = self._folder / f"{file_name(origin)}.lock"
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)  # which gives the lock up

    def read(self, name: str) -> bytes | None:
        """Return the checkpoint in the file of this *name*; None if there is none. Raises ``OSError``."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, origin: str, note: bytes) -> None:
        """Remember a checkpoint. It is on the disk when this returns. Raises ``OSError``."""
        replace_file(self._folder / file_name(origin), note)


def file_name(origin: str) -> str:
    """Return the name of a log's file, which is that of its place on the server, too."""
    return hashlib.sha256(origin.encode()).hexdigest()

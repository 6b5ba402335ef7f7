"""What the signer remembers outside the database: the last checkpoint of a log that it has signed.

The file has the log's id in its name, so that two databases of one machine do not share it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_service.settings.data_folder import replace_file

_PREFIX = "trail-head-"


class HeadFile:
    """The head file of one log."""

    def __init__(self, folder: Path, log_id: str) -> None:
        """Use *folder*, the data folder."""
        self.path = folder / f"{_PREFIX}{log_id}"

    def read(self) -> bytes | None:
        """Return the last checkpoint, a note; None if there is none. Raises ``OSError``."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, note: bytes) -> None:
        """Remember a checkpoint. It is on the disk when this returns. Raises ``OSError``."""
        replace_file(self.path, note)


def other_heads(folder: Path) -> list[Path]:
    """Return the head files of all logs that were ever signed with this data folder."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_file())


@contextmanager
def only_signer(folder: Path) -> Iterator[bool]:
    """Tell whether this process is the only signer with this data folder, as long as the context lasts."""
    file = os.open(folder / "signer.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)  # which gives the lock up

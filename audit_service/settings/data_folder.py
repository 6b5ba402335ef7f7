"""The data folder: the embedded database, the generated secret key and the spool, for their owner only."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audit_service.errors import SettingsError

MIN_KEY = 16  # characters
KEY_FILE = "secret_key"


def make_folder(folder: Path) -> None:
    """Make *folder* if it is missing. Raises ``SettingsError`` when it cannot."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"AUDIT_DATA_DIR: cannot make the folder {str(folder)!r}: {error.strerror}") from None


def read_key(folder: Path) -> str:
    """Return the secret key that is kept in *folder*; make it if there is none. Raises ``SettingsError``."""
    path = folder / KEY_FILE
    try:
        make_file(path, secrets.token_urlsafe(32).encode())
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"AUDIT_DATA_DIR: cannot use the key in {str(path)!r}: {error}") from None
    if len(key) < MIN_KEY:
        raise SettingsError(f"the file {str(path)!r} holds no key: remove it and a new one is made")
    return key


def make_file(path: Path, content: bytes = b"") -> None:
    """Make a file that only its owner may read, whole and durably, unless there is one: of several makers one wins.

    It gets its name when it is closed: to close a file of SQLite that another thread uses would end its locks. Raises
    ``OSError``.
    """
    if path.exists():
        return
    with suppress(FileExistsError), _draft(path, content) as draft:
        path.hardlink_to(draft)


def read_secret(path: Path) -> str:
    """Return the text of a file that only its owner may read.

    Raises ``SettingsError`` if others may, and ``OSError`` or ``UnicodeDecodeError`` if it cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"others may read the secret key in {str(path)!r}: run chmod 600 on it")
    return text


def replace_file(path: Path, content: bytes) -> None:
    """Put *content* in the place of what a file has: after a crash it has the one or the other. Raises ``OSError``."""
    with _draft(path, content) as draft:
        draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name, too, is on the disk
    finally:
        os.close(folder)


@contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """Write *content* into a file beside *path*, for its owner only, and remove what is left of that in the end.

    Raises ``OSError`` for *path*: the draft has another name each time.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        draft.unlink(missing_ok=True)

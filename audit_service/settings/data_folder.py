"""The data folder: the embedded database, the generated secret key and the spool, for their owner only."""

import os
import secrets
from pathlib import Path

from audit_service.errors import SettingsError

MIN_KEY = 16  # characters
KEY_FILE = "secret_key"


def make(folder: Path) -> None:
    """Make *folder* if it is missing. Raises ``SettingsError`` when it cannot."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"AUDIT_DATA_DIR: cannot make the folder {str(folder)!r}: {error.strerror}") from None


def read_key(folder: Path) -> str:
    """Return the secret key that is kept in *folder*; make it if there is none. Raises ``SettingsError``."""
    path = folder / KEY_FILE
    try:
        key = path.read_text().strip() if path.exists() else _make_key(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"AUDIT_DATA_DIR: cannot use the key in {str(path)!r}: {error}") from None
    if len(key) < MIN_KEY:
        raise SettingsError(f"the file {str(path)!r} holds no key: remove it and a new one is made")
    return key


def _make_key(path: Path) -> str:
    """Write a new key whole and durably under another name, then link it: who starts together agrees on one key."""
    draft = path.with_name(f".secret_key.{secrets.token_hex(8)}")
    with open(draft, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()

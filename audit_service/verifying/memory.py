"""What a verifier remembers: the newest checkpoint that it has seen, in a file of its own."""

import fcntl
import os
from pathlib import Path

from audit_service.errors import ProofError
from audit_service.proofs.note import LARGEST
from audit_service.settings.data_folder import replace_file
from audit_service.verifying.files import read_small


def read_memory(path: Path) -> bytes | None:
    """Return the checkpoint that was remembered, a note; None if there is none yet.

    Raises ``ProofError`` for what is too large to be one, and ``OSError``.
    """
    try:
        return read_small(path, LARGEST)
    except FileNotFoundError:
        return None


def write_memory(path: Path, note: bytes, before: bytes | None) -> None:
    """Remember a checkpoint in the place of *before*: after a crash the file has the one or the other.

    Raises ``ProofError`` if the file has another one by now: that of another verifier may be newer. Raises ``OSError``,
    also if another verifier writes at this moment.
    """
    path = path.resolve()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if read_memory(path) not in {before, note}:
            raise ProofError(f"another verifier has put another checkpoint into {path} meanwhile: verify again")
        replace_file(path, note)
    finally:
        os.close(folder)

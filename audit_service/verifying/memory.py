"""What a verifier remembers: the newest checkpoint that it has seen, in a file of its own."""

from pathlib import Path

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


def write_memory(path: Path, note: bytes) -> None:
    """Remember a checkpoint: after a crash the file has this one or the one before. Raises ``OSError``."""
    replace_file(path.resolve(), note)

"""What a verifier remembers: the newest checkpoint that it has seen, in a file of its own."""

import os
import tempfile
from pathlib import Path


def read_memory(path: Path) -> bytes | None:
    """Return the checkpoint that was remembered, a note; None if there is none yet. Raises ``OSError``."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_memory(path: Path, note: bytes) -> None:
    """Remember a checkpoint: after a crash the file has this one or the one before. Raises ``OSError``."""
    folder = path.resolve().parent
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}-", delete=False) as draft:
        try:
            draft.write(note)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path.resolve())
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)  # the name, too, is on the disk
    finally:
        os.close(descriptor)

"""Files that are verified: what one is, its content tells. Whoever made it may have put anything into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_service.errors import ProofError
from audit_service.proofs.tlog_proof import FORMAT
from audit_service.verifying.bundle import bundle_opener
from audit_service.verifying.proof_file import LARGEST, ProofOpener
from audit_service.verifying.source import Opener

_PROOF_ALONE = (
    "this proof does not have the event that it proves: save the JSON of the same address (without 'Accept: "
    "text/plain'), which has both, and verify that"
)


@contextmanager
def file_opener(path: Path) -> Iterator[Opener]:
    """Yield what opens the bundle, or the event with its proof, at *path*.

    Raises ``ProofError`` for what is none of these, and ``OSError``.
    """
    with path.open("rb") as file:
        start = file.peek(len(FORMAT)).lstrip()
        if start.startswith(b"{"):
            yield ProofOpener(_limited(file.read(LARGEST + 1), LARGEST, path))
            return
    if start.startswith(FORMAT.encode()):
        raise ProofError(_PROOF_ALONE)
    if not path.is_file():
        raise ProofError(f"{path} is neither an event with its proof nor a regular file, which a bundle has to be")
    with bundle_opener(path) as opener:
        yield opener


def read_small(path: Path, largest: int) -> bytes:
    """Return the content of a file, of at most so many bytes. Raises ``ProofError`` for more, and ``OSError``."""
    with path.open("rb") as file:
        return _limited(file.read(largest + 1), largest, path)


def _limited(content: bytes, largest: int, path: Path) -> bytes:
    if len(content) > largest:
        raise ProofError(f"{path} is larger than {largest} bytes")
    return content

"""Files that are verified: what one is, its content tells. Whoever made it may have put anything into it."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from audit_service.errors import ProofError
from audit_service.proofs.tlog_proof import FORMAT
from audit_service.verifying.bundle import BundleOpener
from audit_service.verifying.bundle_members import find_members
from audit_service.verifying.proof_file import LARGEST, ProofOpener
from audit_service.verifying.source import Opener

RATIO = 100  # by which a compressed bundle may grow
_COPY = 1 << 20  # bytes
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
    with _bundle_opener(path) as opener:
        yield opener


@contextmanager
def _bundle_opener(path: Path) -> Iterator[BundleOpener]:
    """Yield what opens the bundle at *path*; one that is compressed is a temporary file meanwhile."""
    with path.open("rb") as file, NamedTemporaryFile(prefix="audit-bundle-") as plain:
        if file.read(2) != b"\x1f\x8b":
            yield BundleOpener(path, find_members(file))
            return
        left = path.stat().st_size * RATIO
        try:
            with gzip.open(path) as stream:
                while data := stream.read(_COPY):
                    left -= plain.write(data)
                    if left < 0:
                        raise ProofError(f"the bundle would be more than {RATIO} times as large without compression")
        except (EOFError, zlib.error) as error:
            raise ProofError(f"the bundle is damaged: {error}") from None
        plain.flush()
        yield BundleOpener(Path(plain.name), find_members(plain))


def read_small(path: Path, largest: int) -> bytes:
    """Return the content of a file, of at most so many bytes. Raises ``ProofError`` for more, and ``OSError``."""
    with path.open("rb") as file:
        return _limited(file.read(largest + 1), largest, path)


def _limited(content: bytes, largest: int, path: Path) -> bytes:
    if len(content) > largest:
        raise ProofError(f"{path} is larger than {largest} bytes")
    return content

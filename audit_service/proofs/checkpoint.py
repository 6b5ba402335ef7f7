"""Checkpoints (C2SP tlog-checkpoint, version 1): the size and the root of a log at some time, as a signed note.

Ours have no extension lines, and one that has is refused: implementations differ in who signs them.
"""

from base64 import b64encode
from collections.abc import Iterable

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.keys import SignerKey, VerifierKey
from audit_service.proofs.merkle import EMPTY_ROOT, HASH_SIZE
from audit_service.proofs.note import parse_note, sign, verify
from audit_service.proofs.strict import decode_base64, parse_number


class Checkpoint(msgspec.Struct, frozen=True):
    """The log that it is of, how many leaves it had, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, *keys: SignerKey) -> bytes:
    """Return the note of *checkpoint*."""
    return bytes(sign(checkpoint.text(), *keys))


def open_checkpoint(data: bytes, origin: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Return the checkpoint that the note *data* is, signed by one of the *keys*, of the log *origin*.

    Raises ``ProofError``.
    """
    note = parse_note(data)
    verify(note, keys)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise ProofError(f"this is a checkpoint of {checkpoint.origin!r}, not of {origin!r}")
    return checkpoint


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that the *text* of a note is. Raises ``ProofError``."""
    origin, *lines = text.removesuffix("\n").split("\n")
    if not text.endswith("\n") or not origin or len(lines) != 2:  # noqa: PLR2004
        raise ProofError("a checkpoint has three lines: origin, size and root")
    size, root = parse_number(lines[0]), decode_base64(lines[1])
    if len(root) != HASH_SIZE:
        raise ProofError(f"the root of a checkpoint has {HASH_SIZE} bytes, not {len(root)}")
    if size == 0 and root != EMPTY_ROOT:
        raise ProofError("the root of an empty log is the hash of nothing")
    return Checkpoint(origin, size, root)

"""Proofs as files (C2SP tlog-proof, version 1): that a leaf is in the log of a checkpoint, which the file has, too."""

from base64 import b64encode
from collections.abc import Iterable

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint, open_checkpoint
from audit_service.proofs.keys import VerifierKey
from audit_service.proofs.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from audit_service.proofs.strict import decode_base64, parse_number

FORMAT = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
MOST_HASHES = 63


class TlogProof(msgspec.Struct, frozen=True):
    """The index of a leaf, from 0, the hashes from its sibling up to the root's child, and the checkpoint as a note.

    ``extra`` is what the proof's maker added; nothing proves it.
    """

    index: int
    hashes: list[bytes]
    checkpoint: bytes
    extra: bytes | None = None

    def __bytes__(self) -> bytes:
        """Return the file."""
        extra = [] if self.extra is None else [f"extra {b64encode(self.extra).decode()}"]
        lines = [FORMAT, *extra, f"index {self.index}", *(b64encode(each).decode() for each in self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Return the proof that *data* is, of which nothing is checked yet. Raises ``ProofError``."""
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = []
    if not blank or not lines or lines.pop(0) != FORMAT:
        raise ProofError(f"a proof begins with {FORMAT}, and has an empty line before its checkpoint")
    extra = decode_base64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
    if not lines or not lines[0].startswith("index "):
        raise ProofError("a proof has a line 'index NUMBER'")
    index = parse_number(lines.pop(0).removeprefix("index "))
    hashes = [decode_base64(line) for line in lines]
    if len(hashes) > MOST_HASHES or any(len(each) != HASH_SIZE for each in hashes):
        raise ProofError(f"a proof has at most {MOST_HASHES} hashes of {HASH_SIZE} bytes")
    return TlogProof(index, hashes, checkpoint, extra)


def check_tlog_proof(proof: TlogProof, entry: bytes, origin: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Return the checkpoint that proves that *entry* is in the log *origin*. Raises ``ProofError``."""
    checkpoint = open_checkpoint(proof.checkpoint, origin, keys)
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(entry), proof.hashes, checkpoint.root)
    return checkpoint

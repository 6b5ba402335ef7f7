"""What a witness is asked (C2SP tlog-witness): to cosign a checkpoint that goes on from the one that it has."""

from base64 import b64encode

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.merkle import HASH_SIZE
from audit_service.proofs.strict import decode_base64, parse_number

PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"  # the media type of the size that a witness has
MOST_HASHES = 63
LARGEST = 65_536  # bytes of a submission or an answer; a checkpoint with all its signatures is much smaller


class Submission(msgspec.Struct, frozen=True):
    """A checkpoint, as a note, and the proof that it goes on from the tree of ``old_size``."""

    old_size: int
    proof: list[bytes]
    checkpoint: bytes

    def __bytes__(self) -> bytes:
        """Return the body of the request."""
        lines = [f"old {self.old_size}", *(b64encode(each).decode() for each in self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint


def parse_submission(data: bytes) -> Submission:
    """Return what the body of a request says, of which nothing is checked yet. Raises ``ProofError``."""
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        first, lines = "", []
    if not blank or not first.startswith("old "):
        raise ProofError("a submission begins with 'old SIZE', and has an empty line before its checkpoint")
    proof = [decode_base64(line) for line in lines]
    if len(proof) > MOST_HASHES or any(len(each) != HASH_SIZE for each in proof):
        raise ProofError(f"a proof has at most {MOST_HASHES} hashes of {HASH_SIZE} bytes")
    return Submission(parse_number(first.removeprefix("old ")), proof, checkpoint)


def parse_size(data: bytes) -> int:
    """Return the size that a witness says it has. Raises ``ProofError``."""
    text = data.decode("ascii", errors="replace")
    if not text.endswith("\n"):
        raise ProofError(f"a size ends with a newline, unlike {text[:80]!r}")
    return parse_number(text[:-1])

"""Signed notes (C2SP signed-note, version 1): a text, and lines below it that say who signed it."""

from base64 import b64encode
from collections.abc import Iterable

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.keys import ID_SIZE, Algorithm, SignerKey, VerifierKey, check_name
from audit_service.proofs.strict import decode_base64

DASH = "\u2014 "  # before each signature
MOST_SIGNATURES = 100
LARGEST = 1 << 16  # bytes of a note that is read from somewhere else


class Signature(msgspec.Struct, frozen=True):
    """A line below the text: the name of the key, its id, and the signature itself."""

    name: str
    key_id: int
    data: bytes

    def line(self) -> str:
        """Return the line, with its newline."""
        return f"{DASH}{self.name} {b64encode(self.key_id.to_bytes(ID_SIZE) + self.data).decode()}\n"


class Note(msgspec.Struct, frozen=True):
    """A text, which ends with a newline, and its signatures, each key's first."""

    text: str
    signatures: list[Signature]

    def __bytes__(self) -> bytes:
        """Return the note as it is stored and sent."""
        return f"{self.text}\n{''.join(each.line() for each in self.signatures)}".encode()


def sign(text: str, *keys: SignerKey) -> Note:
    """Return the note of *text*, which ends with a newline, signed by these keys."""
    _check_text(text)
    return Note(text, [Signature(key.name, key.verifier.key_id, key.sign(text.encode())) for key in keys])


def parse_note(data: bytes) -> Note:
    """Return the note that *data* is, with signatures that are not checked yet. Raises ``ProofError``."""
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise ProofError(f"a note is UTF-8: {error}") from None
    text, blank, below = whole.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise ProofError("a note is a text, an empty line, and lines with signatures")
    text += "\n"
    _check_text(text)
    lines = below[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise ProofError(f"a note has at most {MOST_SIGNATURES} signatures, not {len(lines)}")
    signatures: dict[tuple[str, int], Signature] = {}
    for line in lines:
        found = parse_signature(line)
        signatures.setdefault((found.name, found.key_id), found)
    return Note(text, list(signatures.values()))


def parse_signature(line: str) -> Signature:
    """Return what a line below a text says, which has no newline. Raises ``ProofError``."""
    name, space, content = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not space:
        raise ProofError(f"a signature is '{DASH}NAME BASE64', not {line[:80]!r}")
    data = decode_base64(content)
    if len(data) <= ID_SIZE:
        raise ProofError(f"the signature of {name!r} is too short")
    return Signature(check_name(name), int.from_bytes(data[:ID_SIZE]), data[ID_SIZE:])


def verify(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return those of the *keys* that signed the note; other signatures say nothing.

    Raises ``ProofError`` if none did, or if a signature that says it is of one of them is not valid.
    """
    known = {(key.name, key.key_id): key for key in keys if key.algorithm is Algorithm.ED25519}
    signers = []
    for each in note.signatures:
        key = known.get((each.name, each.key_id))
        if key is None:
            continue
        if not key.verify(note.text.encode(), each.data):
            raise ProofError(f"the signature of {key} is not valid")
        signers.append(key)
    if not signers:
        names = ", ".join(sorted(f"{each.name}+{each.key_id:08x}" for each in note.signatures))
        raise ProofError(f"no known key has signed this: it has signatures of {names}")
    return signers


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(each < " " and each != "\n" for each in text):
        raise ProofError("a note's text ends with a newline, and has no other control characters")

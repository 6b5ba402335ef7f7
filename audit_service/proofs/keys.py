"""The keys of signed notes: public ones as ``NAME+ID+BASE64``, secret ones as ``PRIVATE+KEY+NAME+ID+BASE64``.

The first form is that of C2SP signed-note, the second that of Go's ``sumdb/note``. Signatures are Ed25519's (RFC 8032).
"""

import hashlib
import re
import unicodedata
from base64 import b64encode
from enum import IntEnum
from secrets import token_bytes
from typing import TYPE_CHECKING

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.strict import decode_base64

if TYPE_CHECKING:  # its import takes 10 ms, and only those who sign or verify need it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ID_SIZE = 4  # bytes
_KEY_SIZE = 32  # bytes, of public keys and of seeds
_SECRET = "PRIVATE+KEY+"  # noqa: S105 - how a secret key begins


class Algorithm(IntEnum):
    """What a key signs with, and what."""

    ED25519 = 0x01  # the text
    COSIGNATURE = 0x04  # a checkpoint and the time (C2SP tlog-cosignature, version 1)


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key, by which signatures are checked."""

    name: str
    algorithm: Algorithm
    public: bytes

    @property
    def key_id(self) -> int:
        """The first four bytes of a hash of the rest: which of a name's keys it is. No evidence of anything."""
        return key_id(self.name, self.algorithm, self.public)

    def __str__(self) -> str:
        """Return the key as people hand it on."""
        return f"{self.name}+{self.key_id:08x}+{b64encode(bytes([self.algorithm]) + self.public).decode()}"

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether *signature* is this key's under *message*."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 10 ms, and only where there are proofs
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SignerKey(msgspec.Struct, frozen=True):
    """A secret key. Its ``repr`` does not tell it."""

    name: str
    algorithm: Algorithm
    seed: bytes

    @property
    def verifier(self) -> VerifierKey:
        """The public key that belongs to it."""
        return VerifierKey(self.name, self.algorithm, self._private().public_key().public_bytes_raw())

    def text(self) -> str:
        """Return the key as its file has it: a secret."""
        content = b64encode(bytes([self.algorithm]) + self.seed).decode()
        return f"{_SECRET}{self.name}+{self.verifier.key_id:08x}+{content}"

    def sign(self, message: bytes) -> bytes:
        """Return the signature of *message*, the same each time."""
        signature: bytes = self._private().sign(message)
        return signature

    def _private(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def __repr__(self) -> str:
        """Return the key without what is secret."""
        return f"SignerKey({self.verifier})"


def new_key(name: str, algorithm: Algorithm = Algorithm.ED25519) -> SignerKey:
    """Return a new random key."""
    return SignerKey(check_name(name), algorithm, token_bytes(_KEY_SIZE))


def parse_verifier(text: str) -> VerifierKey:
    """Return the public key that *text* is. Raises ``ProofError``."""
    name, algorithm, public, written_id = _parse_key(text)
    if len(public) != _KEY_SIZE:
        raise ProofError(f"the key of {name!r} has {len(public)} bytes, not {_KEY_SIZE}")
    key = VerifierKey(name, algorithm, public)
    if f"{key.key_id:08x}" != written_id:
        raise ProofError(f"the key of {name!r} has the id {key.key_id:08x}, not {written_id}")
    return key


def parse_signer(text: str) -> SignerKey:
    """Return the secret key that *text* is. Raises ``ProofError``, whose message does not tell it."""
    if not text.startswith(_SECRET):
        raise ProofError(f"a secret key begins with {_SECRET}")
    name, algorithm, seed, written_id = _parse_key(text.removeprefix(_SECRET))
    if len(seed) != _KEY_SIZE:
        raise ProofError(f"the secret key of {name!r} has {len(seed)} bytes, not {_KEY_SIZE}")
    key = SignerKey(name, algorithm, seed)
    if f"{key.verifier.key_id:08x}" != written_id:
        raise ProofError(f"the secret key of {name!r} does not belong to the id {written_id}")
    return key


def key_id(name: str, algorithm: int, public: bytes) -> int:
    """Return the id of a key."""
    content = name.encode() + b"\n" + bytes([algorithm]) + public
    return int.from_bytes(hashlib.sha256(content).digest()[:ID_SIZE])


def check_name(name: str) -> str:
    """Return the *name* of a key. Raises ``ProofError`` if it is empty or no UTF-8, or has spaces or a plus sign."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ProofError("the name of a key is UTF-8") from None
    if not name or "+" in name or any(each.isspace() or unicodedata.category(each) == "Cc" for each in name):
        raise ProofError(f"the name of a key has no spaces and no plus sign, unlike {name[:80]!r}")
    return name


def _parse_key(text: str) -> tuple[str, Algorithm, bytes, str]:
    name, _, rest = text.partition("+")
    written_id, _, content = rest.partition("+")
    if not re.fullmatch("[0-9a-f]{8}", written_id):
        raise ProofError("a key is NAME+ID+BASE64, with an id of 8 hexadecimal digits")
    try:
        data = decode_base64(content)
    except ProofError:
        raise ProofError(f"the key of {name[:80]!r} is no base64") from None
    if not data or data[0] not in list(Algorithm):
        raise ProofError(f"the key of {name[:80]!r} is of a kind that is not known")
    return check_name(name), Algorithm(data[0]), data[1:], written_id

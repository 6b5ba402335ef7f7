"""Cosignatures (C2SP tlog-cosignature, version 1): a witness says that at some time this was a log's newest checkpoint.

A witness signs no two checkpoints of a log of which one is not the beginning of the other.
"""

from audit_service.errors import ProofError
from audit_service.proofs.keys import Algorithm, SignerKey, VerifierKey
from audit_service.proofs.note import Signature

_TIME_SIZE = 8  # bytes, the most significant first
_SIGNATURE_SIZE = 64  # bytes
LAST_TIME = 2**63 - 1


def sign_cosignature(key: SignerKey, text: str, time: int) -> Signature:
    """Return the cosignature of a checkpoint's *text*, made at *time*, in POSIX seconds.

    Raises ``ProofError`` for a key that is none of cosignatures, and for a time that they cannot tell.
    """
    _check_algorithm(key)
    if not 0 <= time <= LAST_TIME:
        raise ProofError(f"the time of a cosignature is from 0 to 2^63 - 1, not {time}")
    data = time.to_bytes(_TIME_SIZE) + key.sign(_message(text, time))
    return Signature(key.name, key.verifier.key_id, data)


def verify_cosignature(key: VerifierKey, text: str, signature: Signature) -> int:
    """Return when *key* has cosigned a checkpoint's *text*, in POSIX seconds.

    Nothing is said about the time; it may lie in the future. Raises ``ProofError`` if *signature* is not this key's,
    or is not valid.
    """
    _check_algorithm(key)
    if (signature.name, signature.key_id) != (key.name, key.key_id):
        raise ProofError(f"the cosignature is of {signature.name}+{signature.key_id:08x}, not of {key}")
    if len(signature.data) != _TIME_SIZE + _SIGNATURE_SIZE:
        expected = _TIME_SIZE + _SIGNATURE_SIZE
        raise ProofError(f"the cosignature of {key.name!r} has {len(signature.data)} bytes, not {expected}")
    time = int.from_bytes(signature.data[:_TIME_SIZE])
    if time > LAST_TIME:
        raise ProofError(f"the time of the cosignature of {key.name!r} is beyond 2^63 - 1")
    if not key.verify(_message(text, time), signature.data[_TIME_SIZE:]):
        raise ProofError(f"the cosignature of {key} is not valid")
    return time


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _check_algorithm(key: SignerKey | VerifierKey) -> None:
    if key.algorithm is not Algorithm.COSIGNATURE:
        raise ProofError(f"the key of {key.name!r} is none for cosignatures, which have the kind 04")

"""What a witness answers to who asks it to cosign (C2SP tlog-witness, ``add-checkpoint``)."""

import time
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint, parse_checkpoint
from audit_service.proofs.cosignature import sign_cosignature
from audit_service.proofs.keys import SignerKey
from audit_service.proofs.merkle import verify_consistency
from audit_service.proofs.note import Note, parse_note, verify
from audit_service.proofs.policy import Policy
from audit_service.proofs.submission import SIZE_TYPE, Submission, parse_submission
from audit_service.witnessing.memory import Memory, file_name

TEXT_TYPE = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """Status, body, and what the body is."""

    status: HTTPStatus
    body: bytes
    media_type: str = TEXT_TYPE


class Witness:
    """Cosigns with one key, for the logs of one policy. Threads and processes that share the memory do not fork it."""

    def __init__(self, key: SignerKey, policy: Policy, memory: Memory) -> None:
        """Use the keys of the *policy*'s logs; its quorum means nothing here."""
        self._key, self._policy, self._memory = key, policy, memory

    def add_checkpoint(self, body: bytes) -> Answer:
        """Return the answer to a submission. What it has cosigned is on the disk when this returns.

        Raises ``OSError`` if the memory cannot be used, and ``ProofError`` if what it holds is broken.
        """
        try:
            submission = parse_submission(body)
            note = parse_note(submission.checkpoint)
        except ProofError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, str(error))
        origin = note.text.partition("\n")[0]
        keys = self._policy.log_keys(origin)
        if not keys:
            return _refusal(HTTPStatus.NOT_FOUND, f"{origin!r} is no log of this witness")
        try:
            verify(note, keys)
        except ProofError as error:
            return _refusal(HTTPStatus.FORBIDDEN, str(error))
        try:
            checkpoint = parse_checkpoint(note.text)
        except ProofError as error:
            is_empty = note.text.startswith(f"{origin}\n0\n")  # with another root than that of no leaf
            return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY if is_empty else HTTPStatus.BAD_REQUEST, str(error))
        return self._go_on(submission, note, checkpoint)

    def _go_on(self, submission: Submission, note: Note, checkpoint: Checkpoint) -> Answer:
        if submission.old_size > checkpoint.size:
            return _refusal(HTTPStatus.BAD_REQUEST, f"{submission.old_size} is more than {checkpoint.size}")
        with self._memory.locked(checkpoint.origin):
            return self._cosign(submission, note, checkpoint)

    def checkpoint(self, name: str) -> Answer:
        """Return the last checkpoint that it has cosigned of a log, by the SHA-256 of the origin in hexadecimal."""
        known = {file_name(log.key.name) for log in self._policy.logs}
        note = self._memory.read(name) if name in known else None
        if note is None:
            return _refusal(HTTPStatus.NOT_FOUND, "there is no checkpoint of such a log")
        return Answer(HTTPStatus.OK, note)

    def _cosign(self, submission: Submission, note: Note, checkpoint: Checkpoint) -> Answer:
        stored = self._memory.read(file_name(checkpoint.origin))
        last = parse_checkpoint(parse_note(stored).text) if stored is not None else None
        size = last.size if last else 0
        if submission.old_size != size:
            return Answer(HTTPStatus.CONFLICT, f"{size}\n".encode(), SIZE_TYPE)
        if fault := _fault(last, checkpoint, submission.proof):
            return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, fault)
        signature = sign_cosignature(self._key, note.text, int(time.time()))
        keys = {(key.name, key.key_id) for key in self._policy.log_keys(checkpoint.origin)}
        own = [each for each in note.signatures if (each.name, each.key_id) in keys]
        self._memory.write(checkpoint.origin, bytes(msgspec.structs.replace(note, signatures=[*own, signature])))
        return Answer(HTTPStatus.OK, signature.line().encode())


def _fault(last: Checkpoint | None, new: Checkpoint, proof: list[bytes]) -> str | None:
    """Return why *new* does not go on from *last*, None if it does. They are of one log, and *new* is no smaller."""
    if last is None or last.size == 0:
        return "the proof from an empty log is empty" if proof else None
    try:
        verify_consistency(last.size, new.size, proof, last.root, new.root)
    except ProofError as error:
        return str(error)
    return None


def _refusal(status: HTTPStatus, why: str) -> Answer:
    return Answer(status, f"{why}\n".encode(errors="replace"))

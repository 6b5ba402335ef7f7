"""Witnesses, as the signer asks them (C2SP tlog-witness): they cosign what goes on from what they have seen."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection

from audit_service.errors import ProofError, PublishError, SettingsError, SignerStopped
from audit_service.proofs.checkpoint import Checkpoint, parse_checkpoint
from audit_service.proofs.cosignature import verify_cosignature
from audit_service.proofs.keys import VerifierKey
from audit_service.proofs.merkle import verify_consistency
from audit_service.proofs.note import parse_note, parse_signature
from audit_service.proofs.policy import parse_policy
from audit_service.proofs.submission import MOST_HASHES, PATH, SIZE_TYPE, Submission, parse_size
from audit_service.proving.confirmations import Confirmation
from audit_service.proving.log import read_checkpoint, read_log
from audit_service.proving.tiles import StoredTree
from audit_service.signing.http_client import Answer, check_url, post
from audit_service.signing.outlet import Offer
from audit_service.signing.signer import WITNESS_PROBLEMS
from audit_service.values import limits

_TEXT = "text/plain; charset=utf-8"
INTERVAL = 30.0  # seconds between two checkpoints that one witness is asked to cosign, at least
ROLLBACK, FORK = WITNESS_PROBLEMS
_REMEDY = (
    "If an old backup was restored, restore a newer one; else 'audit-service trail restart --reason TEXT' begins a new "
    "log. If the witness is wrong, remove it from AUDIT_WITNESSES, stop the signer, run "
    "'audit-service sign --once --trust-database', and start it again"
)

Read = Callable[[], AbstractContextManager[Connection]]


class Witness:
    """One witness."""

    interval = INTERVAL
    is_asked_at_start = True  # it may know more than the database does
    is_repeated = True

    def __init__(self, key: VerifierKey, url: str, read: Read) -> None:
        """Ask the one with this *key* at *url*; *read* opens the database."""
        self.name, self._key, self._url, self._read = key.name, key, url, read

    def take(self, offer: Offer, last: Confirmation | None, stopping: threading.Event) -> str:  # noqa: ARG002
        """Return the line of its cosignature. No transaction is open while it is asked."""
        checkpoint = parse_checkpoint(parse_note(offer.note).text)
        old_size = last.size if last and last.size <= offer.size else 0
        for _ in range(2):
            answer = post(f"{self._url}{PATH}", bytes(self._submission(offer, checkpoint, old_size)), _TEXT)
            if answer.status == 200:  # noqa: PLR2004
                return self._cosignature(checkpoint, answer.body)
            old_size = self._size_of(answer, offer, old_size)
        raise PublishError(f"{self._url} says each time that it has another size")

    def _submission(self, offer: Offer, checkpoint: Checkpoint, old_size: int) -> Submission:
        """Return what is sent, with a proof that holds: what is wrong with the tree is not the witness's to find."""
        with self._read() as connection:
            log = read_log(connection)
            if log is None or log.log_id != offer.log_id:
                raise PublishError("the log has been begun anew")
            tree = StoredTree(connection)
            root, old_root = tree.root(offer.size), tree.root(old_size)
            proof = tree.consistency_proof(old_size, offer.size) if old_size else []
        if root != checkpoint.root:
            raise PublishError(f"the stored tree of {offer.size} is not the one that was signed")
        if old_size:
            verify_consistency(old_size, offer.size, proof, old_root, root)
        if len(proof) > MOST_HASHES:
            raise PublishError(f"the proof from {old_size} to {offer.size} is too long")
        return Submission(old_size, proof, offer.note)

    def _cosignature(self, checkpoint: Checkpoint, body: bytes) -> str:
        """Return the line of an answer that is this witness's; others say nothing."""
        try:
            lines = body.decode().removesuffix("\n").split("\n")
            for line in lines:
                signature = parse_signature(line)
                if (signature.name, signature.key_id) == (self._key.name, self._key.key_id):
                    verify_cosignature(self._key, checkpoint.text(), signature)
                    return line
        except (UnicodeDecodeError, ProofError) as error:
            raise PublishError(f"{self._url} has answered with what is no cosignature: {error}") from None
        raise PublishError(f"{self._url} has answered without a cosignature of {self._key}")

    def _size_of(self, answer: Answer, offer: Offer, old_size: int) -> int:
        """Return the size that the witness has, which is not the one that it was asked from."""
        if answer.status == 409 and answer.media_type == SIZE_TYPE:  # noqa: PLR2004
            try:
                size = parse_size(answer.body)
            except ProofError as error:
                raise PublishError(f"{self._url} has answered with no size: {error}") from None
            if size > offer.size:
                self._fall_behind(size, offer)
            if size != old_size:
                return size
        if answer.status == 422 or (answer.status == 409 and old_size == offer.size):  # noqa: PLR2004
            raise self._stopped(FORK, f"does not find the checkpoint of {offer.size} to go on from that of {old_size}")
        raise PublishError(f"{self._url} has answered with {answer}")

    def _fall_behind(self, size: int, offer: Offer) -> NoReturn:
        """Stop, unless another signer has gone on meanwhile."""
        with self._read() as connection:
            newest = read_checkpoint(connection, offer.log_id)
        if newest is None or newest.size < size:
            raise self._stopped(ROLLBACK, f"has cosigned a checkpoint of {size}, and here are {offer.size}")
        raise PublishError(f"{self._url} has a newer checkpoint already")

    def _stopped(self, code: str, what: str) -> SignerStopped:
        return SignerStopped(code, f"the witness {self.name} {what}. {_REMEDY}")


def read_witnesses(path: Path, read: Read) -> list[Witness]:
    """Return the witnesses of a policy that have URLs. Raises ``SettingsError``."""
    try:
        policy = parse_policy(path.read_bytes())
        found = [
            Witness(party.key, check_url(party.url), read)
            for party in policy.witnesses.values()
            if party.url is not None
        ]
    except (OSError, ProofError) as error:
        raise SettingsError(f"AUDIT_WITNESSES: the policy {str(path)!r} cannot be used: {error}") from None
    for each in found:
        if len(each.name) > limits.ORIGIN:
            raise SettingsError(f"AUDIT_WITNESSES: the name of a witness is longer than {limits.ORIGIN} characters")
    if len({each.name for each in found}) < len(found):
        raise SettingsError(f"AUDIT_WITNESSES: two witnesses in {str(path)!r} have keys of one name")
    if not found:
        raise SettingsError(f"AUDIT_WITNESSES: no witness in {str(path)!r} has a URL")
    return found

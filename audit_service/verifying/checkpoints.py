"""The checkpoints that a history is compared with: those that it stores, and those that somebody kept elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint, parse_checkpoint
from audit_service.proofs.cosignature import verify_cosignature
from audit_service.proofs.keys import VerifierKey
from audit_service.proofs.note import Note, parse_note, parse_signature, verify
from audit_service.proofs.policy import Policy
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.source import Part

STORED = "the history"
_MOST_NAMED = 3  # keys that nobody knows


class Trust(NamedTuple):
    """Whose signatures are believed: keys of logs, and the witnesses of a policy. Without any key nothing is."""

    keys: Sequence[VerifierKey]
    policy: Policy | None = None

    def keys_of(self, origin: str) -> list[VerifierKey]:
        """Return the keys that may sign checkpoints of the log *origin*."""
        return [key for key in self.keys if key.name == origin]


class Known(NamedTuple):
    """A checkpoint that can be believed, or that is at least well-formed.

    ``where``: what has it. ``signers``: keys that are trusted and have signed it, as they are written; ``times``: when
    witnesses cosigned it, in POSIX seconds, by their names in the policy. ``is_trusted``: whether it is known who has
    signed it, or nobody is trusted; ``is_enough``: whether the witnesses are enough, too.
    """

    checkpoint: Checkpoint
    note: bytes
    where: str
    signers: Sequence[str]
    times: Mapping[str, int]
    is_trusted: bool
    is_enough: bool


class Read(NamedTuple):
    """Checkpoints, of which a size may be there more than once, and what is wrong with others."""

    known: Sequence[Known]
    findings: Sequence[Finding]


def read_stored(
    stored: Iterable[tuple[int, bytes]], cosignatures: Mapping[int, Sequence[str]], origin: str, trust: Trust
) -> Read:
    """Read the checkpoints that a history stores of the log *origin*: sizes and notes."""
    known: list[Known] = []
    findings: list[Finding] = []
    for size, note in stored:
        try:
            found = _open(note, STORED, origin, trust, cosignatures.get(size, ()))
        except _Refused as refused:
            words = f"the stored checkpoint of {size} is refused: {refused.args[1]}"
            findings.append(Finding(refused.args[0], words, seq=size, table="trail_checkpoints"))
            continue
        if found.checkpoint.size != size:
            words = f"the checkpoint that is stored as that of {size} is one of {found.checkpoint.size}"
            findings.append(Finding(Code.BAD_CHECKPOINT, words, seq=size, table="trail_checkpoints"))
        known.append(found)
    return Read(known, findings)


def read_kept(
    notes: Mapping[str, bytes], origin: str | None, trust: Trust, size: int, part: Part | None = None
) -> Read:
    """Read checkpoints of the log *origin* that were kept elsewhere; *notes* has them by the names of their files.

    Those that are known are of the tree of *size* or of its beginning. A *part* can be compared only with those that
    end in it, or where the tree ends. Without a log each of them is of a log that is not there any more. Raises
    ``ProofError`` for what is no checkpoint.
    """
    known: list[Known] = []
    findings: list[Finding] = []
    for name, note in notes.items():
        try:
            parse_checkpoint(parse_note(note).text)
        except ProofError as error:
            raise ProofError(f"{name} is no checkpoint: {error}") from None
        try:
            found = _open(note, name, origin, trust, ())
        except _Refused as refused:
            findings.append(Finding(refused.args[0], f"the checkpoint in {name} is refused: {refused.args[1]}"))
            continue
        fault = _fault(found, size, part)
        findings += [fault] if fault else []
        known += [] if fault else [found]
    return Read(known, findings)


def _fault(kept: Known, size: int, part: Part | None) -> Finding | None:
    """Return why a checkpoint from elsewhere cannot be compared with the tree of *size*, or is of a larger one."""
    where, reached = kept.where, kept.checkpoint.size
    if not kept.is_trusted:
        words = f"the checkpoint in {where} is signed by {', '.join(kept.signers)}: no such key is trusted"
        return Finding(Code.UNKNOWN_KEY, words)
    if part and reached != size and not part.first <= reached <= part.last:
        words = f"the checkpoint of {reached} in {where} cannot be compared with events {part.first} to {part.last}"
        return Finding(Code.NOT_COMPARED, f"{words} of {size}: that takes the whole history")
    if reached > size:
        words = f"the log has {size} events, and {where} has a checkpoint of {reached}: later ones are gone"
        return Finding(Code.ROLLBACK, words, size + 1, reached)
    return None


class _Refused(Exception):  # noqa: N818 - the caller makes a finding of it
    """The code, and why."""


def _open(data: bytes, where: str, origin: str | None, trust: Trust, lines: Sequence[str]) -> Known:
    try:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
    except ProofError as error:
        raise _Refused(Code.BAD_CHECKPOINT, str(error)) from None
    if origin is not None and checkpoint.origin != origin:
        raise _Refused(Code.WRONG_ORIGIN, f"it is of the log {checkpoint.origin!r}, not of {origin!r}")
    keys = trust.keys_of(checkpoint.origin)
    if not trust.keys:
        return Known(checkpoint, data, where, (), {}, is_trusted=True, is_enough=True)
    if not any((each.name, each.key_id) == (key.name, key.key_id) for each in note.signatures for key in keys):
        names = [f"{each.name[:80]}+{each.key_id:08x}" for each in note.signatures[:_MOST_NAMED]]
        return Known(checkpoint, b"", where, names, {}, is_trusted=False, is_enough=False)
    try:
        signers = verify(note, keys)
    except ProofError as error:
        raise _Refused(Code.BAD_CHECKPOINT, str(error)) from None
    times = _cosigned(note, lines, trust.policy) if trust.policy else {}
    cosigners = [trust.policy.witnesses[name].key for name in times] if trust.policy else []
    is_enough = trust.policy is None or trust.policy.is_met(cosigners)
    return Known(checkpoint, data, where, [str(key) for key in signers], times, is_trusted=True, is_enough=is_enough)


def _cosigned(note: Note, lines: Sequence[str], policy: Policy) -> dict[str, int]:
    """Return which witnesses of the policy have cosigned, and when."""
    signatures = list(note.signatures)
    for line in lines:
        try:
            signatures.append(parse_signature(line.removesuffix("\n")))
        except ProofError:
            continue  # it says nothing, as one by an unknown key
    times: dict[str, int] = {}
    for name, witness in policy.witnesses.items():
        for each in signatures:
            if (each.name, each.key_id) != (witness.key.name, witness.key.key_id):
                continue
            try:
                times[name] = verify_cosignature(witness.key, note.text, each)
            except ProofError as error:
                raise _Refused(Code.BAD_CHECKPOINT, str(error)) from None
    return times

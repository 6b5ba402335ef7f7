"""Proofs as files."""

import pytest

from audit_service.errors import ProofError
from audit_service.proofs.checkpoint import Checkpoint, sign_checkpoint
from audit_service.proofs.keys import new_key
from audit_service.proofs.merkle import inclusion_proof, leaf_hash, root
from audit_service.proofs.tlog_proof import TlogProof, check_tlog_proof, parse_tlog_proof

KEY = new_key("audit.example.org/trail/1")
ENTRIES = [b"entry %d" % place for place in range(11)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
NOTE = sign_checkpoint(Checkpoint(KEY.name, len(LEAVES), root(LEAVES)), KEY)
PROOF = TlogProof(7, inclusion_proof(7, LEAVES), NOTE)
FILE = bytes(PROOF)


def test_a_proof_comes_back_and_holds() -> None:
    for proof in (PROOF, TlogProof(PROOF.index, PROOF.hashes, NOTE, b"anything"), TlogProof(0, [], NOTE)):
        assert parse_tlog_proof(bytes(proof)) == proof
    assert check_tlog_proof(PROOF, ENTRIES[7], KEY.name, [KEY.verifier]).size == 11


def test_a_log_of_one() -> None:
    note = sign_checkpoint(Checkpoint(KEY.name, 1, LEAVES[0]), KEY)
    proof = parse_tlog_proof(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + note)
    assert check_tlog_proof(proof, ENTRIES[0], KEY.name, [KEY.verifier]).root == LEAVES[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"index 7", b"index 6"),
        (b"index 7", b"index 007"),
        (b"index 7", b"index -7"),
        (b"index 7\n", b""),
        (b"index 7", b"extra =\nindex 7"),
        (b"proof@v1", b"proof@v2"),
        (FILE.split(b"\n")[2], FILE.split(b"\n")[3]),
        (FILE.split(b"\n")[2] + b"\n", b""),
        (FILE.split(b"\n")[2], FILE.split(b"\n")[2][:-2]),
        (b"index 7\n", b"index 7\n" + FILE.split(b"\n")[2] + b"\n"),
        (b"\n11\n", b"\n12\n"),
        (b"\n\n" + NOTE[:9], b"\n" + NOTE[:9]),
        (b"index 7\n", b"index 7\n" + (FILE.split(b"\n")[2] + b"\n") * 64),
    ],
)
def test_a_changed_file_proves_nothing(old: bytes, new: bytes) -> None:
    assert FILE.count(old) == 1
    with pytest.raises(ProofError):
        check_tlog_proof(parse_tlog_proof(FILE.replace(old, new)), ENTRIES[7], KEY.name, [KEY.verifier])


def test_another_entry_log_or_key() -> None:
    for entry, origin, key in (
        (ENTRIES[6], KEY.name, KEY),
        (ENTRIES[7], "other.example.org", KEY),
        (ENTRIES[7], KEY.name, new_key(KEY.name)),
    ):
        with pytest.raises(ProofError):
            check_tlog_proof(PROOF, entry, origin, [key.verifier])

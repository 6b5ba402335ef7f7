"""The witness: what it cosigns, what it refuses and how, and that it never forgets."""

import hashlib
import re
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from audit_service.errors import ProofError, SettingsError
from audit_service.proofs.checkpoint import Checkpoint, sign_checkpoint
from audit_service.proofs.cosignature import verify_cosignature
from audit_service.proofs.keys import Algorithm, SignerKey, new_key
from audit_service.proofs.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, root
from audit_service.proofs.note import parse_note, parse_signature, sign
from audit_service.proofs.policy import parse_policy
from audit_service.proofs.submission import LARGEST, Submission, parse_submission
from audit_service.witnessing.files import make_key, read_policy
from audit_service.witnessing.memory import Memory, file_name
from audit_service.witnessing.witness import Witness
from tests.support.commands import run
from tests.support.postgres import free_port
from tests.support.witness import running_witness

LOG = new_key("audit.example.org/0123456789abcdef")
NEXT_KEY = new_key(LOG.name)
OTHER_LOG = new_key("other.example.org/0123456789abcdef")
KEY = new_key("witness.example.org/w", Algorithm.COSIGNATURE)
POLICY = parse_policy(f"log {LOG.verifier}\nlog {NEXT_KEY.verifier}\nlog {OTHER_LOG.verifier}\nquorum none\n".encode())
LEAVES = [leaf_hash(b"%d" % n) for n in range(40)]
FORKED = [*LEAVES[:3], leaf_hash(b"another"), *LEAVES[4:]]


def note(size: int, *keys: SignerKey, leaves: list[bytes] = LEAVES) -> bytes:
    signers = keys or (LOG,)
    tree = Checkpoint(signers[0].name, size, root(leaves[:size]))
    return sign_checkpoint(tree, *signers)


def ask(old: int, new: int, *keys: SignerKey, leaves: list[bytes] = LEAVES) -> bytes:
    proof = consistency_proof(old, leaves[:new]) if 0 < old <= new else []
    return bytes(Submission(old, proof, note(new, *keys, leaves=leaves)))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(KEY, POLICY, Memory(tmp_path / "state"))


def test_the_bytes_of_a_submission() -> None:
    whole = bytes(Submission(2, [b"\x00" * 32, b"\xff" * 32], b"text\n\nsignatures"))
    assert whole == (
        b"old 2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n//////////////////////////////////////////8=\n"
        b"\ntext\n\nsignatures"
    )
    assert bytes(parse_submission(whole)) == whole


def test_it_cosigns_what_goes_on(witness: Witness) -> None:
    for old, new in [(0, 0), (0, 1), (1, 1), (1, 3), (3, 40), (40, 40)]:
        answer = witness.add_checkpoint(ask(old, new))
        assert (answer.status, answer.body.count(b"\n")) == (200, 1)
        signature = parse_signature(answer.body.decode().removesuffix("\n"))
        assert verify_cosignature(KEY.verifier, parse_note(note(new)).text, signature) > 1_700_000_000
        stored = witness.checkpoint(hashlib.sha256(LOG.name.encode()).hexdigest())
        assert stored.status == 200
        assert stored.body == note(new) + answer.body
    assert witness.checkpoint(file_name(OTHER_LOG.name)).status == 404
    assert witness.checkpoint(file_name("unknown")).status == 404


def test_logs_do_not_mix_and_each_key_of_a_log_counts(witness: Witness) -> None:
    assert witness.add_checkpoint(ask(0, 5)).status == 200
    assert witness.add_checkpoint(ask(0, 3, OTHER_LOG)).status == 200
    assert witness.add_checkpoint(ask(5, 6, LOG, NEXT_KEY)).status == 200
    assert witness.add_checkpoint(ask(6, 7, NEXT_KEY)).status == 200
    stranger = new_key("stranger.example")
    assert witness.add_checkpoint(ask(7, 8, LOG, stranger)).status == 200
    assert b"stranger" not in witness.checkpoint(file_name(LOG.name)).body


def edited(body: bytes, old: bytes, new: bytes) -> bytes:
    assert body.count(old) == 1
    return body.replace(old, new)


IMPOSTOR = SignerKey(LOG.name, Algorithm.ED25519, bytes(32))
HASH = b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, ask(0, 5, new_key("unknown.example"))),
        (403, ask(5, 6, IMPOSTOR)),
        (403, edited(ask(5, 6), b"\n6\n", b"\n7\n")),
        (400, ask(7, 6)),
        (409, ask(0, 6)),
        (409, ask(4, 6)),
        (409, ask(6, 6)),
        (409, ask(4, 4)),
        (422, ask(5, 6, leaves=FORKED)),
        (422, ask(5, 5, leaves=FORKED)),
        (422, edited(ask(5, 6), b"old 5\n", b"old 5\n" + HASH)),
        (422, bytes(Submission(5, [], note(6)))),
        (422, bytes(Submission(5, [bytes(32)], note(5)))),
        (400, b""),
        (400, b"old 5\n"),
        (400, b"old 5\n\n"),
        (400, edited(ask(5, 6), b"old 5\n", b"old 05\n")),
        (400, edited(ask(5, 6), b"old 5\n", b"old +5\n")),
        (400, edited(ask(5, 6), b"old 5\n", b"OLD 5\n")),
        (400, edited(ask(5, 6), b"old 5\n", b"old 5\r\n")),
        (400, edited(ask(5, 6), b"old 5\n", b"old 5\n" + HASH * 63)),
        (400, edited(ask(5, 6), b"old 5\n", b"old 5\nAAAA\n")),
        (400, bytes(Submission(5, [], bytes(sign(f"{LOG.name}\n6\n{HASH.decode()}extension\n", LOG))))),
        (400, bytes(Submission(5, [], bytes(sign(f"{LOG.name}\n06\n{HASH.decode()}", LOG))))),
        (422, bytes(Submission(0, [], bytes(sign(f"{LOG.name}\n0\n{HASH.decode()}", LOG))))),
        (400, b"old 5\n\n\xff\n\n\xff"),
    ],
)
def test_what_it_refuses_and_how(witness: Witness, status: int, body: bytes) -> None:
    witness.add_checkpoint(ask(0, 5))
    before = witness.checkpoint(file_name(LOG.name))
    answer = witness.add_checkpoint(body)
    assert answer.status == status
    if status == 409:
        assert (answer.media_type, answer.body) == ("text/x.tlog.size", b"5\n")
    assert witness.checkpoint(file_name(LOG.name)) == before


def test_a_first_proof_is_empty(witness: Witness) -> None:
    assert witness.add_checkpoint(bytes(Submission(0, [bytes(32)], note(5)))).status == 422
    assert witness.add_checkpoint(ask(2, 5)).body == b"0\n"
    assert Checkpoint("x", 0, EMPTY_ROOT).root == root(())
    assert witness.add_checkpoint(ask(0, 0)).status == 200
    assert witness.add_checkpoint(bytes(Submission(0, [bytes(32)], note(5)))).status == 422


def test_requests_at_once_do_not_fork_it(tmp_path: Path) -> None:
    """Of two histories that are sent at once, again and again, it cosigns one."""
    for n in range(20):
        memory = tmp_path / str(n)
        witnesses = [Witness(KEY, POLICY, Memory(memory)) for _ in range(4)]
        bodies = [ask(0, 5), ask(0, 5, leaves=FORKED)] * 2
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda each: each[0].add_checkpoint(each[1]), zip(witnesses, bodies, strict=True)))
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]


def test_a_broken_memory_is_no_empty_one(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(ask(0, 5))
    (tmp_path / "state" / file_name(LOG.name)).write_bytes(b"")
    with pytest.raises(ProofError):
        witness.add_checkpoint(ask(0, 5, leaves=FORKED))


def test_a_witness_that_is_killed_and_started_again_knows_what_it_has_cosigned(tmp_path: Path) -> None:
    with running_witness(tmp_path / "w", LOG.verifier) as witness:
        key = witness.key
        assert stat.S_IMODE((witness.folder / "key").stat().st_mode) == 0o600
        done = httpx.post(f"{witness.url}/add-checkpoint", content=ask(0, 5))
        assert done.status_code == 200
        place = f"/{hashlib.sha256(LOG.name.encode()).hexdigest()}/checkpoint"
        assert httpx.get(witness.url + place).content == note(5) + done.content
        witness.stop(signal.SIGKILL)
        witness.start()
        assert witness.key == key
        assert httpx.get(witness.url + place).content == note(5) + done.content
        fork = httpx.post(f"{witness.url}/add-checkpoint", content=ask(0, 6, leaves=FORKED))
        assert (fork.status_code, fork.text, fork.headers["content-type"]) == (409, "5\n", "text/x.tlog.size")
        assert httpx.post(f"{witness.url}/add-checkpoint", content=ask(5, 6)).status_code == 200

        assert httpx.post(f"{witness.url}/add-checkpoint", content=b"x" * (LARGEST + 1)).status_code == 413
        chunks = httpx.post(f"{witness.url}/add-checkpoint", content=iter([b"old 0\n", b"\n"]))
        assert chunks.status_code == 411
        assert httpx.get(f"{witness.url}/add-checkpoint").headers["allow"] == "POST"
        assert httpx.put(witness.url + place).headers["allow"] == "GET"
        assert httpx.head(witness.url + place).status_code == 200
        assert httpx.get(f"{witness.url}/../key").status_code == 404
        assert httpx.get(f"{witness.url}/{'0' * 64}/checkpoint").status_code == 404

        (witness.state / place.split("/")[1]).write_bytes(b"broken")
        broken = httpx.post(f"{witness.url}/add-checkpoint", content=ask(0, 6, leaves=FORKED))
        assert broken.status_code == 500


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    policy, key = tmp_path / "policy", tmp_path / "key"
    with pytest.raises(SettingsError, match="cannot be used"):
        read_policy(policy)
    policy.write_text("quorum none\n")
    with pytest.raises(SettingsError, match="names no log"):
        read_policy(policy)
    made = make_key(key, "w.example")
    assert make_key(key, "w.example") == made
    with pytest.raises(SettingsError, match=re.escape("is that of w.example, not of x.example")):
        make_key(key, "x.example")
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        make_key(key, "w.example")
    key.write_text(LOG.text())
    key.chmod(0o600)
    with pytest.raises(SettingsError, match="a witness has one of its own"):
        make_key(key, LOG.name)


@pytest.mark.parametrize("listen", ["8000", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", ":80"])
def test_where_it_cannot_listen(tmp_path: Path, listen: str) -> None:
    options = ["--key-file", tmp_path / "k", "--name", "w", "--policy", tmp_path / "p", "--state", tmp_path / "s"]
    result = run("witness", *map(str, options), "--listen", listen)
    assert result.exit_code == 2
    assert "is no HOST:PORT" in result.output


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    options = ["--key-file", tmp_path / "k", "--name", "w", "--policy", tmp_path / "p", "--state", tmp_path / "s"]
    result = run("witness", *map(str, options), "--listen", f"127.0.0.1:{free_port()}")
    assert (result.exit_code, "the policy" in result.output) == (1, True)
    assert not (tmp_path / "k").exists()

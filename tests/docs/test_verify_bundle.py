"""The script of docs/proofs.md, which needs nothing of ours: on a real bundle, and on what others made of it."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_service.signing.lifecycle import restart_log
from audit_service.trail.recorder import Recorder
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.commands import run
from tests.support.signed_trail import NAME, SignedTrail

SCRIPT = Path(__file__).parent.parent.parent / "docs/verify_bundle.py"
Verify = Callable[..., "subprocess.CompletedProcess[str]"]
Change = Callable[[bytes], bytes]


@pytest.fixture
def trail(found_trail: SignedTrail, recorder: Recorder, tmp_path: Path) -> SignedTrail:
    recorder.record_all(
        LoginFactory.copies(300, username="Zo\u00eb", details={"a": [1.5, None, {"},": '"openings":'}]})
    )
    LoginFactory(username="eve")
    ErrorFactory(message='},"openings":null,"where":null')
    AdminFactory()
    (tmp_path / "older").write_bytes(signed_note(found_trail))
    assert run("erase", "--username", "eve", "--groups", "who", "--reason", "asked for", "--yes").exit_code == 0
    (tmp_path / "newest").write_bytes(signed_note(found_trail))
    assert run("bundle", str(tmp_path / "history.tar.gz")).exit_code == 0
    return found_trail


def signed_note(trail: SignedTrail) -> bytes:
    trail.sign()
    return trail.note()


def verify(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the script without this package: with what Python has and the one library."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


def test_the_script_is_short_and_stands_alone() -> None:
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) <= 60
    imported = {name for line in lines for name in re.findall(r"^(?:import|from) (.*)", line)}
    assert not any("audit_service" in names for names in imported)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_was_forgotten_is_told(trail: SignedTrail, tmp_path: Path) -> None:
    bundle = tmp_path / "history.tar.gz"
    assert verify(bundle).stderr.startswith("NOT VERIFIED: Verify a bundle without audit-service: python3 ")
    assert verify(bundle, trail.origin).stderr == "NOT VERIFIED: this is no public key of a log\n"


def test_a_real_bundle(trail: SignedTrail, tmp_path: Path) -> None:
    size = int((tmp_path / "newest").read_text().splitlines()[1])
    done = verify(tmp_path / "history.tar.gz", trail.verifier, tmp_path / "older", tmp_path / "newest")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{size} events are those that were signed, all of them and unchanged\n"


def replaced(found: bytes, put: bytes) -> Change:
    def change(content: bytes) -> bytes:
        assert found in content
        return content.replace(found, put, 1)

    return change


def without_line(place: int) -> Change:
    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        del lines[place]
        return b"".join(lines)

    return change


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("member", "change", "told"),
    [
        ("events.jsonl", replaced(b'"outcome":"success"', b'"outcome":"failure"'), "are not those that were signed"),
        ("events.jsonl", replaced("Zo\u00eb".encode(), "Zoe\u0308".encode()), "'who' of event"),
        ("events.jsonl", replaced(b'"remote_addr":"', b'"remote_addr":"1'), "'where' of event"),
        ("events.jsonl", without_line(4), "event 5 is not there"),
        ("events.jsonl", without_line(-1), "were signed"),
        ("events.jsonl", replaced(b'"seq":9,', b'"seq": 9,'), "are not those that were signed"),
        ("erasures.jsonl", lambda _content: b"", "'who' of event 301 is not what was signed"),
        ("checkpoint", replaced(b"\n3", b"\n2"), "InvalidSignature"),
    ],
)
def test_a_changed_bundle(trail: SignedTrail, tmp_path: Path, member: str, change: Change, told: str) -> None:
    rewrite(tmp_path / "history.tar.gz", tmp_path / "changed.tar", member, change)
    done = verify(tmp_path / "changed.tar", trail.verifier)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stdout == ""


def rewrite(source: Path, target: Path, name: str, change: Change) -> None:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file
            content = change(file.read()) if member.name == name else file.read()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_event_that_is_declared_missing(trail: SignedTrail, tmp_path: Path) -> None:
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM login_events WHERE seq = 9"))
    restart_log(trail.database, trail.key_file, NAME, "an event was removed", by=ACTOR)
    trail.sign()
    whole, changed = tmp_path / "whole.tar", tmp_path / "changed.tar"
    assert run("bundle", str(whole)).exit_code == 0
    assert verify(whole, trail.verifier).returncode == 0
    shown = re.compile(rb'("seq":9,"v":1.*)"who":null')
    rewrite(whole, changed, "events.jsonl", lambda content: shown.sub(rb'\1"who":{"username":"ada"}', content))
    done = verify(changed, trail.verifier)
    assert (done.returncode, done.stderr) == (1, "NOT VERIFIED: 'who' of event 9 is not what was signed\n")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_part_is_not_verified(trail: SignedTrail, tmp_path: Path) -> None:
    assert run("bundle", str(tmp_path / "part.tar"), "--from", "2", "--to", "9").exit_code == 0
    done = verify(tmp_path / "part.tar", trail.verifier)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("NOT VERIFIED: this is a part of a history, which 'audit-service verify' verifies")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_another_key_and_an_older_bundle(trail: SignedTrail, tmp_path: Path) -> None:
    bundle = shutil.copy(tmp_path / "history.tar.gz", tmp_path / "copy.tar.gz")
    LoginFactory()
    newer = tmp_path / "newer"
    newer.write_bytes(signed_note(trail))
    done = verify(bundle, trail.verifier, newer)
    assert (done.returncode, done.stderr) == (1, "NOT VERIFIED: you have a newer checkpoint, or another one\n")
    key = str(trail.verifier).replace("audit.example.org", "audit.example.net")
    assert verify(bundle, key).stderr == "NOT VERIFIED: this is no public key of a log\n"

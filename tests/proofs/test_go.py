"""Checkpoints, tiles and proofs of ours, read by an implementation that is not ours: Go's ``x/mod/sumdb``."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Scope
from tests.factories import ErrorFactory, LoginFactory
from tests.support import plain_http
from tests.support.accounts import ACTOR
from tests.support.commands import run
from tests.support.server import running_service
from tests.support.signed_trail import SignedTrail

SOURCE = Path(__file__).parent / "go/check.go"
PACKAGES = Path("/usr/share/gocode")  # where Debian's golang-golang-x-mod-dev puts them

Check = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """The program, built; a skip where there is no Go, a failure with CI=true."""
    go = shutil.which("go")
    if not go or not PACKAGES.is_dir():
        reason = "there is no Go: apt-get install golang-go golang-golang-x-mod-dev"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("go")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(PACKAGES), "GOFLAGS": ""}
    environment["GOCACHE"] = str(folder / "cache")
    subprocess.run([go, "build", "-o", folder / "check", SOURCE], env=environment, check=True)

    def run_check(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([folder / "check", *map(str, arguments)], capture_output=True, text=True, check=False)

    return run_check


@pytest.fixture
def trail(recorder: Recorder, database_url: str, tmp_path: Path) -> Iterator[SignedTrail]:
    recorder.record_all(LoginFactory.copies(700, username="Zo\u00eb", details={"a": [1.5, None]}))
    ErrorFactory()
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        yield trail


@pytest.fixture
def token(engine: Engine) -> str:
    with Session(engine) as session:
        token = add_token(session, "auditor", Scope.READ, by=ACTOR)
        session.commit()
    return token


def test_a_running_service(check: Check, trail: SignedTrail, token: str, database_url: str, tmp_path: Path) -> None:
    event = ErrorFactory()
    size = trail.sign().size
    settings = {"AUDIT_DATABASE_URL": database_url, "AUDIT_DATA_DIR": tmp_path / "data", "AUDIT_SECRET_KEY": "x" * 32}
    with running_service(settings) as url:
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/plain"}
        answer = plain_http.get(f"{url}/api/errors/{event.id}/proof", headers=headers)
        proof = tmp_path / "event.tlog-proof"
        proof.write_text(answer.text)
        done = check("-token", token, "-proof", proof, trail.verifier, f"{url}/trail")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{size} leaves are in the tree, ")
        lines = answer.text.splitlines(keepends=True)
        proof.write_text("".join([*lines[:2], lines[3], lines[2], *lines[4:]]))  # two hashes change places
        done = check("-token", token, "-proof", proof, trail.verifier, f"{url}/trail")
        assert (done.returncode, done.stderr) == (1, "invalid transparency proof\n")


@pytest.fixture
def bundle(trail: SignedTrail, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    trail.sign()
    monkeypatch.setenv("AUDIT_DATABASE_URL", database_url)
    monkeypatch.setenv("AUDIT_DATA_DIR", str(tmp_path / "data"))
    assert run("bundle", str(tmp_path / "history.tar.gz")).exit_code == 0
    with tarfile.open(tmp_path / "history.tar.gz") as archive:
        archive.extractall(tmp_path / "bundle", filter="data")
    return tmp_path / "bundle"


@pytest.mark.parametrize("backend", ["sqlite"])  # bundles of both are the same
def test_a_bundle(check: Check, trail: SignedTrail, bundle: Path) -> None:
    done = check(trail.verifier, bundle)
    assert done.returncode == 0, done.stderr
    for name, found, put in (
        ("events.jsonl", b'"outcome":"success"', b'"outcome":"failure"'),
        ("tile/0/001", None, None),
        ("tile/1/000.p/2", None, None),
        ("checkpoint", b"\n7", b"\n8"),
    ):
        content = (bundle / name).read_bytes()
        changed = content.replace(found, put, 1) if found and put else bytes([content[0] ^ 1]) + content[1:]
        (bundle / name).write_bytes(changed)
        assert check(trail.verifier, bundle).returncode == 1, name
        (bundle / name).write_bytes(content)
    assert check(trail.verifier, bundle).returncode == 0

"""Checkpoints get time stamps by an authority that is OpenSSL's, and OpenSSL finds them good."""

import socket
import subprocess
import sys
import tarfile
import time
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from audit_service.proofs.cosignature import sign_cosignature
from audit_service.proofs.keys import Algorithm, SignerKey
from audit_service.proofs.note import parse_note
from audit_service.proving.confirmations import Confirmation, store_confirmation
from audit_service.signing import http_client, publish
from audit_service.storage.log_models import TrailConfirmation
from tests.factories import LoginFactory
from tests.support.commands import run
from tests.support.signed_trail import StartedTrail
from tests.support.time_stamps import Authority, openssl, running_authority
from tests.support.waiting import wait_until

NAME = "stamp 127.0.0.1"
WITNESS = SignerKey("witness.example.org", Algorithm.COSIGNATURE, bytes(32))
pytestmark = pytest.mark.usefixtures("recorder")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "FIRST_RETRY", 0.1)
    monkeypatch.setattr(publish, "LAST_RETRY", 0.2)


def stamped(database_url: str, folder: Path, url: str, **settings: object) -> StartedTrail:
    return StartedTrail(database_url, folder / "data", **{"stamp_url": url, "stamp_interval": 0, **settings})


def stamped_twice(authority: Authority, database_url: str, folder: Path) -> StartedTrail:
    """Return a log with stamps of its checkpoints of 1 and of 4, and perhaps of one between."""
    with running_authority(authority) as url:
        log = stamped(database_url, folder, url)
        with log.signing():
            wait_until(lambda: log.is_confirmed(NAME, 1), "it is not stamped")
            LoginFactory.create_batch(3)
            wait_until(lambda: log.is_confirmed(NAME, 4), "it is not stamped")
    return log


def verify(authority: Authority, note: bytes, stamp: bytes, folder: Path) -> None:
    (folder / "note").write_bytes(note)
    (folder / "stamp").write_bytes(stamp)
    said = openssl("ts", "-verify", "-data", folder / "note", "-in", folder / "stamp", "-CAfile", authority.ca)
    assert said == b"Verification: OK\n"


def test_a_checkpoint_is_stamped(database_url: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tsa")
    log = stamped_twice(authority, database_url, tmp_path)
    found, checkpoint = log.confirmations()[NAME], log.stored()
    assert checkpoint
    assert found.line
    stamp = b64decode(found.line, validate=True)
    verify(authority, checkpoint.note, stamp, tmp_path)
    with pytest.raises(AssertionError, match="message imprint mismatch"):
        verify(authority, checkpoint.note + b"\n", stamp, tmp_path)
    told = openssl("ts", "-reply", "-in", tmp_path / "stamp", "-text").decode()
    assert "Status: Granted." in told
    query = openssl("ts", "-query", "-in", _written(tmp_path / "query", authority.queries[-1]), "-text").decode()
    assert "Certificate required: yes" in query
    nonces = {line for text in (told, query) for line in text.splitlines() if line.startswith("Nonce:")}
    assert len(nonces) == 1
    assert nonces != {"Nonce: unspecified"}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_it_is_asked_once_an_interval_and_not_twice_for_one_checkpoint(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tsa")
    with running_authority(authority) as url:
        log = stamped(database_url, tmp_path, url, stamp_interval=3600)
        with log.signing():
            wait_until(lambda: log.is_confirmed(NAME, 1), "it is not stamped")
            LoginFactory.create_batch(3)
            log.wait_signed(4)
        with log.signing():  # it knows from the database when it was the last time
            time.sleep(0.5)
        assert log.is_confirmed(NAME, 1)
        _age(engine, timedelta(hours=1))
        with log.signing():
            wait_until(lambda: log.is_confirmed(NAME, 4), "it is not stamped")
        at = _age(engine, timedelta(hours=25))
        with log.signing():
            time.sleep(0.5)
    assert len(authority.queries) == 2
    assert log.confirmations()[NAME].confirmed_at == at


def _age(engine: Engine, age: timedelta) -> datetime:
    at = datetime.now(UTC) - age
    with engine.begin() as connection:
        connection.execute(update(TrailConfirmation).values(confirmed_at=at))
    return at


class Garbage(Authority):
    def answer(self, query: bytes) -> tuple[int, bytes]:
        return 200, b"<html>"


class Cut(Authority):
    def answer(self, query: bytes) -> tuple[int, bytes]:
        return 200, self.stamp(query)[:-1]


class Fails(Authority):
    def answer(self, query: bytes) -> tuple[int, bytes]:
        self.first = getattr(self, "first", None) or self.stamp(query)
        return 503, self.first


class Sha512(Authority):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, digests="sha512")


class OfAnother(Authority):
    def answer(self, query: bytes) -> tuple[int, bytes]:
        return 200, self.stamp(openssl("ts", "-query", "-digest", "ab" * 32, "-sha256", "-cert"))


class OfAnotherKind(Authority):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, digests="sha3-256")

    def answer(self, query: bytes) -> tuple[int, bytes]:
        kind = bytes.fromhex("0609608648016503040201")  # SHA-256, which becomes SHA3-256
        assert kind in query
        return 200, self.stamp(query.replace(kind, kind[:-1] + b"\x08"))


class OfAnotherRequest(Authority):
    options: tuple[str, ...] = ()

    def answer(self, query: bytes) -> tuple[int, bytes]:
        digest = query.partition(b"\x04\x20")[2][:32].hex()
        return 200, self.stamp(openssl("ts", "-query", "-digest", digest, "-sha256", "-cert", *self.options))


class WithoutNonce(OfAnotherRequest):
    options = ("-no_nonce",)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Garbage, "has answered with what is no time stamp: "),
        (Cut, "has answered with what is no time stamp: "),
        (Fails, "has answered with 503"),
        (Sha512, "refuses to stamp it, with the status 2: Message digest algorithm is not supported."),
        (OfAnother, "has stamped something else"),
        (OfAnotherKind, "has stamped something else"),
        (OfAnotherRequest, "its nonce is another one"),
        (WithoutNonce, "its nonce is another one"),
    ],
)
def test_what_is_no_stamp_is_said_once_and_signing_goes_on(
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: Callable[[Path], Authority],
    message: str,
) -> None:
    authority = kind(tmp_path / "tsa")
    with running_authority(authority) as url:
        log = stamped(database_url, tmp_path, url)
        with log.signing():
            log.wait_signed(1)
            wait_until(lambda: message in caplog.text, f"not said: {message}")
            LoginFactory.create_batch(3)
            log.wait_signed(4)
            tries = len(authority.queries)
            wait_until(lambda: len(authority.queries) > tries + 2, "it is not tried again")
    assert len(set(authority.queries)) == len(authority.queries)  # by their nonces
    assert caplog.text.count(message) == 1
    assert log.confirmations() == {}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_an_authority_that_hangs_delays_nobody(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "TIME_LIMIT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log = stamped(database_url, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/tsr")
        with log.signing():
            log.wait_signed(1)
            LoginFactory.create_batch(3)
            log.wait_signed(4)
            wait_until(lambda: "/tsr cannot be asked: no whole answer within 1 s" in caplog.text, "it is not said")
    assert log.confirmations() == {}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://user@127.0.0.1/tsr", "AUDIT_STAMP_URL: a URL to be asked is"),
        ("http://127.0.0.1:99999/tsr", "AUDIT_STAMP_URL: a URL to be asked is"),
        (f"http://{'a' * 250}/tsr", "the name of the host is longer"),
    ],
)
def test_a_url_that_cannot_be_asked(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str, message: str
) -> None:
    log = stamped(database_url, tmp_path, url)
    with log.signing():
        log.wait_signed(1)
    assert f"checkpoints are not stamped: {message}" in caplog.text.replace("AUDIT_STAMP_URL: the", "the")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_without_the_extra_the_log_says_what_to_install(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)  # then Python does not find it
    log = stamped(database_url, tmp_path, "https://tsa.example.org")
    with log.signing():
        log.wait_signed(1)
    told = "checkpoints are not stamped: AUDIT_STAMP_URL needs rfc3161_client: pip install 'audit-service[stamps]'"
    assert told in caplog.text


def test_a_bundle_has_the_stamps_and_says_how_to_check_them(
    database_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tsa")
    log = stamped_twice(authority, database_url, tmp_path)
    checkpoint, first = log.stored(), log.confirmations()[NAME]
    assert checkpoint
    log_id = log.log().log_id
    cosignature = sign_cosignature(WITNESS, parse_note(checkpoint.note).text, 1_800_000_000).line().removesuffix("\n")
    later = first.confirmed_at + timedelta(hours=1)
    with engine.begin() as connection:
        store_confirmation(connection, log_id, Confirmation("witness.example.org", 4, later, cosignature))
        store_confirmation(connection, log_id, Confirmation("stamp 127.0.0.0", 4, later, "AAAA"))  # a later one
    monkeypatch.setenv("AUDIT_DATABASE_URL", database_url)
    monkeypatch.setenv("AUDIT_DATA_DIR", str(log.settings.data_path))
    assert run("verify", "--vkey", str(log.verifier)).exit_code == 0
    assert run("bundle", str(tmp_path / "history.tar")).exit_code == 0
    verified = run("verify", str(tmp_path / "history.tar"), "--vkey", str(log.verifier))
    assert verified.exit_code == 0, verified.output
    with tarfile.open(tmp_path / "history.tar") as archive:
        archive.extractall(tmp_path / "bundle", filter="data")
    stamps = sorted(path.name for path in (tmp_path / "bundle/stamps" / log_id).iterdir())
    assert (stamps[0], stamps[-1]) == ("1.tsr", "4.tsr")  # there may be more of them between
    assert (tmp_path / "bundle/checkpoints" / log_id / "4").read_bytes() != checkpoint.note  # it is cosigned
    lines = (tmp_path / "bundle/README.txt").read_text().splitlines()
    at = lines.index("  c=checkpoints/0123456789abcdef/1000")
    for size in ("1", "4"):
        script = "\n".join(lines[at : at + 4]).replace("0123456789abcdef", log_id).replace("1000", size)
        (tmp_path / "bundle/ca.pem").write_bytes(authority.ca.read_bytes())
        done = subprocess.run(
            ["sh", "-ec", script], cwd=tmp_path / "bundle", capture_output=True, text=True, check=True
        )
        assert "Verification: OK" in done.stdout + done.stderr
        assert f"Time stamp: {first.confirmed_at:%b}" in done.stdout

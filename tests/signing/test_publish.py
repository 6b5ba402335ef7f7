"""Checkpoints go out of the machine: to a real witness and to real commands, and none of them delays the signer."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from audit_service.errors import SignerStopped
from audit_service.proofs.cosignature import sign_cosignature, verify_cosignature
from audit_service.proofs.keys import Algorithm, SignerKey, VerifierKey, new_key
from audit_service.proofs.merkle import EMPTY_ROOT
from audit_service.proofs.note import parse_note, parse_signature
from audit_service.proofs.policy import parse_policy
from audit_service.proofs.submission import LARGEST
from audit_service.signing import http_client, publish
from audit_service.signing import witnesses as asking
from audit_service.signing.hook import Hook
from audit_service.signing.lifecycle import restart_log
from audit_service.signing.loop import sign_once
from audit_service.storage.log_models import TrailConfirmation
from audit_service.trail.recorder import Recorder
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.report import Verdict
from audit_service.verifying.walk import verify
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR
from tests.support.in_thread import serving
from tests.support.server import is_alive
from tests.support.signed_trail import SignedTrail, StartedTrail
from tests.support.waiting import wait_until
from tests.support.witness import Witness, running_witness

STRANGER = SignerKey("stranger.example.org", Algorithm.COSIGNATURE, bytes(32)).verifier


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking.Witness, "interval", 0.0)
    monkeypatch.setattr(publish, "FIRST_RETRY", 0.1)
    monkeypatch.setattr(publish, "LAST_RETRY", 0.2)


def policy(path: Path, *parties: tuple[VerifierKey, str]) -> str:
    path.write_text("".join(f"witness w{n} {key} {url}\n" for n, (key, url) in enumerate(parties)) + "quorum none\n")
    return str(path)


@contextmanager
def witnessed(database_url: str, folder: Path) -> Iterator[tuple[StartedTrail, Witness]]:
    log = StartedTrail(database_url, folder / "data", witnesses=str(folder / "policy"))
    with running_witness(folder / "witness", log.verifier) as witness:
        policy(folder / "policy", (witness.key, witness.url))
        yield log, witness


def assert_cosigned(log: StartedTrail, key: VerifierKey, size: int) -> None:
    wait_until(lambda: log.is_confirmed(key.name, size), f"no cosignature of {size}")
    found, checkpoint = log.confirmations()[key.name], log.stored()
    assert checkpoint
    assert found.line
    at = verify_cosignature(key, parse_note(checkpoint.note).text, parse_signature(found.line))
    assert abs(found.confirmed_at.timestamp() - at) < 30


def test_a_witness_cosigns_what_is_signed(database_url: str, recorder: Recorder, tmp_path: Path) -> None:
    with witnessed(database_url, tmp_path) as (log, witness):
        with log.signing():
            assert_cosigned(log, witness.key, 1)
            recorder.record_all(LoginFactory.build_batch(300))
            assert_cosigned(log, witness.key, 301)
        recorder.record_all(LoginFactory.build_batch(5))
        with log.signing():  # it knows from the database what it has from the witness
            assert_cosigned(log, witness.key, 306)
        with log.database.write() as connection:  # and if it does not, from the witness
            connection.execute(text("DELETE FROM trail_confirmations"))
        LoginFactory.create()
        with log.signing():
            assert_cosigned(log, witness.key, 307)


def test_a_witness_that_is_away_gets_the_newest_one_later(
    database_url: str, recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with witnessed(database_url, tmp_path) as (log, witness), log.signing():
        assert_cosigned(log, witness.key, 1)
        witness.stop()
        recorder.record_all(LoginFactory.build_batch(10))
        log.wait_signed(11)
        wait_until(lambda: "cannot be asked" in caplog.text, "it is not said")
        LoginFactory.create()
        log.wait_signed(12)
        time.sleep(1)  # of several retries
        told = [record.getMessage() for record in caplog.records if "cannot be asked" in record.getMessage()]
        assert len(told) == len(set(told))  # of each checkpoint once, and not of each try
        witness.start()
        assert_cosigned(log, witness.key, 12)


@pytest.mark.usefixtures("recorder")
def test_a_fork_is_found_by_the_witness_and_stops_the_signer(
    database_url: str, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole machine goes back to an older state, and another history is written: only the witness can know."""
    with witnessed(database_url, tmp_path) as (log, witness):
        LoginFactory.create_batch(3)
        with log.signing():
            assert_cosigned(log, witness.key, 4)
        _change_all(engine, log)
        LoginFactory.create()
        with log.signing():
            wait_until(lambda: log.log().problem, "the signer does not stop")
            problem = log.log()
            assert problem.problem == "witness_fork"
            assert "trail restart --reason" in str(problem.problem_detail)
            assert any(record.levelname == "CRITICAL" for record in caplog.records)
            LoginFactory.create()
            size = log.log().size
            wait_until(lambda: len([r for r in caplog.records if r.levelname == "CRITICAL"]) == 1, "said again")
        assert log.log().size == size
        with pytest.raises(SignerStopped, match="does not find the checkpoint"):  # it does not forget
            sign_once(log.database, log.settings, progress=lambda *_: None)
        with log.signing():
            time.sleep(0.5)
            assert log.log().size == size
        assert log.log().problem == "witness_fork"
        new = restart_log(log.database, log.settings.signing_key_path, "audit.example.org", "a test", by=ACTOR)
        witness.logs.append(new.key.verifier)
        witness.stop()
        witness.start()
        with log.signing():
            assert_cosigned(log, witness.key, 7)  # with the event that tells of the restart
        assert log.log().problem is None


def _change_all(engine: Engine, log: StartedTrail) -> None:
    """Write another history over the first one, and let all that the machine remembers agree with it."""
    with engine.begin() as connection:
        for table in ("trail_leaves", "trail_tiles", "trail_checkpoints", "trail_confirmations"):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE trail_log SET size = 0, root = :root"), {"root": EMPTY_ROOT})
    for path in log.settings.data_path.glob("trail-head-*"):
        path.unlink()


@pytest.mark.usefixtures("recorder")
def test_a_rollback_is_told_by_the_witness(
    database_url: str, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with witnessed(database_url, tmp_path) as (log, witness):
        LoginFactory.create_batch(3)
        with log.signing():
            assert_cosigned(log, witness.key, 4)
            head = log.note()
            LoginFactory.create_batch(3)
            assert_cosigned(log, witness.key, 7)
        log.go_back(head)
        with log.signing():
            wait_until(lambda: log.log().problem, "the signer does not stop")
        assert log.log().problem == "witness_rollback"
        assert "has cosigned a checkpoint of 7, and here are 4" in caplog.text

        # The operator knows better: the witness is wrong.
        (tmp_path / "policy").write_text("quorum none\n")
        sign_once(log.database, log.settings, progress=lambda *_: None, trusts_database=True)
        assert log.log().problem is None


@pytest.mark.parametrize("backend", ["sqlite"])  # which can be copied in no time
def test_of_two_copies_of_a_log_a_witness_goes_on_with_one(
    database_url: str, recorder: Recorder, tmp_path: Path
) -> None:
    """Both sign with the same key. What the other one signs is not proven to whoever wants the witness's signature."""
    with witnessed(database_url, tmp_path) as (log, witness):
        recorder.record_all(LoginFactory.copies(3))
        with log.signing():
            assert_cosigned(log, witness.key, 4)
        log.close()
        recorder.stop()
        copy = shutil.copytree(tmp_path / "data", tmp_path / "copy")
        shutil.copy(tmp_path / "audit.db", copy)
        cloned = SignedTrail(f"sqlite:///{copy}/audit.db", copy, witnesses=str(tmp_path / "policy"))
        for each in (log, cloned):
            writer = Recorder(each.settings.url)
            writer.record_all(LoginFactory.copies(2))
            writer.stop()
        with log.signing():
            assert_cosigned(log, witness.key, 6)
        with cloned.signing():
            wait_until(lambda: cloned.log().problem, "the signer of the copy does not stop")
        assert cloned.log().problem == "witness_fork"
        trust = Trust([log.verifier], parse_policy(f"witness w {witness.key}\nquorum w\n".encode()))
        for each, proven in ((log, 6), (cloned, 4)):
            report = verify(DatabaseOpener(each.settings.url), trust, max_unsigned=0)
            assert report.proven
            assert report.proven.checkpoint.size == proven
            assert report.verdict is (Verdict.PROVEN if proven == 6 else Verdict.NOT_PROVEN)
        cloned.close()


class Answers(BaseHTTPRequestHandler):
    """A server that is no witness."""

    status, headers_, body = 200, {"Content-Type": "text/plain"}, b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        for name, value in self.headers_.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # it need not wait for a body that is too long
            self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    handler = type("Handler", (Answers,), {"status": status, "body": body, "headers_": headers or {}})
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url


FOREIGN = (
    sign_cosignature(SignerKey("other.example.org", Algorithm.COSIGNATURE, bytes(32)), "text\n", 1).line().encode()
)
SIZE = {"Content-Type": "text/x.tlog.size"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, b"", {}), "with what is no cosignature"),
        ((200, b"<html>", {}), "with what is no cosignature"),
        ((200, b"\xff\xfe", {}), "with what is no cosignature"),
        ((200, FOREIGN, {}), "without a cosignature of stranger.example.org"),
        ((200, b"x" * (LARGEST + 1), {}), f"more than {LARGEST} bytes"),
        ((302, b"", {"Location": "http://127.0.0.1:1/"}), "has answered with 302"),
        ((404, b"unknown\n", {}), "404 'unknown"),
        ((403, b"no key\n", {}), "403 'no key"),
        ((500, b"", {}), "has answered with 500"),
        ((409, b"4\n", {}), "has answered with 409"),
        ((409, b"-1\n", SIZE), "with no size"),
        ((409, b"0\n", SIZE), "has answered with 409 '0"),
    ],
)
@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_a_witness_may_answer_and_signing_goes_on(
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    answer: tuple[int, bytes, dict[str, str]],
    message: str,
) -> None:
    with answering(*answer) as url:
        log = StartedTrail(
            database_url, tmp_path / "data", witnesses=policy(tmp_path / "p", (STRANGER, url)), signer="on"
        )
        with log.signing():
            log.wait_signed(1)
            wait_until(lambda: message in caplog.text, f"not said: {message}")
            LoginFactory.create_batch(3)
            log.wait_signed(4)
    assert log.confirmations() == {}
    assert log.log().problem is None


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((422, b"no\n", {}), "witness_fork"),
        ((409, b"1\n", SIZE), "witness_fork"),  # asked from its own size, which is ours: another root
        ((409, b"9\n", SIZE), "witness_rollback"),
    ],
)
def test_what_a_witness_answers_to_a_history_that_is_another(
    database_url: str, tmp_path: Path, answer: tuple[int, bytes, dict[str, str]], problem: str
) -> None:
    with answering(*answer) as url:
        log = StartedTrail(database_url, tmp_path / "data", witnesses=policy(tmp_path / "p", (STRANGER, url)))
        with log.signing():
            wait_until(lambda: log.log().problem, "the signer does not stop")
    assert log.log().problem == problem


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_witness_that_hangs_delays_nobody(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One never answers, one sends a byte now and then; a third one cosigns meanwhile."""
    monkeypatch.setattr(http_client, "TIME_LIMIT", 1.0)
    log = StartedTrail(database_url, tmp_path / "data", witnesses=str(tmp_path / "p"))
    drips = new_key("drips.example.org", Algorithm.COSIGNATURE).verifier
    ending = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            while not ending.wait(0.1):
                connection.sendall(b"H")

    with (
        running_witness(tmp_path / "w", log.verifier) as witness,
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as dripping,
    ):
        thread = threading.Thread(target=drip, args=(dripping,))
        thread.start()
        urls = [f"http://127.0.0.1:{server.getsockname()[1]}" for server in (silent, dripping)]
        policy(tmp_path / "p", (STRANGER, urls[0]), (drips, urls[1]), (witness.key, witness.url))
        with log.signing():
            assert_cosigned(log, witness.key, 1)
            LoginFactory.create_batch(3)
            assert_cosigned(log, witness.key, 4)
            late = [f"{url}/add-checkpoint cannot be asked: no whole answer" for url in urls]
            wait_until(lambda: all(each in caplog.text for each in late), "it is not said")
        ending.set()
        thread.join()
    assert set(log.confirmations()) == {witness.key.name}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("quorum none\n", "no witness in .* has a URL"),
        (f"witness w {STRANGER}\nquorum w\n", "no witness in .* has a URL"),
        (f"witness w {STRANGER} ftp://127.0.0.1\nquorum w\n", "a URL to be asked is"),
        (f"witness w {STRANGER} http://user@127.0.0.1\nquorum w\n", "a URL to be asked is"),
        (f"witness w {STRANGER} http://127.0.0.1:99999\nquorum w\n", "a URL to be asked is"),
        (f"witness w {STRANGER} http://[::1\nquorum w\n", "a URL to be asked is"),
        ("nonsense\n", "line 1 of the policy"),
    ],
)
def test_a_policy_that_cannot_be_used_is_said_and_signing_goes_on(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, message: str
) -> None:
    if content:
        (tmp_path / "p").write_text(content)
    log = StartedTrail(database_url, tmp_path / "data", witnesses=str(tmp_path / "p"))
    with log.signing():
        log.wait_signed(1)
    assert re.search(f"not given to witnesses: AUDIT_WITNESSES: .*{message}", caplog.text)


def test_a_hook_takes_checkpoints(database_url: str, recorder: Recorder, tmp_path: Path) -> None:
    out = tmp_path / "note"
    command = shlex.join([sys.executable, "-c", f"import sys; open({str(out)!r}, 'wb').write(sys.stdin.buffer.read())"])
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command, checkpoint_hook_interval=0)
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 1), "the hook was not run")
        recorder.record_all(LoginFactory.build_batch(3))
        wait_until(lambda: log.is_confirmed("hook", 4), "the hook was not run")
    checkpoint = log.stored()
    assert checkpoint
    assert out.read_bytes() == checkpoint.note
    assert log.confirmations()["hook"].line is None


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_hook_runs_no_more_often_than_it_shall_and_once_a_day(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    command = f"tee -a {shlex.quote(str(runs))}"

    def count() -> int:
        return runs.read_text().count("audit.example.org/") // 2 if runs.exists() else 0  # in text and signature

    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command)
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 1), "the hook was not run")
        LoginFactory.create()
        log.wait_signed(2)
        time.sleep(0.5)
    with log.signing():  # the interval is over the runs of the signer, too
        LoginFactory.create()
        log.wait_signed(3)
        time.sleep(0.5)
    assert count() == 1
    _age(engine, timedelta(seconds=601))
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 3), "the hook was not run")
    assert count() == 2
    _age(engine, timedelta(hours=25))
    with log.signing():  # nothing is new
        wait_until(lambda: count() == 3, "there is no heartbeat")
        wait_until(lambda: _is_fresh(log), "the heartbeat is not stored")
    _age(engine, timedelta(hours=23))
    with log.signing():
        time.sleep(0.5)
    assert count() == 3


def _age(engine: Engine, by: timedelta) -> None:
    with engine.begin() as connection:
        at = datetime.now(UTC) - by
        connection.execute(update(TrailConfirmation).values(confirmed_at=at))


def _is_fresh(log: StartedTrail) -> bool:
    return datetime.now(UTC) - log.confirmations()["hook"].confirmed_at < timedelta(minutes=1)


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/no/such/command --now", "'/no/such/command' cannot be run: No such file"),
        ("sh -c 'echo no room >&2; exit 3'", "'sh' has ended with status 3: no room"),
        ("false", "'false' has ended with status 1$"),
        ("sh -c 'kill -9 $$'", "'sh' has ended with status -9"),
        ("sh -c 'yes no | head -c 3000000 >&2; exit 1'", "status 1: .*no"),
        ("sleep 'x", "is no command: No closing quotation"),
        (" ", "is no command: it is empty"),
    ],
)
def test_a_hook_that_fails_is_said_once_and_signing_goes_on(
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    command: str,
    message: str,
) -> None:
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command, checkpoint_hook_interval=0)
    with log.signing():
        log.wait_signed(1)
        wait_until(lambda: re.search(message, caplog.text, re.MULTILINE | re.DOTALL), f"not said: {message}")
        LoginFactory.create_batch(3)
        log.wait_signed(4)
        time.sleep(0.5)  # of several tries
    said = [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")]
    assert len(said) == 1
    assert len(said[0].getMessage()) < 2500
    assert log.confirmations() == {}


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_hook_that_hangs_is_killed_with_all_that_it_has_started(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "Hook", partial(Hook, time_limit=1.0))
    pids = tmp_path / "pids"
    command = f"sh -c 'echo begun >&2; sleep 600 & echo $! >> {shlex.quote(str(pids))}; wait'"
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command, checkpoint_hook_interval=0)
    with log.signing():
        log.wait_signed(1)
        wait_until(pids.exists, "the hook was not run")
        LoginFactory.create_batch(3)
        log.wait_signed(4)
        wait_until(lambda: "was killed: it has run for 1 s: begun" in caplog.text, "it is not said")
        runs = len(pids.read_text().split())
        wait_until(lambda: len(pids.read_text().split()) > runs, "it is not tried again")
    # The signer has ended, and has not waited for the last one.
    assert all(not is_alive(int(pid)) for pid in pids.read_text().split())


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_a_hook_leaves_running_is_not_waited_for(database_url: str, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sh -c 'sleep 30 & echo $! > {shlex.quote(str(pid))}'"
    log = StartedTrail(database_url, tmp_path / "data", checkpoint_hook=command, checkpoint_hook_interval=0)
    with log.signing():
        wait_until(lambda: log.is_confirmed("hook", 1), "it was waited for")
    os.kill(int(pid.read_text()), signal.SIGKILL)

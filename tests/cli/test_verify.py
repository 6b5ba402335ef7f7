"""The command that verifies: its exit status, its JSON, what it remembers, and Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import Result
from sqlalchemy import Engine, make_url, text

from audit_service.proofs.keys import Algorithm, new_key
from audit_service.trail.recorder import Recorder
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.commands import run
from tests.support.server import environment, is_alive
from tests.support.signed_trail import SignedTrail
from tests.support.waiting import wait_until


@pytest.fixture
def trail(found_trail: SignedTrail, recorder: Recorder) -> SignedTrail:
    """Three hundred events that are signed, in the database of the command."""
    found_trail.start()
    recorder.record_all([*LoginFactory.copies(297), ErrorFactory.build(), AdminFactory.build()])
    found_trail.sign()
    return found_trail


def verified(trail: SignedTrail, *options: object) -> Result:
    return run("verify", "--vkey", str(trail.verifier), "-j", "1", *map(str, options))


def rename(trail: SignedTrail, seq: int, name: str) -> None:
    with trail.tampering() as connection:
        statement = text("UPDATE login_events SET username = :name WHERE seq = :seq")
        connection.execute(statement, {"name": name, "seq": seq})


def test_what_is_as_it_was_signed(trail: SignedTrail) -> None:
    LoginFactory()
    result = verified(trail)
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert last.startswith("proven: events 1 to 300, the last one recorded at ")
    proven = f"are those of the checkpoint of 300, signed by {trail.verifier}"
    assert f"{proven}; 1 newer event is not signed yet (the oldest for " in last


def test_what_was_changed(trail: SignedTrail) -> None:
    rename(trail, 50, "eve")
    result = verified(trail)
    assert result.exit_code == 1
    *notes, found, last = result.stdout.splitlines()
    assert {each.partition(" ")[0] for each in notes} == {"trigger_missing"}
    assert found.startswith("row_changed seq=50 table=login_events")
    assert "the login event 50 is not the one that its leaf tells of" in found
    assert last == "NOT as it was signed: 1 finding"


@pytest.mark.parametrize("backend", ["sqlite"])  # it is about options
def test_what_is_not_proven(trail: SignedTrail, tmp_path: Path) -> None:
    key, witness = trail.verifier, new_key("w", Algorithm.COSIGNATURE).verifier
    (tmp_path / "policy").write_text(f"log {key}\nwitness w {witness}\nquorum w\n")
    (tmp_path / "text").write_text("x" * 2000)
    LoginFactory()
    for told, options in (
        ("self-consistent only: events 1 to 300", ()),
        ("Error: not verified: ", ("--vkey", "no key")),
        ("is no key of a log", ("--vkey", witness)),
        ("no_quorum: ", ("--policy", tmp_path / "policy")),
        ("no_quorum: ", ("--vkey", key, "--policy", tmp_path / "policy")),
        ("Error: not verified: ", ("--against", tmp_path / "text")),
        ("this is no bundle", ("--vkey", key, tmp_path / "text")),
        ("proven only in part: events 1 to 300", ("--vkey", key, "--max-unsigned", 0)),
        ("cannot be written", ("--vkey", key, "--remember", tmp_path / "nowhere" / "seen")),
    ):
        result = run("verify", "-j", "1", *map(str, options))
        assert (result.exit_code, told in result.output) == (2, True), result.output
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM trail_checkpoints"))
    result = verified(trail)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (2, "nothing is proven")
    Path(str(trail.settings.url.database)).unlink()
    result = verified(trail)
    assert (result.exit_code, "the database refused: " in result.stderr) == (2, True), result.output


def test_json_says_what_the_lines_do(trail: SignedTrail) -> None:
    whole: dict[str, Any] = msgspec.json.decode(verified(trail, "--json").stdout)
    assert (whole["verdict"], whole["events"], whole["unsigned"]) == ("proven", 300, 0)
    assert whole["proven"]["size"] == 300
    assert whole["proven"]["root"] == trail.newest().root.hex()
    assert whole["proven"]["signed_by"] == [str(trail.verifier)]
    rename(trail, 50, "eve")
    with trail.tampering() as connection:
        connection.execute(text("DELETE FROM error_events"))
    result = verified(trail, "--json")
    changed = msgspec.json.decode(result.stdout)
    assert (result.exit_code, changed["verdict"]) == (1, "tampered")
    found = [(each["code"], each.get("seq"), each.get("table")) for each in changed["findings"]]
    others = {(code, seq, table) for code, seq, table in found if code != "trigger_missing"}
    assert others == {("row_changed", 50, "login_events"), ("missing", 299, None)}
    assert Counter(code for code, _, _ in found) == changed["counts"]


def test_what_is_remembered_is_not_forgotten(trail: SignedTrail, recorder: Recorder, tmp_path: Path) -> None:
    """Neither an older history nor another one is believed the next time, and what was seen of them is not kept."""
    seen, older = tmp_path / "seen", trail.note()
    remember = ("--remember", seen)
    assert verified(trail, *remember).exit_code == 0
    assert seen.read_bytes() == older
    recorder.record_all(LoginFactory.copies(20))
    trail.sign()
    assert verified(trail, *remember).exit_code == 0
    newest = seen.read_bytes()
    assert newest == trail.note() != older
    assert verified(trail, *remember).exit_code == 0

    trail.go_back(older)
    result = verified(trail, *remember)
    assert result.exit_code == 1
    assert f"rollback seq=301-320: the log has 300 events, and {seen} has a checkpoint of 320" in result.stdout
    recorder.record_all(LoginFactory.copies(30))
    trail.sign()
    bundle = tmp_path / "history.tar"
    assert run("bundle", str(bundle)).exit_code == 0
    for source in ((), (bundle,)):
        result = verified(trail, *remember, *source)
        assert result.exit_code == 1
        assert f"fork seq=1-320: the checkpoint of 320 that {seen} has was signed for another history" in result.stdout
        assert verified(trail, *source).exit_code == 0  # by itself it is a right one
    assert seen.read_bytes() == newest


@pytest.mark.parametrize("backend", ["sqlite"])  # it is about a file
def test_what_another_verifier_has_remembered_meanwhile_stays(
    trail: SignedTrail, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, command = tmp_path / "seen", sys.modules["audit_service.cli.verify"]
    slow = command._verify

    def overtaken(*arguments: Any) -> Any:
        report = slow(*arguments)
        monkeypatch.setattr(command, "_verify", slow)
        recorder.record_all(LoginFactory.copies(20))
        trail.sign()
        assert verified(trail, "--remember", seen).exit_code == 0
        return report

    monkeypatch.setattr(command, "_verify", overtaken)
    result = verified(trail, "--remember", seen)
    assert (result.exit_code, f"another checkpoint into {seen} meanwhile" in result.stderr) == (2, True), result.output
    assert seen.read_bytes() == trail.note()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_who_may_only_read_can_verify(trail: SignedTrail, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = f"auditor_{make_url(database_url).database}"
    other = make_url(database_url).set(username=user, password="p")
    monkeypatch.setenv("AUDIT_DATABASE_URL", other.render_as_string(hide_password=False))
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'p'".encode())
        try:
            owner.execute(f"ALTER ROLE {user} SET default_transaction_read_only = on".encode())
            owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}".encode())
            result = verified(trail)
        finally:
            owner.execute(f"DROP OWNED BY {user}".encode())
            owner.execute(f"DROP ROLE {user}".encode())
    assert (result.exit_code, result.stdout.startswith("proven: ")) == (0, True), result.output


@pytest.mark.parametrize("backend", ["postgresql"])  # those of a long trail are in SQLite
def test_two_processes_say_what_one_does(trail: SignedTrail) -> None:
    for seq in (7, 290):
        rename(trail, seq, "eve")
    LoginFactory()
    one, two = (msgspec.json.decode(verified(trail, "--json", "-j", jobs).stdout) for jobs in (1, 2))
    assert {each.get("seq") for each in one["findings"]} == {7, 290, None}
    assert two.pop("unsigned_seconds") >= one.pop("unsigned_seconds")
    assert two == one


def assert_ended(processes: list[int]) -> None:
    wait_until(lambda: not any(map(is_alive, processes)), "a process is left")


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Press Ctrl-C, and expect the command and all that it has started to end at once and in silence."""
    children = children_of(process)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=20)
    assert (process.returncode, said) == (2, ("", "verifying\nError: not verified: interrupted\n"))
    assert_ended(children)


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


@pytest.fixture
def verifier(trail: SignedTrail) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process of its own, with two more that do the work."""
    command = [sys.executable, "-m", "audit_service.cli", "verify", "--vkey", str(trail.verifier), "-j", "2"]
    names = "AUDIT_DATABASE_URL", "AUDIT_DATA_DIR"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        env=environment({name: os.environ[name] for name in names}),
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("backend", ["sqlite"])  # it is about processes
def test_ctrl_c_while_processes_start(verifier: "subprocess.Popen[str]") -> None:
    def some_import() -> bool:
        started = [Path(f"/proc/{pid}") for pid in children_of(verifier)]
        workers = [path for path in started if b"spawn_main" in (path / "cmdline").read_bytes()]
        return any("sqlalchemy" in (path / "maps").read_text() for path in workers)

    wait_until(some_import, "it starts no processes")
    interrupt(verifier)


@pytest.mark.parametrize("backend", ["postgresql"])  # where a table can be kept from those who read it
@pytest.mark.parametrize("end", ["Ctrl-C", "kill -9", "kill -9 of one of them"])
def test_its_end_while_they_work(engine: Engine, trail: SignedTrail, request: pytest.FixtureRequest, end: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLE trail_tiles IN ACCESS EXCLUSIVE MODE"))  # which only they read
        verifier = request.getfixturevalue("verifier")
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'trail_tiles'::regclass")
        wait_until(lambda: connection.scalar(waiting), "they do not work")
        children = children_of(verifier)
        match end:
            case "Ctrl-C":
                interrupt(verifier)
            case "kill -9":
                verifier.kill()
            case _:  # as by the kernel, which needs the memory
                os.kill(children[-1], signal.SIGKILL)
                _, said = verifier.communicate(timeout=20)
                assert (verifier.returncode, "Error: not verified: " in said) == (2, True), said
        assert_ended(children)

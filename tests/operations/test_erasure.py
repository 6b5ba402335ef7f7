"""Erasure: what goes, what stays, and that the log still proves all that it has signed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Row, func, insert, make_url, select, text
from sqlalchemy.exc import DBAPIError

from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.events.logins import LOGINS
from audit_service.operations.erasure import Found, erase
from audit_service.proofs.entry import FORMS, Group
from audit_service.proofs.merkle import leaf_hash
from audit_service.proving import erasing
from audit_service.proving.erasing import digest_of
from audit_service.proving.leaves import ERASED, entry_of, read_erasures, read_leaves
from audit_service.proving.rows import Event as Stored
from audit_service.proving.rows import read_rows
from audit_service.proving.tiles import StoredTree
from audit_service.signing.database import Database
from audit_service.signing.key_file import read_keys
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.log_models import TrailErasure
from audit_service.storage.models import AdminEvent, KnownSession, LoginEvent, RefusedAttempts, table_of
from audit_service.trail.recorder import Recorder
from audit_service.trail.spool import Spool
from audit_service.vocabulary import AdminAction
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.commands import run, succeed
from tests.support.server import environment
from tests.support.signed_trail import SignedTrail
from tests.support.waiting import wait_until

NAME = "adalovelace"
REASON = ("--reason", "they have asked for it")
ERASE = ("erase", "--username", NAME, *REASON, "--yes")


@pytest.fixture
def trail(
    database_url: str, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SignedTrail]:
    """A log, on which commands work, too."""
    made = SignedTrail(database_url, tmp_path / "data")
    monkeypatch.setenv("AUDIT_DATABASE_URL", database_url)
    monkeypatch.setenv("AUDIT_DATA_DIR", str(made.folder))
    made.start()
    yield made
    made.close()


def fill() -> None:
    """Store events of each kind that name somebody, and some that do not."""
    for name in (NAME, NAME.title(), "grace"):
        LoginFactory.create(username=name, details={"team": name})
        ErrorFactory.create(username=name)
        AdminFactory.create(actor=name)
        AdminFactory.create(target=name)
        AdminFactory.create(action=AdminAction.HISTORY_READ, target="/api/logins", details={"username": [name]})
    ErrorFactory.create(username=None)
    LoginFactory.create(username="hopper", details={"provider": NAME})


def verify(trail: SignedTrail) -> None:
    """Let the verifier say what it finds; and by other code recompute each leaf and the root, and what was erased."""
    (key, *_) = read_keys(trail.key_file)
    assert succeed("verify", "--vkey", str(key.verifier), "-j", "1").startswith("proven: events 1 to ")
    with trail.database.read() as connection:
        log = trail.log()
        rows = read_rows(connection, 1, log.size)
        leaves, erased = read_leaves(connection, 1, log.size), read_erasures(connection, 1, log.size)
        for row in rows:
            assert isinstance(row, Stored)
            opening, gone = leaves[row.seq].opening, erased.get(row.seq, {})
            assert opening
            assert leaf_hash(entry_of(row, opening, gone)) == leaves[row.seq].hash
            halves = dict(zip(Group, (opening[:16], opening[16:]), strict=True))
            assert {group for group, half in halves.items() if half == ERASED} == set(gone)
            assert all(dict(zip(Group, row.is_empty, strict=True))[group] for group in gone)
        assert [row.seq for row in rows] == list(range(1, log.size + 1))
        assert StoredTree(connection).root(log.size) == log.root == trail.newest().root
        told = {event.seq: event for event in erasures(connection)}
        by: dict[int, set[int]] = {}
        for seq, by_seq in connection.execute(select(TrailErasure.seq, TrailErasure.by_seq)):
            by.setdefault(by_seq, set()).add(seq)
        assert set(by) == set(told)
        for seq, seqs in by.items():
            assert (told[seq].details["rows"], told[seq].details["digest"]) == (len(seqs), digest_of(seqs))
            assert max(seqs) < seq
            assert told[seq].target is None


def erasures(connection: Connection) -> list[Row[Any]]:
    query = select(AdminEvent.seq, AdminEvent.actor, AdminEvent.target, AdminEvent.details).order_by(AdminEvent.seq)
    return list(connection.execute(query.where(AdminEvent.action == AdminAction.PERSONAL_DATA_ERASED)))


def stored(trail: SignedTrail, kind: Kind) -> list[Row[Any]]:
    with trail.database.read() as connection:
        return list(connection.execute(select(table_of(kind)).order_by("seq")))


def everything(trail: SignedTrail) -> list[list[Row[Any]]]:
    return [stored(trail, kind) for kind in KINDS]


def triggers(trail: SignedTrail) -> list[tuple[Any, ...]]:
    with trail.database.read() as connection:
        where = (
            "SELECT tgrelid, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal"
            if is_postgresql(connection)
            else "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'"
        )
        return sorted(map(tuple, connection.execute(text(where))))


def refuse_changes(trail: SignedTrail) -> None:
    for kind in filter(lambda kind: stored(trail, kind), KINDS):
        with pytest.raises(DBAPIError, match="append-only"), trail.database.write() as connection:
            connection.execute(text(f"UPDATE {kind.table} SET app = 'x'"))


def test_the_fields_of_a_user_go_and_the_log_proves_the_rest(trail: SignedTrail) -> None:
    fill()
    before, signed, kept = triggers(trail), trail.sign(), everything(trail)
    shown = succeed(*ERASE)
    assert "erased who and where from 5 events" in shown
    assert "the last backup has expired" in shown.splitlines()[-1]
    assert triggers(trail) == before
    refuse_changes(trail)
    trail.sign()
    verify(trail)
    with trail.database.read() as connection:
        assert StoredTree(connection).root(signed.size) == signed.root
        told = erasures(connection)
    assert [event.details["groups"] for event in told] == [["who", "where"]] * 3  # one for each kind
    assert all(event.actor.startswith("cli:") for event in told)
    gone = 0
    for kind, rows in zip(KINDS, kept, strict=True):
        form = FORMS[kind.name]
        now = {row.seq: row for row in stored(trail, kind)}
        for row in rows:
            was, is_ = row._asdict(), now[row.seq]._asdict()
            names = [was[name] for name in kind.names] + [(was.get("details") or {}).get("username")]
            if NAME in names or [NAME] in names:
                assert {is_[name] for name in (*form.who, *form.where)} == {None}
                assert {name: is_[name] for name in form.plain} == {name: was[name] for name in form.plain}
                gone += 1
            else:
                assert is_ == was
    assert gone == 5


def test_no_file_has_the_name_afterwards(trail: SignedTrail, recorder: Recorder, tmp_path: Path, backend: str) -> None:
    if backend == "postgresql":
        pytest.skip("the files of a server are its own")
    spool = Spool(trail.folder / "spool.db")  # where it has waited once
    for n in range(30):
        recorder.record_all(
            [
                LoginFactory.build(username=name, details={"n": n, "as": name})
                for name in (NAME, f"u{n}")
                for _ in range(40)
            ]
        )
    spool.add([LoginFactory.build(username=NAME)], time.monotonic() + 5)
    assert list(spool.replay(recorder.record_all, lambda _error: False)) == [1]
    spool.close()
    trail.sign()
    files = [tmp_path / "audit.db", *trail.folder.iterdir()]
    assert any(NAME.encode() in path.read_bytes() for path in files)
    succeed(*ERASE)
    trail.sign()
    verify(trail)
    left = [path for path in (*tmp_path.iterdir(), *trail.folder.iterdir()) if path.is_file()]
    assert [path for path in left if path.stat().st_size and NAME.encode() in path.read_bytes()] == []


def test_only_addresses_go_before_a_time(trail: SignedTrail) -> None:
    old = LoginFactory.create(timestamp=datetime.now(UTC) - timedelta(days=40))
    LoginFactory.create()
    trail.sign()
    assert "erased where from 1 event\n" in succeed("erase", "--before", "30d", *REASON, "--yes")
    trail.sign()
    verify(trail)
    first, second = stored(trail, LOGINS)
    assert (first.username, first.remote_addr, first.network, first.user_agent, first.request_id) == (
        old.username, None, None, None, None,
    )  # fmt: skip
    assert second.remote_addr
    succeed("erase", "--username", old.username, *REASON, "--yes")
    trail.sign()
    verify(trail)
    assert stored(trail, LOGINS)[0].username is None


def test_a_dry_run_changes_nothing_and_without_yes_it_asks(trail: SignedTrail) -> None:
    fill()
    trail.sign()
    before = everything(trail)
    shown = succeed("erase", "--username", NAME, "--dry-run")
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["1", "1", "3"]
    asked = run("erase", "--username", NAME, *REASON, stdin="n\n")
    assert (asked.exit_code, "Erase this for good?" in asked.output) == (1, True)
    assert everything(trail) == before


def test_twice_is_harmless(trail: SignedTrail) -> None:
    fill()
    trail.sign()
    succeed(*ERASE)
    trail.sign()
    once = everything(trail)
    assert "nothing to erase" in succeed(*ERASE)
    trail.sign()
    assert everything(trail) == once
    verify(trail)


def test_what_the_log_is_verified_with_stays(trail: SignedTrail) -> None:
    fill()
    trail.sign()
    succeed(*ERASE)
    trail.sign()
    succeed("erase", "--before", "now", "--groups", "who", *REASON, "--yes")
    trail.sign()
    verify(trail)
    with trail.database.read() as connection:
        assert len(erasures(connection)) > 3
        (started,) = connection.execute(select(AdminEvent).where(AdminEvent.action == AdminAction.LOG_STARTED)).all()
        assert connection.scalar(select(func.count(LoginEvent.username))) == 0
    assert started.actor
    assert started.details


@pytest.mark.parametrize("column", ["username", "remote_addr"])
def test_an_event_that_was_changed_keeps_the_evidence(trail: SignedTrail, column: str) -> None:
    LoginFactory.create(username=NAME)
    trail.sign()
    with trail.tampering() as connection:
        value = NAME if column == "username" else "192.0.2.7"
        connection.execute(text(f"UPDATE login_events SET reason = 'denied', {column} = '{value}'"))
    before = everything(trail)
    put_back(trail)
    refused = run(*ERASE)
    assert (refused.exit_code, "the login event 2 is not the one that its leaf" in refused.output) == (1, True)
    assert everything(trail) == before


def put_back(trail: SignedTrail) -> None:
    """Put the triggers back that ``tampering`` took away."""
    with trail.database.write() as connection:
        if is_postgresql(connection):
            for kind in KINDS:
                for name in ("append_only", "rows_stay"):
                    connection.execute(text(f"ALTER TABLE {kind.table} ENABLE ALWAYS TRIGGER {kind.table}_{name}"))
            return
        for kind in KINDS:
            connection.execute(
                text(f"CREATE TRIGGER {kind.table}_no_update BEFORE UPDATE ON {kind.table} BEGIN SELECT 1; END")
            )


def test_an_erased_row_that_was_filled_again_is_not_erased_again(trail: SignedTrail) -> None:
    LoginFactory.create(username=NAME)
    trail.sign()
    succeed(*ERASE)
    with trail.tampering() as connection:
        connection.execute(text(f"UPDATE login_events SET username = '{NAME}'"))
    put_back(trail)
    trail.sign()
    refused = run(*ERASE)
    assert (refused.exit_code, "the login event 2 is not the one" in refused.output) == (1, True)


def test_events_that_are_not_signed_yet_or_wait_are_not_passed_over(trail: SignedTrail) -> None:
    LoginFactory.create(username=NAME)
    refused = run(*ERASE)
    assert (refused.exit_code, "1 of the events are not signed yet" in refused.output) == (1, True)
    trail.sign()
    spool = Spool(trail.folder / "spool.db")
    spool.add([LoginFactory.build(username=NAME)], time.monotonic() + 5)
    spool.close()
    refused = run(*ERASE)
    assert (refused.exit_code, "1 events wait in the spool" in refused.output) == (1, True)
    assert stored(trail, LOGINS)[0].username == NAME


def test_sessions_and_counts_of_the_name_go(trail: SignedTrail) -> None:
    trail.sign()
    now = datetime.now(UTC)
    with trail.database.write() as connection:
        for name in (NAME, "grace"):
            seen = {"session_key": "k", "started_at": now, "seen_at": now}
            connection.execute(insert(KnownSession), {"session_id": name, "username": name, **seen})
            counted = {"network": "", "app": "a", "count": 1, "first_at": now, "last_at": now}
            connection.execute(insert(RefusedAttempts), {"username": name, **counted})
    assert "deleted 2 sessions and counts" in succeed(*ERASE)
    with trail.database.read() as connection:
        for model in (KnownSession, RefusedAttempts):
            assert list(connection.scalars(select(model.username))) == ["grace"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give either --username or --before"),
        (("--username", "a", "--before", "1d"), "give either --username or --before"),
        (("--before", "soon", *REASON), "--before must be a time such as"),
        (("--username", "a"), "--reason: it must be given"),
        (("--username", NAME, "--reason", f"{NAME.upper()} asked"), "must not have the name in it"),
        (("--username", "a", "--groups", "who,what"), "must be who or where, or both with a comma between"),
    ],
)
def test_options_that_say_nothing_are_refused(options: tuple[str, ...], said: str) -> None:
    refused = run("erase", *options)
    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())


def test_another_user_than_the_owner_is_told_who_can(trail: SignedTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_postgresql(trail.settings.url):
        pytest.skip("a SQLite file has no users")
    LoginFactory.create(username=NAME)
    trail.sign()
    url, user = trail.settings.url, f"reader_{os.getpid()}"
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'p'".encode())
        try:
            owner.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {user}".encode())
            other = make_url(plain).set(username=user, password="p")
            monkeypatch.setenv("AUDIT_DATABASE_URL", other.render_as_string(hide_password=False))
            refused = run(*ERASE)
        finally:
            owner.execute(f"DROP OWNED BY {user}".encode())
            owner.execute(f"DROP ROLE {user}".encode())
    assert refused.exit_code == 1
    assert f"only the owner of the tables can do this: run it with the user '{url.username}'" in refused.output
    assert stored(trail, LOGINS)[0].username == NAME


KILLED = """
import os, signal, sys
from audit_service.cli.main import main
from audit_service.proving import erasing
erasing.CHUNK = 10
step, clear = int(sys.argv[1]), erasing._clear
def clear_and_die(connection, kind, rows):
    global step
    clear(connection, kind, rows)
    step -= 1
    if not step:
        os.kill(os.getpid(), signal.SIGKILL)
erasing._clear = clear_and_die
import audit_service.operations.erasure as erasure
erasure.CHUNK = 10
main(sys.argv[2:])
"""


def test_a_kill_leaves_each_chunk_whole_and_the_triggers_as_they_were(trail: SignedTrail, recorder: Recorder) -> None:
    recorder.record_all(LoginFactory.copies(35, username=NAME))
    trail.sign()
    before = triggers(trail)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "3", *ERASE],
        env=environment(settings_of(trail)),
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert triggers(trail) == before
    refuse_changes(trail)
    trail.sign()
    verify(trail)
    assert [row.username for row in stored(trail, LOGINS)] == [None] * 20 + [NAME] * 15
    assert "from 15 events" in succeed(*ERASE)
    trail.sign()
    verify(trail)


def settings_of(trail: SignedTrail) -> dict[str, object]:
    url = trail.settings.url.render_as_string(hide_password=False)
    return {"AUDIT_DATABASE_URL": url, "AUDIT_DATA_DIR": str(trail.folder)}


def test_logins_go_on_while_much_is_erased(trail: SignedTrail, recorder: Recorder) -> None:
    recorder.record_all(LoginFactory.copies(5 * erasing.CHUNK, username=NAME))
    trail.sign()
    waits: list[float] = []
    ended, begun = Event(), Event()

    def log_in() -> None:
        while not ended.is_set():
            started = time.monotonic()
            LoginFactory.create(username="grace")
            waits.append(time.monotonic() - started)
            begun.set()

    writer = Thread(target=log_in)
    writer.start()
    assert begun.wait(20)
    try:
        succeed(*ERASE)
    finally:
        ended.set()
        writer.join()
    trail.sign()
    verify(trail)
    names = [row.username for row in stored(trail, LOGINS)]
    assert (names.count(None), names.count("grace"), NAME in names) == (5 * erasing.CHUNK, len(waits), False)
    assert not (trail.folder.parent / "spool.db").exists() or not Spool(trail.folder.parent / "spool.db").is_waiting()
    assert len(waits) > 20
    assert max(waits) < 5


def test_two_erasures_at_once_erase_both_groups(trail: SignedTrail) -> None:
    fill()
    trail.sign()
    (seq,) = [row.seq for row in stored(trail, LOGINS) if row.username == NAME]
    who, where = (erasing.Erasing([group], ACTOR, "test") for group in Group)
    found = Found(LOGINS, [seq], datetime.now(UTC), datetime.now(UTC))
    database = Database(trail.settings.url)
    other = Thread(target=lambda: erase(database, found, where, lambda _count: None))
    with trail.database.write() as connection:
        assert erasing.erase_within(connection, LOGINS, [seq], who) == 1
        other.start()
        if is_postgresql(connection):
            locks = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            wait_until(lambda: connection.scalar(locks), "the other erasure does not wait")
    other.join()
    database.close()
    with trail.database.read() as connection:
        leaf = read_leaves(connection, seq, seq)[seq]
    assert leaf.opening == 2 * ERASED
    trail.sign()
    verify(trail)

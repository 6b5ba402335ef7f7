"""The proofs by fault, short. ``make test-faults`` runs the long ones."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import time_machine
from sqlalchemy import Engine, select

from audit_service import LoginAudit, create_app
from audit_service.errors import AuditUnavailable, IdTakenError
from audit_service.events.base import NewEvent
from audit_service.events.logins import NewLogin
from audit_service.settings.table import Settings
from audit_service.signals import login_signal
from audit_service.storage.models import LoginEvent
from audit_service.trail.keeper import is_poison
from audit_service.trail.link import Link
from audit_service.trail.recorder import Recorder
from audit_service.trail.spool import Spool
from tests import faults
from tests.factories import LoginFactory
from tests.support.children import context, record_many
from tests.support.databases import migrated, without_postgres
from tests.support.fault_tools import assert_nothing_lost, read_trail, wait_for_empty_spool
from tests.support.postgres import NoPostgresError, Postgres, private_postgres
from tests.support.server import environment


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL that may be killed."""
    try:
        with private_postgres() as server:
            yield server
    except NoPostgresError as error:
        without_postgres(error)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    return tmp_path


def test_killed_workers(database_url: str, tmp_path: Path) -> None:
    faults.kill_workers(database_url, tmp_path, 2, workers=2)


def test_killed_postgres(server: Postgres, tmp_path: Path) -> None:
    faults.kill_postgres(server, tmp_path, 2)


def test_hung_postgres(server: Postgres, tmp_path: Path) -> None:
    faults.hang_postgres(server, tmp_path, 1)


def test_hung_postgres_where_the_account_is_read(server: Postgres, tmp_path: Path) -> None:
    answers = faults.hang_at_password(server, tmp_path)
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) <= faults.TIMEOUT + 0.5, answers


def test_a_killed_main_process(database_url: str, tmp_path: Path) -> None:
    faults.kill_main_process(database_url, tmp_path, 2)


def test_a_stop_under_load(database_url: str, tmp_path: Path) -> None:
    faults.stop_under_load(database_url, tmp_path)


def test_connection_cut_after_the_commit(server: Postgres, tmp_path: Path) -> None:
    faults.cut_after_commit(server, tmp_path, 3)


def test_full_disk_of_sqlite(disk: Path) -> None:
    faults.fill_disk_of_sqlite(disk, 1)


def test_full_disk_of_the_spool(server: Postgres, disk: Path) -> None:
    faults.fill_disk_of_spool(server, disk, 1)


def test_the_clock_set_back_an_hour(recorder: Recorder, database_url: str) -> None:
    before = LoginFactory()
    with time_machine.travel(before.timestamp - timedelta(hours=1)):
        back = LoginFactory()
    after = LoginFactory()
    assert back.timestamp < before.timestamp
    assert read_trail(database_url).ids == [str(event.id) for event in (before, back, after)]


def test_one_id_a_hundred_times_in_parallel(recorder: Recorder, database_url: str) -> None:
    event = LoginFactory.build()
    with ThreadPoolExecutor(20) as threads:
        ids = list(threads.map(recorder.record, [event] * 100))
    assert set(ids) == {event.id}
    LoginFactory()
    trail = read_trail(database_url)
    assert (trail.size, trail.ids[0]) == (2, str(event.id))


def test_a_poisonous_event_does_not_fail_its_neighbours(
    recorder: Recorder, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good = LoginFactory.build_batch(20)
    poison = LoginFactory.build(app=None)
    with ThreadPoolExecutor(21) as threads:
        answers = [threads.submit(recorder.record, event) for event in [*good[:10], poison, *good[10:]]]
    failed = [answer.exception() for answer in answers if answer.exception()]
    assert [type(error) for error in failed] == [AuditUnavailable]
    assert_nothing_lost(database_url, [str(event.id) for event in good])
    recorder.stop()
    assert str(poison.id) in capfd.readouterr().err


def test_a_damaged_event_in_the_spool_is_set_aside(recorder: Recorder, database_url: str, tmp_path: Path) -> None:
    replay_with(LoginFactory.build(app=None), recorder, database_url, tmp_path)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_poisonous_event_in_the_spool_is_set_aside(recorder: Recorder, database_url: str, tmp_path: Path) -> None:
    """On PostgreSQL only: SQLite takes any text."""
    replay_with(LoginFactory.build(remote_addr="no address", network=None), recorder, database_url, tmp_path)


def test_an_event_in_the_spool_whose_id_is_taken_is_set_aside(
    recorder: Recorder, database_url: str, engine: Engine, tmp_path: Path
) -> None:
    stored = LoginFactory()
    replay_with(msgspec.structs.replace(stored, username="other"), recorder, database_url, tmp_path)
    with sqlite3.connect(tmp_path / "spool.db") as file:
        assert file.execute("SELECT error FROM rejected").fetchall() == [
            ("IdTakenError('another event is stored under this id')",)
        ]
    file.close()
    with engine.connect() as connection:
        names = connection.execute(select(LoginEvent.username).where(LoginEvent.id == stored.id)).scalars().all()
    assert names == [stored.username]


def test_the_same_event_in_the_spool_and_in_the_trail_is_one(
    recorder: Recorder, database_url: str, tmp_path: Path
) -> None:
    stored, new = LoginFactory(), LoginFactory.build()
    Spool(tmp_path / "spool.db").add([stored, new, new], time.monotonic() + 5)
    wait_for_empty_spool(tmp_path / "spool.db")
    assert read_trail(database_url).ids == [str(stored.id), str(new.id)]


def test_recording_under_a_taken_id_raises(recorder: Recorder, database_url: str) -> None:
    events = LoginFactory.build_batch(3)
    recorder.record(events[1])
    other = msgspec.structs.replace(events[1], username="other")
    with pytest.raises(IdTakenError) as raised:
        recorder.record_all([events[0], other, events[2]])
    assert raised.value.places == [1]
    assert_nothing_lost(database_url, [str(event.id) for event in events])
    assert (recorder.counters.recorded, recorder.counters.refused, recorder.counters.spooled) == (3, 0, 0)


def replay_with(poison: NewLogin, recorder: Recorder, database_url: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    good = LoginFactory.build_batch(3)
    spool.add([good[0], poison, good[1], good[2]], time.monotonic() + 5)
    recorder.start()
    deadline = time.monotonic() + 20
    while spool.state()[::2] != (0, 1):  # none waits, one is rejected
        assert time.monotonic() < deadline, spool.state()
        time.sleep(0.02)
    assert_nothing_lost(database_url, [str(event.id) for event in good])


def test_a_raising_foreign_receiver_never_makes_a_success_without_a_row(
    config: dict[str, object], database_url: str
) -> None:
    app = create_app({**config, "AUDIT_LOGIN": "passwordless", "PROPAGATE_EXCEPTIONS": False})
    raised = []

    def raising(_sender: object, *, username: str, **_: object) -> None:
        if username != "fine":
            raised.append(username)
            raise ZeroDivisionError

    with login_signal.connected_to(raising):
        for username in ("fine", "bad", "worse"):
            answer = app.test_client().post("/login/", data={"username": username})
            if username == "fine":
                assert answer.status_code == 200
                assert answer.get_json()["event"] in read_trail(database_url).ids
            else:
                assert answer.status_code == 500
                assert "Set-Cookie" not in answer.headers
    assert raised == ["bad", "worse"]
    LoginAudit.close(app)


def test_events_are_set_aside_again_and_again(recorder: Recorder, database_url: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    link = Link(recorder.url, 2)
    for n in range(1, 4):
        spool.add([LoginFactory.build(app=None), LoginFactory.build()], time.monotonic() + 5)
        assert list(spool.replay(lambda batch: link.append(batch, time.monotonic() + 5), is_poison)) == [1]
        assert spool.state()[::2] == (0, n)
    link.close()
    assert read_trail(database_url).size == 3


def test_a_user_cannot_make_poison_look_like_a_lost_database(recorder: Recorder, database_url: str) -> None:
    with pytest.raises(AuditUnavailable):
        recorder.record(LoginFactory.build(app=None, username="seq"))
    LoginFactory()
    assert (recorder.counters.spooled, read_trail(database_url).size) == (0, 1)


QUEUE_AND_EXIT = """
import sys, threading, time
from pathlib import Path
from audit_service.settings.table import Settings
from audit_service.trail.keeper import is_poison
from audit_service.trail.link import Link
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory

recorder = Recorder(Settings(database_url=sys.argv[1]).url, spool_path=Path(sys.argv[2]))
while recorder.queue_length() < 25:
    threading.Thread(target=recorder.record, args=(LoginFactory.build(),), daemon=True).start()
    time.sleep(0.001)
print("queued", flush=True)
"""


def test_the_end_of_the_process_stores_what_is_queued(database_url: str, engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:  # the trail is locked: events pile up in the queue
        connection.exec_driver_sql("UPDATE trail_head SET size = size")
        command = [sys.executable, "-c", QUEUE_AND_EXIT, database_url, str(tmp_path / "spool.db")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent.parent)
        assert process.stdout is not None
        assert process.stdout.readline() == "queued\n"
    process.communicate(timeout=20)
    assert process.returncode == 0
    stored = read_trail(database_url).size + Spool(tmp_path / "spool.db").state().length
    assert stored >= 25


def test_two_processes_start_together_on_a_new_sqlite_file(tmp_path: Path) -> None:
    environ = environment({"AUDIT_DATA_DIR": tmp_path / "data"})
    command = [sys.executable, "-m", "audit_service.cli", "setup"]
    processes = [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum("password" in output for output, _errors in outputs) == 1


def test_processes_share_one_trail(database_url: str, engine: Engine, tmp_path: Path) -> None:
    processes = [context().Process(target=record_many, args=(name, database_url, tmp_path, 50)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    wait_for_empty_spool(tmp_path / "spool.db")
    assert read_trail(database_url).positions == list(range(1, 151))
    with engine.connect() as connection:
        rows = connection.execute(select(LoginEvent.app, LoginEvent.username).order_by(LoginEvent.seq)).all()
    for name in "abc":  # who records the next only when the last is committed finds them in that order
        assert [int(row.username) for row in rows if row.app == name] == list(range(50))


def test_a_recorder_made_before_a_fork_works_after_it(recorder: Recorder, database_url: str) -> None:
    LoginFactory()
    child = os.fork()
    if child == 0:
        try:
            recorder.record(LoginFactory.build())
            recorder.stop()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    LoginFactory()
    assert read_trail(database_url).positions == [1, 2, 3]


def test_stop_stores_what_is_queued(database_url: str, engine: Engine, tmp_path: Path) -> None:
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=tmp_path / "spool.db", timeout=20)
    recorder.record(LoginFactory.build())
    events = LoginFactory.build_batch(20)
    with ThreadPoolExecutor(21) as threads:
        with engine.begin() as connection:  # the trail is locked: the first waits for it, the others in the queue
            connection.exec_driver_sql("UPDATE trail_head SET size = size")
            answers = [threads.submit(recorder.record, event) for event in events]
            deadline = time.monotonic() + 10
            while recorder.queue_length() < 10:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            stopping = threads.submit(recorder.stop)
        stopping.result()
    assert_nothing_lost(database_url, [str(answer.result()) for answer in answers])


def test_more_than_the_queue_holds_is_refused_at_once(database_url: str, engine: Engine, tmp_path: Path) -> None:
    recorder = Recorder(Settings(database_url=database_url).url, queue_limit=5, timeout=1)
    first = LoginFactory.build()
    recorder.record(first)
    with engine.begin() as connection:  # nobody else can write now
        connection.exec_driver_sql("UPDATE trail_head SET size = size")
        with ThreadPoolExecutor(30) as threads:
            answers = [threads.submit(recorder.record, event) for event in LoginFactory.build_batch(30)]
        errors = [str(answer.exception()) for answer in answers]
        recorder.stop()  # else one that was answered too early might be stored all the same
    assert 0 < sum("AUDIT_QUEUE_LIMIT" in error for error in errors) < 30
    assert recorder.counters.refused == 30
    assert read_trail(database_url).ids == [str(first.id)]


def test_without_a_spool_nothing_is_promised(empty_database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder(Settings(database_url=empty_database_url).url, timeout=0.5)
    event = LoginFactory.build()
    with pytest.raises(AuditUnavailable):
        recorder.record(event)
    recorder.stop()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert msgspec.json.decode(line)["event"]["id"] == str(event.id)


@pytest.mark.parametrize("record", [Recorder.record_all, Recorder.record_in_spool])
def test_events_without_threads_are_told_of(
    record: Callable[[Recorder, Sequence[NewEvent]], None],
    database_url: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As at the end of the interpreter, or where the system has no more threads."""

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    recorder = Recorder(Settings(database_url=database_url).url)
    events = LoginFactory.build_batch(2)
    for given in (events[:1], events[1:], events):
        with pytest.raises(AuditUnavailable, match="threads"):
            record(recorder, given)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [msgspec.json.decode(line)["event"]["id"] for line in lines] == [str(event.id) for event in events] * 2
    assert recorder.counters.refused == 2  # each try to start counts anew


def test_what_was_spooled_is_replayed_after_a_restart(empty_database_url: str, tmp_path: Path) -> None:
    url = Settings(database_url=empty_database_url).url
    recorder = Recorder(url, spool_path=tmp_path / "spool.db", timeout=0.5)
    ids = [str(recorder.record(event)) for event in LoginFactory.build_batch(5)]
    recorder.stop()
    assert recorder.counters.spooled == Spool(tmp_path / "spool.db").state().length == 5
    migrated(empty_database_url)
    later = Recorder(url, spool_path=tmp_path / "spool.db")
    later.start()
    wait_for_empty_spool(tmp_path / "spool.db")
    later.stop()
    assert read_trail(empty_database_url).ids == ids

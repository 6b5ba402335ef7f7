"""SQLite files that are moved away, replaced, missing; and who may read what is made."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from audit_service.settings.table import Settings
from audit_service.storage import sqlite_file
from audit_service.storage.database import make_engine
from audit_service.storage.models import LoginEvent
from audit_service.trail.link import Link
from audit_service.trail.recorder import Recorder
from audit_service.trail.turnstile import Turnstile, TurnTimeout
from tests.factories import LoginFactory
from tests.support.apps import SECRET_KEY
from tests.support.fault_tools import log_in_once, read_trail, wait_for_empty_spool
from tests.support.server import environment, running_service

SOON = 1e12  # a deadline that nobody meets


@pytest.fixture
def backend() -> str:
    """Only SQLite keeps a trail in a file of ours."""
    return "sqlite"


@pytest.fixture
def database(database_url: str) -> Path:
    return Path(database_url.removeprefix("sqlite:///"))


def stored(path: Path) -> list[str]:
    """The ids of the logins in a copy of the file alone, without what lies beside it."""
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    return read_trail(f"sqlite:///{copy}").ids


def test_a_missing_file_is_not_made_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    engine = make_engine(Settings(database_url=f"sqlite:///{tmp_path}/no.db").url)
    with pytest.raises(OperationalError, match=r"cannot open .*/no.db: there is no such file; put it back") as error:
        engine.connect()
    assert "audit-service migrate" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "it is no file"),
        (lambda path: shutil.rmtree(path.parent), "there is no such folder"),
    ],
)
def test_why_a_file_cannot_be_opened(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    path = tmp_path / "folder" / "a.db"
    path.parent.mkdir()
    make(path)
    with pytest.raises(sqlite3.OperationalError, match=f"{path}: {reason}; the remedy"):
        sqlite_file.connect(path, "the remedy")


def test_the_file_that_is_moved_away_is_whole_and_the_one_in_its_place_is_its_own(
    database: Path, recorder: Recorder, sqlite_template: Path
) -> None:
    before = LoginFactory.create_batch(3)
    moved = database.rename(database.with_name("moved.db"))
    shutil.copyfile(sqlite_template, database)
    after = LoginFactory.create_batch(2)
    assert stored(moved) == [str(event.id) for event in before]
    assert read_trail(f"sqlite:///{database}").ids == [str(event.id) for event in after]
    assert recorder.counters.spooled == 0


def test_what_happens_while_the_file_is_away_is_stored_when_it_is_back(database: Path, recorder: Recorder) -> None:
    events = LoginFactory.create_batch(2)
    moved = database.rename(database.with_name("moved.db"))
    events += LoginFactory.create_batch(2)
    assert not database.exists()
    assert recorder.counters.spooled == 2
    moved.rename(database)
    wait_for_empty_spool(database.with_name("spool.db"))
    assert read_trail(f"sqlite:///{database}").ids == [str(event.id) for event in events]


def test_a_file_that_is_put_back_while_it_is_left_keeps_its_log(database: Path) -> None:
    """Others may use it again by then: to remove their ``-wal`` would spoil the file."""
    connection, other = sqlite_file.connect(database, ""), sqlite3.connect(database)
    other.execute("UPDATE trail_head SET size = size")
    other.commit()
    moved = database.rename(database.with_name("moved.db"))

    class Returning(sqlite_file.FileConnection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            try:
                return super().execute(sql, *parameters)
            finally:
                if "wal_checkpoint" in sql:
                    moved.rename(database)

    connection.__class__ = Returning
    connection.close()
    assert database.with_name(f"{database.name}-wal").exists()
    other.close()


def test_a_file_that_is_replaced_between_the_look_and_the_commit(database: Path, sqlite_template: Path) -> None:
    """What was committed to a file that is gone by then does not count as stored: it is stored again."""
    link, event = Link(Settings(database_url=f"sqlite:///{database}").url, 2), LoginFactory.build()
    link.probe(SOON)

    def replace(_connection: object) -> None:
        database.rename(database.with_name("moved.db"))
        shutil.copyfile(sqlite_template, database)

    sqlalchemy_event.listen(link._engine, "commit", replace, once=True)
    link.append([event], SOON)
    link.close()
    assert read_trail(f"sqlite:///{database}").ids == [str(event.id)]


@pytest.mark.parametrize("name", ["-wal", "-shm"])
def test_what_lies_beside_the_file_is_removed(database: Path, recorder: Recorder, name: str) -> None:
    events = LoginFactory.create_batch(2)
    database.with_name(f"{database.name}{name}").unlink()
    events += LoginFactory.create_batch(2)
    recorder.stop()
    assert stored(database) == [str(event.id) for event in events]


def test_a_new_file_is_opened_by_several_at_once(tmp_path: Path) -> None:
    barrier = threading.Barrier(3)

    def connect(path: Path) -> sqlite_file.FileConnection:
        barrier.wait(10)
        return sqlite_file.connect(path, "")

    with ThreadPoolExecutor(3) as pool:
        for number in range(200):
            path = tmp_path / f"{number}.db"
            path.touch(0o600)
            for connection in list(pool.map(connect, [path] * 3)):
                connection.really_close()


def test_a_pool_does_not_read_in_a_file_that_was_moved(database: Path, sqlite_template: Path) -> None:
    engine = make_engine(Settings(database_url=f"sqlite:///{database}").url, writes=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_the_old (x INTEGER)"))
    database.rename(database.with_name("moved.db"))
    shutil.copyfile(sqlite_template, database)
    with engine.connect() as connection:
        assert connection.execute(select(LoginEvent)).all() == []
        with pytest.raises(OperationalError, match="no such table: of_the_old"):
            connection.execute(text("SELECT * FROM of_the_old"))
    engine.dispose()


def test_a_removed_lock_file_lets_two_writers_in_once_and_not_for_ever(database: Path) -> None:
    first, second = Turnstile(database), Turnstile(database)
    with first.passed(SOON):
        pass
    for name in ("next", "turn"):
        database.with_name(f"{database.name}-{name}").unlink()
    with second.passed(SOON), pytest.raises(TurnTimeout), first.passed(0):
        pass
    first.close()
    second.close()


def modes_in(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


def test_what_a_run_leaves_is_for_its_owner_only(tmp_path: Path) -> None:
    """A run with the usual umask, of everything that makes files."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    url = f"sqlite:///{folder}/named.db"
    settings = {"AUDIT_DATABASE_URL": url, "AUDIT_DATA_DIR": folder, "AUDIT_SECRET_KEY": SECRET_KEY}
    before = os.umask(0o022)
    try:
        command = [sys.executable, "-m", "audit_service.cli", "setup"]
        subprocess.run(command, env=environment(settings), check=True, capture_output=True)
        with running_service({**settings, "AUDIT_LOGIN": "passwordless"}) as service:
            assert log_in_once(service)[0] == 200
            modes = modes_in(folder)
            (folder / "named.db").rename(folder / "away.db")
            assert log_in_once(service)[0] == 200
            modes |= modes_in(folder)
    finally:
        os.umask(before)
    assert {"named.db", "named.db-wal", "spool.db", "spool.db-wal", "spool.db-shm", "named.db-turn"} <= set(modes)
    assert set(modes.values()) == {"0o600"}, modes

"""Turns of those who write one SQLite file."""

import fcntl
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit_service.trail.turnstile import Turnstile, TurnTimeout, is_at
from tests.support.children import context, hold_a_turn
from tests.support.waiting import wait_until


def soon() -> float:
    return time.monotonic() + 20


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_turn_that_does_not_come_is_given_up_in_time(database: Path) -> None:
    first, second = Turnstile(database), Turnstile(database)
    with first.passed(soon()):
        started = time.monotonic()
        with pytest.raises(TurnTimeout, match="another process holds the write lock"), second.passed(started + 0.1):
            pass
        assert time.monotonic() - started >= 0.1
    with second.passed(0):  # who gave up is not in the way, and neither is who is done
        pass
    first.close()
    second.close()


def test_a_waiting_writer_comes_before_the_last_one(database: Path) -> None:
    first, second = Turnstile(database), Turnstile(database)
    order: list[str] = []

    def take(turnstile: Turnstile, name: str) -> None:
        with turnstile.passed(soon()):
            order.append(name)

    with ThreadPoolExecutor(1) as threads:
        with first.passed(soon()):
            waiting = threads.submit(take, second, "who waited")
            wait_until(lambda: is_locked(database.with_name("audit.db-next")), "the second does not wait")
        take(first, "who had just written")
        waiting.result()
    assert order == ["who waited", "who had just written"]
    first.close()
    second.close()


def test_a_turn_ends_with_an_error_and_with_its_lock_files(database: Path) -> None:
    first, second = Turnstile(database), Turnstile(database)
    with pytest.raises(ZeroDivisionError), first.passed(soon()):
        raise ZeroDivisionError
    with first.passed(soon()):
        first.close()
        with second.passed(0):
            pass
    second.close()


def test_a_turn_ends_with_its_process(database: Path) -> None:
    holds: multiprocessing.synchronize.Event = context().Event()
    process = context().Process(target=hold_a_turn, args=(database, holds))
    process.start()
    assert holds.wait(20)
    turnstile = Turnstile(database)
    with pytest.raises(TurnTimeout), turnstile.passed(0):
        pass
    process.kill()
    process.join()
    with turnstile.passed(soon()):
        pass
    turnstile.close()


def test_whether_an_open_file_is_still_the_one_at_its_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    file = os.open(path, os.O_RDONLY)
    assert is_at(file, path)
    path.rename(tmp_path / "moved")
    assert not is_at(file, path)
    path.touch()
    assert not is_at(file, path)
    (tmp_path / "moved").replace(path)
    assert is_at(file, path)
    os.close(file)


def test_lock_files_that_were_removed_are_made_anew(database: Path) -> None:
    first, second = Turnstile(database), Turnstile(database)
    with first.passed(soon()):
        pass
    for name in ("next", "turn"):
        database.with_name(f"audit.db-{name}").unlink()
    with second.passed(soon()), pytest.raises(TurnTimeout), first.passed(0):
        pass
    first.close()
    second.close()


@pytest.mark.parametrize("name", ["next", "turn"])
def test_lock_files_are_the_owners_and_no_links_are_followed(database: Path, tmp_path: Path, name: str) -> None:
    path = database.with_name(f"audit.db-{name}")
    path.symlink_to(tmp_path / "elsewhere")
    turnstile = Turnstile(database)
    with pytest.raises(OSError, match="symbolic links"), turnstile.passed(0):
        pass
    assert not (tmp_path / "elsewhere").exists()
    path.unlink()
    with turnstile.passed(0):
        assert path.stat().st_mode & 0o777 == 0o600
    turnstile.close()

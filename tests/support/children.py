"""What tests run in processes of their own, which are forked from one that has imported only this."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from audit_service.access.refusals import Key, RefusalCounter, add_counts
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine, make_writer
from audit_service.trail.recorder import Recorder
from audit_service.trail.turnstile import Turnstile
from tests.factories import LoginFactory


@cache
def context() -> ForkServerContext:
    """Return the context whose processes share nothing with the tests, and whose start takes no imports."""
    made = get_context("forkserver")
    made.set_forkserver_preload([__name__])
    return made


def record_many(name: str, database_url: str, folder: Path, count: int) -> None:
    """Record logins of the app *name*, each when the last is stored; their names count from 0."""
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=folder / "spool.db")
    for n in range(count):
        recorder.record(LoginFactory.build(app=name, username=str(n)))
    recorder.stop()


def record_lists(database_url: str, folder: str, name: str, count: int) -> None:
    """Record lists of one to three logins as fast as they are stored."""
    spool = Path(folder) / f"{name}.db"
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=spool, timeout=10)
    for n in range(count):
        recorder.record_all([LoginFactory.build(username=name) for _ in range(1 + n % 3)])
    recorder.stop()
    sys.exit(0)


def count_many(
    database_url: str, keys: tuple[Key, ...], threads: int, times: int, together: Barrier | None = None
) -> None:
    """Do what one process does in a flood; begin when the others do."""
    engine = make_engine(Settings(database_url=database_url).url)
    counter = RefusalCounter(partial(add_counts, make_writer(engine)))
    if together:
        together.wait(60)
    with ThreadPoolExecutor(threads) as pool:
        counted = [pool.submit(counter.count, key) for _ in range(times) for key in keys]
    for each in counted:
        each.result()
    engine.dispose()


def hold_a_turn(database: Path, holds: Event) -> None:
    """Hold the turn of a SQLite file until this process is killed."""
    with Turnstile(database).passed(time.monotonic() + 20):
        holds.set()
        time.sleep(600)

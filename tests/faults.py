"""The proofs by fault. ``make test-faults`` runs them long, ``tests/trail/test_faults.py`` runs them short.

In each, clients keep the id of every login that was answered with 200, while something is killed, hung, filled or cut.
Afterwards the trail must hold each of those ids once, at positions 1…n.
"""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.storage.models import LoginEvent
from audit_service.trail.spool import Spool
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.report import Verdict
from audit_service.verifying.walk import verify
from audit_service.vocabulary import Reason, Scope
from tests.support import plain_http
from tests.support.accounts import ACTOR
from tests.support.apps import SECRET_KEY
from tests.support.databases import migrated
from tests.support.fault_tools import (
    Clients,
    CuttingProxy,
    Trail,
    assert_nothing_lost,
    filled,
    log_in_once,
    small_disk,
    wait_for_empty_spool,
)
from tests.support.postgres import NoPostgresError, Postgres, free_port, private_postgres
from tests.support.server import START_TIMEOUT, Service, is_alive, started_service
from tests.support.signed_trail import SignedTrail
from tests.support.waiting import wait_until

TIMEOUT = 2.0  # AUDIT_WRITE_TIMEOUT
WORKERS = 4
CRASH_LOOP = 6.0  # seconds: granian gives up when a worker that it replaced ends within 5.5 s
NOTICED = 2.5  # seconds within which every process has noticed that a file was moved: each looks once a second
Progress = Callable[[int], None]


def settings(database_url: str, folder: Path, **more: object) -> dict[str, object]:
    return {
        "AUDIT_DATABASE_URL": database_url,
        "AUDIT_DATA_DIR": str(folder),
        "AUDIT_SECRET_KEY": SECRET_KEY,
        "AUDIT_LOGIN": "passwordless",
        "AUDIT_WRITE_TIMEOUT": TIMEOUT,
        "AUDIT_WORKERS": 2,
        **more,
    }


def settle(database_url: str, folder: Path, clients: Clients) -> Trail:
    wait_for_empty_spool(folder / "spool.db")
    return assert_nothing_lost(database_url, clients.acknowledged)


def signed(database_url: str, folder: Path) -> dict[str, object]:
    """Begin the log of a trail; return the settings by which the service signs it each second."""
    with closing(SignedTrail(database_url, folder)) as log:
        log.sign()
    return settings(database_url, folder, AUDIT_SIGNER="on", AUDIT_SIGN_INTERVAL=1)


def assert_proven(database_url: str, folder: Path, size: int) -> None:
    """The signer of the service signs so many events, and took no fault for a change of the history."""
    with closing(SignedTrail(database_url, folder)) as log:
        wait_until(lambda: log.newest().size >= size, f"{size} events are not signed")
        report = verify(DatabaseOpener(log.settings.url), Trust([log.verifier]))
        assert report.verdict is Verdict.PROVEN, report.text()
        assert log.log().problem is None


def kill_workers(
    database_url: str, folder: Path, times: int, progress: Progress = lambda _: None, workers: int = WORKERS
) -> str:
    """Kill -9 a worker under load, again and again."""
    with started_service(settings(database_url, folder, AUDIT_WORKERS=workers)) as service:
        with Clients(service.url) as clients:
            for n in range(times):
                clients.wait_for(20)
                os.kill(oldest_worker(service, clients, workers, is_first_round=n < workers), signal.SIGKILL)
                progress(1)
            clients.wait_for(20)
        trail = settle(database_url, folder, clients)
    return f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail, {clients.broken} connections broken"


def oldest_worker(service: Service, clients: Clients, count: int, *, is_first_round: bool) -> int:
    """The worker that lives longest, once all live again; and long enough not to look like a crash loop to granian."""
    deadline = time.monotonic() + 30
    while True:
        workers = service.workers()
        oldest = max(workers, key=age, default=0)
        if len(workers) == count and (is_first_round or age(oldest) > CRASH_LOOP):
            return oldest
        assert time.monotonic() < deadline, "a killed worker is not replaced"
        clients.wait_for(1)


def age(pid: int) -> float:
    """Seconds since the process started."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except OSError:
        return 0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def kill_postgres(server: Postgres, folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """End the whole PostgreSQL, by kill -9 and by an immediate stop in turns, and start it again."""
    url = migrated(server.url())
    with started_service(signed(url, folder)) as service:
        with Clients(service.url) as clients:
            for n in range(times):
                clients.wait_for(50)
                if n % 2:
                    server.stop("immediate")
                else:
                    server.kill()
                clients.wait_for(50)  # into the spool
                start_again(server)
                progress(1)
            clients.wait_for(50)
        trail = settle(url, folder, clients)
        assert_proven(url, folder, trail.size)
    assert set(clients.statuses) == {200}, clients.statuses
    return f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail, slowest {clients.slowest:.2f} s"


def start_again(server: Postgres) -> None:
    """Start the server; what a kill left behind holds its memory for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return server.start()
        except NoPostgresError:
            assert time.monotonic() < deadline, (server.folder / "log").read_text()[-2000:]
            time.sleep(0.1)


def hang_postgres(server: Postgres, folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """Stop all processes of PostgreSQL with SIGSTOP: it takes connections and answers nothing. Then let it go on."""
    url = migrated(server.url())
    with started_service(signed(url, folder)) as service:
        with Clients(service.url) as clients:
            for _ in range(times):
                clients.wait_for(50)
                server.signal(signal.SIGSTOP)
                try:
                    clients.wait_for(500)
                finally:
                    server.signal(signal.SIGCONT)
                progress(1)
            clients.wait_for(50)
        trail = settle(url, folder, clients)
        assert_proven(url, folder, trail.size)
    assert clients.slowest <= TIMEOUT + 0.5, f"an answer took {clients.slowest:.2f} s"
    assert set(clients.statuses) == {200}, clients.statuses
    return f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail, slowest {clients.slowest:.2f} s"


def hang_at_password(server: Postgres, folder: Path) -> list[tuple[int, float]]:
    """Stop PostgreSQL where a login waits for the account to be read; return the statuses and times of the answers.

    Each attempt is in the trail afterwards.
    """
    url = migrated(server.url())
    answers = []
    with started_service(settings(url, folder, AUDIT_LOGIN="password")) as service:
        expect_status(service.url, 401)
        server.signal(signal.SIGSTOP)
        try:
            for _ in range(6):
                started = time.monotonic()
                status, _ = log_in_once(service.url)
                answers.append((status, time.monotonic() - started))
        finally:
            server.signal(signal.SIGCONT)
        expect_status(service.url, 401)
        wait_for_empty_spool(folder / "spool.db")
    engine = make_engine(Settings(database_url=url).url)
    with engine.connect() as connection:
        reasons = connection.execute(select(LoginEvent.reason)).scalars().all()
    engine.dispose()
    assert reasons.count(Reason.PROVIDER_ERROR) >= len(answers), reasons
    return answers


def expect_status(url: str, status: int) -> None:
    deadline = time.monotonic() + 20
    while (answered := log_in_once(url)[0]) != status:
        assert time.monotonic() < deadline, f"still {answered}"
        time.sleep(0.05)


def kill_main_process(database_url: str, folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """Kill the process that made the workers, and start the service again on the same port at once.

    As long as the workers that were left live, it is they that answer.
    """
    config = settings(database_url, folder, AUDIT_PORT=free_port())
    longest = 0.0
    with ExitStack() as services:
        service = services.enter_context(started_service(config))
        with Clients(service.url) as clients:
            for n in range(times):
                clients.wait_for(20)
                left = service.workers()
                service.kill((signal.SIGKILL, signal.SIGQUIT)[n % 2])
                started = time.monotonic()
                service = services.enter_context(started_service(config))
                while any(map(is_alive, left)):
                    assert time.monotonic() < started + START_TIMEOUT, "workers outlive the process that made them"
                    time.sleep(0.01)
                clients.wait_for(20)
                longest = max(longest, time.monotonic() - started)
                progress(1)
    trail = settle(database_url, folder, clients)
    counted = f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail"
    return f"{counted}, {clients.broken} connections broken, up again within {longest:.1f} s"


def stop_under_load(database_url: str, folder: Path) -> str:
    """Stop the service with SIGTERM while clients log in."""
    with started_service(settings(database_url, folder)) as service, Clients(service.url) as clients:
        clients.wait_for(100)
        service.process.terminate()
        service.process.wait(timeout=20)
    trail = settle(database_url, folder, clients)
    return f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail"


def cut_after_commit(server: Postgres, folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """Cut the connection right after the commit was sent: the event is stored, and nobody heard of it."""
    url = migrated(server.url())
    with CuttingProxy(server.port) as proxy:
        cut_url = url.replace(f":{server.port}/", f":{proxy.port}/")
        with started_service(settings(cut_url, folder)) as service:
            with Clients(service.url) as clients:
                for n in range(times):
                    clients.wait_for(20)
                    proxy.cuts_wanted = 1
                    deadline = time.monotonic() + 30
                    while proxy.cuts <= n:
                        assert time.monotonic() < deadline, "nothing to cut"
                        time.sleep(0.01)
                    progress(1)
                clients.wait_for(20)
            trail = settle(url, folder, clients)
    assert set(clients.statuses) == {200}, clients.statuses
    return f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail, {proxy.cuts} cut"


@contextmanager
def reader_of(database_url: str) -> Iterator[dict[str, str]]:
    """The headers of somebody who may read the history."""
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    with Session(engine) as session:
        token = add_token(session, f"faults {time.monotonic_ns()}", Scope.READ, by=ACTOR)
        session.commit()
    yield {"Authorization": f"Bearer {token}"}
    engine.dispose()


def fill_disk_of_sqlite(folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """Fill the disk that holds the SQLite database and the spool; free it again."""
    acknowledged: list[str] = []
    with small_disk(folder / "disk") as disk:
        url = migrated(f"sqlite:///{disk}/audit.db")
        with reader_of(url) as headers, started_service(signed(url, disk)) as service:
            for n in range(times):
                expect(service.url, 200, f"before-{n}", acknowledged)
                with filled(disk):
                    expect(service.url, 503, f"during-{n}", acknowledged, tries=200)
                    assert plain_http.get(f"{service.url}/api/logins", headers=headers).status_code == 200
                expect(service.url, 200, f"after-{n}", acknowledged, tries=600)
                progress(1)
            wait_for_empty_spool(disk / "spool.db")
            trail = assert_nothing_lost(url, acknowledged)
            assert_proven(url, disk, trail.size)
    return f"{len(acknowledged)} acknowledged, {trail.size} in the trail, reading went on"


def fill_disk_of_spool(server: Postgres, folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """With PostgreSQL away, fill the disk that holds the spool; free it again; bring PostgreSQL back."""
    acknowledged: list[str] = []
    url = migrated(server.url())
    with small_disk(folder / "disk") as disk, started_service(signed(url, disk)) as service:
        for n in range(times):
            expect(service.url, 200, f"before-{n}", acknowledged)
            server.stop("immediate")
            expect(service.url, 200, f"spooled-{n}", acknowledged)
            with filled(disk):
                expect(service.url, 503, f"during-{n}", acknowledged, tries=200)
            expect(service.url, 200, f"after-{n}", acknowledged)
            server.start()
            progress(1)
        wait_for_empty_spool(disk / "spool.db")
        trail = assert_nothing_lost(url, acknowledged)
        assert_proven(url, disk, trail.size)
    return f"{len(acknowledged)} acknowledged, {trail.size} in the trail"


def share_a_folder(server: Postgres, folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """Run two services, each with a trail of its own, in one folder; end the PostgreSQL of one again and again."""
    urls = [migrated(server.url()), migrated(f"sqlite:///{folder}/other.db")]
    with started_service(settings(urls[0], folder)) as one, started_service(settings(urls[1], folder)) as other:
        with Clients(one.url) as ours, Clients(other.url, count=2) as theirs:
            for _ in range(times):
                ours.wait_for(20)
                server.stop("immediate")
                ours.wait_for(20)  # into the spool
                theirs.wait_for(20)
                start_again(server)
                progress(1)
            ours.wait_for(20)
        trails = [settle(url, folder, clients) for url, clients in zip(urls, (ours, theirs), strict=True)]
    assert not set(ours.acknowledged) & set(trails[1].ids), "events of one are in the trail of the other"
    return " and ".join(
        f"{len(clients.acknowledged)} acknowledged, {trail.size} in the trail"
        for clients, trail in zip((ours, theirs), trails, strict=True)
    )


def swap_sqlite_file(folder: Path, times: int, progress: Progress = lambda _: None) -> str:
    """Under load, move the SQLite file away, and then another trail in its place; and so on with these two."""
    here, away = folder / "here.db", [folder / "x.db", folder / "y.db"]
    for path in away:
        migrated(f"sqlite:///{path}")
    away[0].rename(here)
    swaps = 0

    def swap(clients: Clients | None = None) -> None:
        nonlocal swaps
        here.rename(away[swaps % 2])
        if clients:
            clients.wait_for(20)  # into the spool
        time.sleep(NOTICED)
        swaps += 1
        away[swaps % 2].rename(here)

    with started_service(settings(f"sqlite:///{here}", folder)) as service:
        with Clients(service.url) as clients:
            for _ in range(times):
                clients.wait_for(30)
                time.sleep(NOTICED)
                swap(clients)
                progress(1)
            clients.wait_for(30)
        deadline = time.monotonic() + 60
        while (left := Spool(folder / "spool.db").state()).length:  # each gets its own while it is there
            assert time.monotonic() < deadline, left
            time.sleep(3)
            swap()
    trails = [assert_nothing_lost(f"sqlite:///{path}", []) for path in (here, away[(swaps + 1) % 2])]
    lost = set(clients.acknowledged) - {event_id for trail in trails for event_id in trail.ids}
    assert not lost, f"{len(lost)} of {len(clients.acknowledged)} acknowledged events are lost"
    assert set(clients.statuses) == {200}, clients.statuses
    return f"{len(clients.acknowledged)} acknowledged, {trails[0].size} and {trails[1].size} in the two trails"


def expect(url: str, status: int, username: str, acknowledged: list[str], tries: int = 1) -> None:
    """Log in until the answer has that status, at most *tries* times; add the ids of all successes on the way."""
    for _ in range(tries):
        answered, body = log_in_once(url, username)
        assert answered in (200, 503), body
        if answered == 200:
            acknowledged.append(json.loads(body)["event"])
        if answered == status:
            return
    raise AssertionError(f"no {status} in {tries} tries")


LONG: list[tuple[str, int, Callable[[Postgres, Path, int, Progress], str]]] = [
    ("kill -9 of a worker, PostgreSQL", 200, lambda s, f, n, p: kill_workers(migrated(s.url()), f, n, p)),
    ("kill -9 of a worker, SQLite", 50, lambda _, f, n, p: kill_workers(migrated(f"sqlite:///{f}/a.db"), f, n, p)),
    ("kill -9 and SIGQUIT of the main process", 20, lambda s, f, n, p: kill_main_process(migrated(s.url()), f, n, p)),
    ("kill -9 and immediate stop of PostgreSQL", 20, kill_postgres),
    ("SIGSTOP of PostgreSQL", 10, hang_postgres),
    ("connection cut after the commit", 50, cut_after_commit),
    ("disk full, SQLite", 10, lambda _, f, n, p: fill_disk_of_sqlite(f, n, p)),
    ("disk full, spool", 10, fill_disk_of_spool),
    ("immediate stop of PostgreSQL, two services in one folder", 20, share_a_folder),
    ("the SQLite file moved away and replaced", 15, lambda _, f, n, p: swap_sqlite_file(f, n, p)),
]


def main() -> None:
    """Run all of them long; print a table; exit with 1 if one failed."""
    rows = []
    for name, times, prove in LONG:
        folder = Path(tempfile.mkdtemp(prefix="audit-faults-"))
        with private_postgres() as server, click.progressbar(length=times, label=name, file=sys.stderr) as bar:
            started = time.monotonic()
            try:
                result = prove(server, folder, times, bar.update)
            except AssertionError as error:
                result = f"FAILED: {error}"
        rows.append((name, times, f"{time.monotonic() - started:.0f} s", result))
    click.echo("\n| fault | times | took | result |\n|---|---|---|---|")
    for row in rows:
        click.echo("| " + " | ".join(map(str, row)) + " |")
    failed = sum("FAILED" in row[3] for row in rows)
    click.echo(f"\n{len(rows) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

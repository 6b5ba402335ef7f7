"""What the proofs by fault need: clients that remember every acknowledgement, and the comparison with the trail."""

import asyncio
import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from sqlalchemy import select

from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent, TrailHead
from audit_service.trail.spool import Spool

ANSWER_LIMIT = 10  # seconds after which a client gives up: an answer that late is a failure by itself
SETTLE_LIMIT = 60  # seconds within which the spool must be empty once the database is back


@dataclass
class Clients:
    """Threads that log in as fast as they are answered."""

    url: str
    count: int = 8
    acknowledged: list[str] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    slowest: float = 0.0

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int, seconds: float = 60) -> None:
        """Wait until that many more logins are acknowledged."""
        target, deadline = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < target:
            assert time.monotonic() < deadline, f"no {more} acknowledgements within {seconds} s: {self.statuses}"
            time.sleep(0.01)

    def _run(self, n: int) -> None:
        done, connection = 0, None
        while not self._stop.is_set():
            connection = connection or http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=ANSWER_LIMIT)
            done += 1
            started = time.monotonic()
            try:
                status, body = log_in(connection, f"client-{n}-{done}")
            except (OSError, http.client.HTTPException):  # a worker was killed: nothing is promised
                connection.close()
                connection = None
                with self._lock:
                    self.broken += 1
                self._stop.wait(0.02)  # as long as nobody listens, to ask again and again only delays who will
                continue
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 200:
                    self.acknowledged.append(json.loads(body)["event"])
        if connection:
            connection.close()


def log_in(connection: http.client.HTTPConnection, username: str) -> tuple[int, bytes]:
    """Log in over an open connection; return the status and the body."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login/", f"username={username}", headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def log_in_once(url: str, username: str = "ada") -> tuple[int, bytes]:
    """Log in over a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_LIMIT)) as connection:
        return log_in(connection, username)


@dataclass(frozen=True)
class Trail:
    """What is in the trail: the ids of logins and errors, all positions, and its size."""

    ids: list[str]
    positions: list[int]
    size: int


def read_trail(database_url: str) -> Trail:
    engine = make_engine(Settings(database_url=database_url).url)
    rows: list[tuple[int, str]] = []
    with engine.connect() as connection:
        for model in (LoginEvent, ErrorEvent):
            rows += [(row.seq, str(row.id)) for row in connection.execute(select(model.seq, model.id))]
        admin = list(connection.execute(select(AdminEvent.seq)).scalars())
        size: int = connection.execute(select(TrailHead.size)).scalar_one()
    engine.dispose()
    rows.sort()
    return Trail([event_id for _, event_id in rows], sorted([*admin, *(seq for seq, _ in rows)]), size)


def wait_for_empty_spool(path: Path) -> None:
    deadline = time.monotonic() + SETTLE_LIMIT
    while (state := Spool(path).state()).length:  # without an identity: of all trails
        assert time.monotonic() < deadline, f"the spool is not replayed: {state}"
        time.sleep(0.05)
    assert state.rejected == 0


def assert_nothing_lost(database_url: str, acknowledged: list[str]) -> Trail:
    """Every acknowledged event is in the trail, once; and the trail is 1…n without a gap."""
    trail = read_trail(database_url)
    assert len(set(acknowledged)) == len(acknowledged), "an id was acknowledged twice"
    missing = set(acknowledged) - set(trail.ids)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged events are lost"
    assert len(set(trail.ids)) == len(trail.ids), "an event is stored twice"
    assert trail.positions == list(range(1, trail.size + 1)), "seq has a gap"
    return trail


class CuttingProxy:
    """A TCP proxy before PostgreSQL that, when told to, cuts the connection between a commit and its answer."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.cuts_wanted = 0
        self.cuts = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        serve = asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(serve, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection("127.0.0.1", self.target_port)
        holds_commit = False

        async def to_server() -> None:
            nonlocal holds_commit
            while data := await client_in.read(65536):
                holds_commit = self.cuts_wanted > 0 and b'"username":"client' in data
                server_out.write(data)
                await server_out.drain()

        async def to_client() -> None:
            while data := await server_in.read(65536):
                if holds_commit:  # the server has committed and says so; the client never hears it
                    self.cuts_wanted -= 1
                    self.cuts += 1
                    return
                client_out.write(data)
                await client_out.drain()

        pumps = [asyncio.ensure_future(to_server()), asyncio.ensure_future(to_client())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for stream in (client_out, server_out):
                stream.transport.abort()


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    """A file system of its own that is soon full. Takes root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no byte free in *folder*'s file system."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    try:
        yield
    finally:
        filler.unlink()

"""Exports whose readers stall, and those that break off: what they hold is given back, and the others can read."""

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from audit_service.api import exports, stream
from audit_service.api.places import AT_ONCE, EACH, take_place
from audit_service.app import db
from audit_service.context import Viewer, context_of
from audit_service.history import export
from audit_service.storage.dialects import is_postgresql, is_sqlite
from audit_service.vocabulary import Role
from tests.factories import LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.in_thread import serving

ROWS = 200
PATH = "/api/logins.ndjson?order=arrival"


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def held(app: Flask) -> Callable[[], int]:
    """A function that counts the connections that the app does not have back."""

    def count() -> int:
        with app.app_context():
            return int(db.engine.pool.checkedout())  # type: ignore[attr-defined]

    return count


@pytest.fixture
def filled(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """More events than a chunk has, and than the buffers on the way to a reader hold."""
    monkeypatch.setattr(export, "CHUNK", 50)
    context_of(app).recorder.record_all([LoginFactory.build(user_agent="x" * 512) for _ in range(ROWS)])


@contextlib.contextmanager
def served(app: Flask) -> Iterator[tuple[str, int]]:
    """The app behind a server that is stuck while it sends, with small buffers on the way."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with serving(server):
        yield "127.0.0.1", server.server_port


def stalled(address: tuple[str, int], token: dict[str, str]) -> socket.socket:
    """Ask for everything, and take the first bytes only."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(address)
    lines = [f"GET {PATH} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in token.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode())
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


@pytest.mark.usefixtures("filled")
def test_a_stalled_export_holds_nothing_of_the_database(
    app: Flask, token: dict[str, str], engine: Engine, held: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(app) as address, contextlib.ExitStack() as stack:
        with stalled(address, token), stalled(address, token):
            assert held() == EACH
            assert has_old_reader(engine)
        eventually(lambda: held() == 0, "the exports of readers who left go on")
        monkeypatch.setattr(stream, "STALL", 0.3)
        sockets = [stack.enter_context(stalled(address, token)) for _ in range(EACH)]
        eventually(lambda: held() == 0, "the exports of stalled readers go on")
        assert not has_old_reader(engine)
        for each in sockets:
            received = b"".join(iter(partial(each.recv, 65536), b""))
            assert b"\n{" in received
            assert received.count(b"\n{") < ROWS
    assert app.test_client().get(PATH, headers=token).text.count("\n") == ROWS


def has_old_reader(engine: Engine) -> bool:
    """Whether a transaction keeps SQLite's WAL from being reset, or PostgreSQL from cleaning up."""
    if is_postgresql(engine):
        return count_idle(engine) > 0
    with contextlib.closing(sqlite3.connect(str(engine.url.database), timeout=0)) as connection:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the time is to exports: the sum."""
    passed = [0]
    monkeypatch.setattr(stream, "PIECE", 1000)  # so that there are many of them
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: sum(passed)))
    return passed


@pytest.mark.usefixtures("filled")
def test_each_piece_has_its_time_and_the_whole_export_too(
    client: FlaskClient,
    token: dict[str, str],
    held: Callable[[], int],
    clock: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "PIECE", 1000)
    for pause, taken in ((31, 0), (29, 3600 // 29)):
        pieces = client.get(PATH, headers=token).iter_encoded()
        next(pieces)  # the client has asked for this one already
        for _ in range(taken):
            clock.append(pause)
            next(pieces)
        assert held() == 1
        clock.append(pause)
        with pytest.raises(TimeoutError, match="took 30 s for a piece, or 3600 s in all"):
            next(pieces)
        assert held() == 0


def test_users_take_no_place_of_auditors(client: FlaskClient, token: dict[str, str], accounts: dict[Role, str]) -> None:
    user, auditor = client, client.application.test_client()
    user.post("/login/", data={"username": accounts[Role.USER], "password": PASSWORD})
    auditor.post("/login/", data={"username": accounts[Role.AUDITOR], "password": PASSWORD})

    places = [take_place(Viewer(f"user {n // EACH}", Role.USER)) for n in range(AT_ONCE)]
    refused = user.get(PATH)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert f"{AT_ONCE} exports of users run already" in refused.get_json()["detail"]
    assert refused.get_json()["type"] == "/api/problems/unavailable"
    assert [client.get(PATH).status_code for client in (auditor, auditor)] == [200, 200]
    places.pop().leave()
    assert user.get(PATH).status_code == 200

    places = [take_place(Viewer(f"token:{n // EACH}", Role.AUDITOR)) for n in range(AT_ONCE)]
    for headers in (token, {}):
        refused = auditor.get(PATH, headers=headers)
        assert refused.status_code == 503
        assert f"{AT_ONCE} exports of auditors, admins and tokens run already" in refused.get_json()["detail"]
    assert user.get(PATH).status_code == 200
    del places
    assert auditor.get(PATH).status_code == 200


@pytest.mark.usefixtures("filled")
def test_a_viewer_has_few_places(client: FlaskClient, token: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(answer: TestResponse) -> str:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        return str(answer.get_json()["detail"])

    opened = [client.get(PATH, headers=token) for _ in range(EACH)]
    refused = [client.get(path, headers=token) for path in (PATH, "/api/errors.csv")]
    assert {f"you have {EACH} exports open already" in refusal(answer) for answer in refused} == {True}
    opened.pop().close()
    opened.append(client.get(PATH, headers=token))
    assert opened[-1].text.count("\n") == ROWS
    assert client.get(PATH, headers=token).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_export_that_the_server_is_stuck_with_counts_for_its_viewer_only(app: Flask) -> None:
    reader = Viewer("token:reader", Role.AUDITOR)
    stuck = [take_place(reader) for _ in range(EACH)]
    others = [take_place(Viewer(f"auditor {n}", Role.AUDITOR)) for n in range(AT_ONCE - EACH)]
    with pytest.raises(ServiceUnavailable, match="exports of auditors, admins and tokens run already"):
        take_place(Viewer("another", Role.ADMIN))
    for place in stuck:
        place.has_connection = False
    others.append(take_place(Viewer("another", Role.ADMIN)))
    with pytest.raises(ServiceUnavailable, match="you have 2 exports open already"):
        take_place(reader)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_forked_process_has_all_its_places(app: Flask) -> None:
    taken = [take_place(Viewer("reader", Role.AUDITOR)) for _ in range(EACH)]
    child = os.fork()
    if child == 0:
        try:
            take_place(Viewer("reader", Role.AUDITOR))
        except BaseException:  # noqa: BLE001 - the child must not go on with the tests
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(taken) == EACH


def count_idle(engine: Engine) -> int:
    idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        return int(connection.execute(text(idle)).scalar_one())


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("backend", ["postgresql"])
def test_postgresql_ends_the_export_of_a_process_that_hangs(
    app: Flask, token: dict[str, str], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "IDLE", 0.2)
    answer = app.test_client().get(PATH, headers=token)
    eventually(lambda: count_idle(engine) == 0, "the server lets the transaction be idle")
    with pytest.raises(DBAPIError, match="idle-in-transaction timeout"):
        list(answer.iter_encoded())


@pytest.mark.usefixtures("filled")
def test_an_export_that_breaks_off_is_an_error_event(
    app: Flask, token: dict[str, str], accounts: dict[Role, str], engine: Engine
) -> None:
    """Flask reports no exception of an answer that has begun."""
    if is_sqlite(engine):
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER login_events_no_update"))
            connection.execute(
                text("UPDATE login_events SET remote_addr = ':.' WHERE seq = (SELECT max(seq) FROM login_events)")
            )
    client = app.test_client()
    client.post("/login/", data={"username": accounts[Role.AUDITOR], "password": PASSWORD})
    answer = client.get(PATH, headers={"X-Request-ID": "export-1"}, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    if is_postgresql(engine):
        with engine.connect() as connection:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            connection.execute(text(f"{end} AND state = 'idle in transaction' AND pid <> pg_backend_pid()"))
    with pytest.raises((DBAPIError, ValueError)) as raised:
        list(answer.iter_encoded())
    (event,) = client.get("/api/errors").get_json()["items"]
    facts = ("request_id", "remote_addr", "username", "http_method", "path", "endpoint")
    expected = ("export-1", "192.0.2.7", "auditor", "GET", "/api/logins.ndjson", "audit_api.export_logins_ndjson")
    assert tuple(event[name] for name in facts) == expected
    assert event["exception_type"].endswith(type(raised.value).__name__)


@pytest.mark.usefixtures("filled")
def test_a_stalled_export_is_no_error_event(app: Flask, token: dict[str, str], clock: list[int]) -> None:
    answer = app.test_client().get(PATH, headers=token)
    clock.append(31)
    with pytest.raises(TimeoutError):
        list(answer.iter_encoded())
    assert app.test_client().get("/api/errors", headers=token).get_json()["items"] == []  # it is the reader's doing

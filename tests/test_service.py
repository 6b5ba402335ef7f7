"""The main job with a real client: start the service, log in right and wrong, read who logged in."""

import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account
from audit_service.access.tokens import add_token
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.vocabulary import Role, Scope
from tests.support import plain_http
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.databases import new_postgres_database
from tests.support.server import running_service, started_service


@dataclass
class Ready:
    """What a service is started on: its settings, an account, and a token that may read."""

    config: Mapping[str, object]
    reader: dict[str, str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ready(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """A database for all tests of this module: to start a service takes longer than to ask it."""
    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as stack:
        if request.param == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), folder / "audit.db")
            url = f"sqlite:///{folder}/audit.db"
        else:
            server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
            url = stack.enter_context(new_postgres_database(server, template))
        engine = make_engine(Settings(database_url=url).url, writes=True)
        with Session(engine) as session, session.begin():
            add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
            reader = {"Authorization": "Bearer " + add_token(session, "reader", Scope.READ, by=ACTOR)}
        engine.dispose()
        config = {"AUDIT_DATABASE_URL": url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_DATA_DIR": str(folder / "data")}
        yield Ready(config, reader)


@pytest.fixture(scope="module")
def service(ready: Ready) -> Iterator[httpx.Client]:
    with running_service(ready.config) as url, plain_http.Client(base_url=url) as client:
        yield client


@pytest.fixture
def client(service: httpx.Client) -> httpx.Client:
    """The started service, for somebody without a session."""
    service.cookies.clear()
    return service


def logins_after(client: httpx.Client, ready: Ready, seq: int) -> list[dict[str, Any]]:
    """Return the logins behind *seq* in the trail, the newest first."""
    items = client.get("/api/logins", headers=ready.reader).json()["items"]
    return [item for item in items if item["seq"] > seq]


def last_login(client: httpx.Client, ready: Ready) -> int:
    return max((item["seq"] for item in logins_after(client, ready, 0)), default=0)


def test_the_main_job(client: httpx.Client, ready: Ready) -> None:
    before = last_login(client, ready)
    right = client.post("/login/", data={"username": "ada", "password": PASSWORD})
    wrong = client.post("/login/", json={"username": "ada", "password": "wrong"})
    nobody = client.post("/login/", data={"username": "<nobody>", "password": "x"})
    assert [right.status_code, wrong.status_code, nobody.status_code] == [200, 401, 401]
    assert wrong.text == nobody.text
    listed = logins_after(client, ready, before)
    assert [(item["username"], item["outcome"], item["reason"]) for item in listed] == [
        ("<nobody>", "failure", "unknown_user"),
        ("ada", "failure", "bad_password"),
        ("ada", "success", None),
    ]
    first = listed[2]["seq"]
    assert [item["seq"] for item in listed] == [first + 2, first + 1, first]
    assert {item["remote_addr"] for item in listed} == {"127.0.0.1"}
    assert all("httpx" in item["user_agent"] for item in listed)
    assert right.json()["event"] == listed[2]["id"]
    assert client.get("/", headers={"Accept": "application/json"}).json()["username"] == "ada"
    own = client.get("/api/logins").json()["items"]  # by the session cookie
    assert [item["seq"] for item in own[:2]] == [first + 1, first]
    assert {item["username"] for item in own} == {"ada"}


def test_a_session_works_in_every_process(client: httpx.Client, ready: Ready) -> None:
    answer = client.post("/login/", data={"username": "ada", "password": PASSWORD})
    with running_service(ready.config) as other:
        assert plain_http.get(other, cookies=answer.cookies).json()["username"] == "ada"


HEAD = b"POST /login/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
RIGHT = b"username=ada&password=" + PASSWORD.replace(" ", "+").encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"


@pytest.mark.parametrize(
    ("sent", "is_cut", "status"),
    [
        (b"Content-Length: %d\r\n\r\n%b" % (len(RIGHT), RIGHT), False, b"200"),
        (b"Content-Length: 1000\r\n\r\n" + RIGHT, True, b"400"),
        (CHUNKED % (len(RIGHT), RIGHT) + b"0\r\n\r\n", False, b"411"),
        (CHUNKED % (len(RIGHT), RIGHT), True, b"411"),
        (CHUNKED % (len(RIGHT), RIGHT) + b"zz\r\n", True, b"411"),
        (b"\r\n", False, b"400"),
    ],
)
def test_a_body_that_was_cut_is_no_login(
    client: httpx.Client, ready: Ready, sent: bytes, is_cut: bool, status: bytes
) -> None:
    before = last_login(client, ready)
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as connection:
        connection.sendall(HEAD + sent)
        if is_cut:
            connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] == status
    assert len(logins_after(client, ready, before)) == (1 if status == b"200" else 0)


def test_a_database_that_is_away(postgres_url: str, postgres_template: str, tmp_path: Path) -> None:
    """On PostgreSQL only: SQLite has no server that could be away."""
    with new_postgres_database(postgres_url, postgres_template) as url:
        config = {"AUDIT_DATABASE_URL": url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_DATA_DIR": str(tmp_path / "data")}
        service = running_service(config)
        base = service.__enter__()
    try:  # the database is gone now
        answers = [
            plain_http.post(f"{base}/login/", data={"username": "ada", "password": PASSWORD}),
            plain_http.get(f"{base}/api/logins", headers={"Authorization": "Bearer x"}),
        ]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert {answer.headers["Content-Type"] for answer in answers} == {"application/problem+json"}
        page = plain_http.post(f"{base}/login/", data={"username": "ada"}, headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert plain_http.get(f"{base}/login/").status_code == plain_http.get(f"{base}/healthz").status_code == 200
    finally:
        service.__exit__(None, None, None)


def test_hostile_bytes_on_the_wire(client: httpx.Client, ready: Ready) -> None:
    before = last_login(client, ready)
    answers = [
        client.post("/login/", content=b"username=%00%0d%0a&password=%ff", headers={"Content-Type": FORM}),
        client.post("/login/", content=b'{"username": "\\ud800", "password": ""}', headers={"Content-Type": JSON}),
        client.post("/login/", content=b"\x00" * 10_000_000, headers={"Content-Type": JSON}),
        client.post("/login/", content=b"username=" + b"x" * 10_000_000, headers={"Content-Type": FORM}),
        client.post("/login/", content=b"\xff", headers={b"Content-Type": b"\xff"}),
        client.get("/api/logins?username=%00", headers=ready.reader),
        client.get("/api/logins?%ff=%ff", headers=ready.reader),
        client.get("/api/logins", headers={b"Authorization": b"Bearer \xff\xfe"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 413, 413, 400, 400, 400, 401]
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/problem+json"}
    names = [item["username"] for item in logins_after(client, ready, before)]
    assert names == ["\ufffd", "\ufffd\ufffd\ufffd"]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_service_that_cannot_sign_serves(config: dict[str, object]) -> None:
    """The key needs a data folder. Without a spool nothing else does."""
    settings = {**config, "AUDIT_DATA_DIR": "/proc/none", "AUDIT_SPOOL": "off", "AUDIT_SIGNER": "on"}
    with running_service(settings) as base:
        assert plain_http.get(f"{base}/readyz").json()["log"] == "none"


def test_the_end_of_the_terminal_is_the_end_of_the_service(config: dict[str, object]) -> None:
    with started_service({**config, "AUDIT_WORKERS": 2}) as service:
        workers = service.workers()
        service.process.send_signal(signal.SIGHUP)
        assert service.process.wait(timeout=20) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

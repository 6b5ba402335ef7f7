"""The main job with a real client: start the service, log in right and wrong, read who logged in."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account
from audit_service.access.tokens import add_token
from audit_service.vocabulary import Role, Scope
from tests.conftest import ACTOR, PASSWORD
from tests.support.databases import new_postgres_database
from tests.support.server import running_service, started_service


@pytest.fixture
def reader(engine: Engine) -> dict[str, str]:
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        headers = {"Authorization": "Bearer " + add_token(session, "reader", Scope.READ, by=ACTOR)}
        session.commit()
    return headers


@pytest.fixture
def service(config: dict[str, object], reader: dict[str, str]) -> Iterator[httpx.Client]:
    with running_service(config) as url, httpx.Client(base_url=url) as client:
        yield client


def test_the_main_job(service: httpx.Client, reader: dict[str, str]) -> None:
    right = service.post("/login/", data={"username": "ada", "password": PASSWORD})
    wrong = service.post("/login/", json={"username": "ada", "password": "wrong"})
    nobody = service.post("/login/", data={"username": "<nobody>", "password": "x"})
    assert [right.status_code, wrong.status_code, nobody.status_code] == [200, 401, 401]
    assert wrong.text == nobody.text
    listed = service.get("/api/logins", headers=reader).json()["items"]
    assert [(item["seq"], item["username"], item["outcome"], item["reason"]) for item in listed] == [
        (6, "<nobody>", "failure", "unknown_user"),
        (5, "ada", "failure", "bad_password"),
        (4, "ada", "success", None),
    ]
    assert {item["remote_addr"] for item in listed} == {"127.0.0.1"}
    assert all("httpx" in item["user_agent"] for item in listed)
    assert right.json()["event"] == listed[2]["id"]
    assert service.get("/", headers={"Accept": "application/json"}).json()["username"] == "ada"
    own = service.get("/api/logins").json()["items"]  # by the session cookie
    assert [item["seq"] for item in own] == [5, 4]


def test_a_session_works_in_every_process(config: dict[str, object], reader: dict[str, str]) -> None:
    with running_service(config) as one, running_service(config) as other:
        answer = httpx.post(f"{one}/login/", data={"username": "ada", "password": PASSWORD})
        assert httpx.get(other, cookies=answer.cookies).json()["username"] == "ada"


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
def test_a_body_that_was_cut_logs_nobody_in(
    service: httpx.Client, reader: dict[str, str], sent: bytes, is_cut: bool, status: bytes
) -> None:
    with socket.create_connection((service.base_url.host, service.base_url.port or 0), timeout=10) as connection:
        connection.sendall(HEAD + sent)
        if is_cut:
            connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] == status
    recorded = service.get("/api/logins", headers=reader).json()["items"]
    assert len(recorded) == (1 if status == b"200" else 0)


def test_a_database_that_is_away(postgres_url: str, postgres_template: str, config: dict[str, object]) -> None:
    """On PostgreSQL only: SQLite has no server that could be away."""
    with new_postgres_database(postgres_url, postgres_template) as url:
        service = running_service({**config, "AUDIT_DATABASE_URL": url})
        base = service.__enter__()
    try:  # the database is gone now
        answers = [
            httpx.post(f"{base}/login/", data={"username": "ada", "password": PASSWORD}),
            httpx.get(f"{base}/api/logins", headers={"Authorization": "Bearer x"}),
        ]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert {answer.headers["Content-Type"] for answer in answers} == {"application/problem+json"}
        page = httpx.post(f"{base}/login/", data={"username": "ada"}, headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert httpx.get(f"{base}/login/").status_code == httpx.get(f"{base}/healthz").status_code == 200
    finally:
        service.__exit__(None, None, None)


def test_hostile_bytes_on_the_wire(service: httpx.Client, reader: dict[str, str]) -> None:
    answers = [
        service.post("/login/", content=b"username=%00%0d%0a&password=%ff", headers={"Content-Type": FORM}),
        service.post("/login/", content=b'{"username": "\\ud800", "password": ""}', headers={"Content-Type": JSON}),
        service.post("/login/", content=b"\x00" * 10_000_000, headers={"Content-Type": JSON}),
        service.post("/login/", content=b"username=" + b"x" * 10_000_000, headers={"Content-Type": FORM}),
        service.post("/login/", content=b"\xff", headers={b"Content-Type": b"\xff"}),
        service.get("/api/logins?username=%00", headers=reader),
        service.get("/api/logins?%ff=%ff", headers=reader),
        service.get("/api/logins", headers={b"Authorization": b"Bearer \xff\xfe"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 413, 413, 400, 400, 400, 401]
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/problem+json"}
    names = [item["username"] for item in service.get("/api/logins", headers=reader).json()["items"]]
    assert names == ["\ufffd", "\ufffd\ufffd\ufffd"]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_end_of_the_terminal_is_the_end_of_the_service(config: dict[str, object]) -> None:
    with started_service(config) as service:
        workers = service.workers()
        service.process.send_signal(signal.SIGHUP)
        assert service.process.wait(timeout=20) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

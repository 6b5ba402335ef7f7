"""The main job with a real client: start the service, log in right and wrong, read who logged in."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.accounts import add_account
from audit_service.tokens import add_token
from audit_service.vocabulary import Role, Scope
from tests.conftest import PASSWORD
from tests.server import running_service


@pytest.fixture
def reader(engine: Engine) -> dict[str, str]:
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD)
        return {"Authorization": "Bearer " + add_token(session, "reader", Scope.READ)}


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
        (3, "<nobody>", "failure", "unknown_user"),
        (2, "ada", "failure", "bad_password"),
        (1, "ada", "success", None),
    ]
    assert {item["remote_addr"] for item in listed} == {"127.0.0.1"}
    assert all("httpx" in item["user_agent"] for item in listed)
    assert right.json()["event"] == listed[2]["id"]
    assert service.get("/", headers={"Accept": "application/json"}).json()["username"] == "ada"
    own = service.get("/api/logins").json()["items"]  # by the session cookie
    assert [item["seq"] for item in own] == [2, 1]


def test_a_session_works_in_every_worker(service: httpx.Client) -> None:
    service.post("/login/", data={"username": "ada", "password": PASSWORD})
    for _ in range(20):  # a new connection each: two workers take turns
        answer = httpx.get(service.base_url, cookies=service.cookies)
        assert answer.json()["username"] == "ada"


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


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

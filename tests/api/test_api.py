"""The API: filters, pages, who sees what, errors."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from flask.testing import FlaskClient

from audit_service.vocabulary import Role
from tests.factories import ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_an_empty_history(reader: Reader) -> None:
    for path in ("/api/logins", "/api/errors"):
        answer = reader.get(path)
        assert answer.json == {"items": [], "next": None, "next_url": None}
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("path", "kind"), [("/api/logins", LoginFactory), ("/api/errors", ErrorFactory)])
def test_an_event_in_the_list_and_alone(reader: Reader, path: str, kind: type[LoginFactory]) -> None:
    event = kind(timestamp=NOON)
    (item,) = reader.get(path).get_json()["items"]
    assert reader.get(f"{path}/{event.id}").json == item
    assert item["timestamp"] == "2026-01-31T12:00:00Z"
    assert item["seq"] == 2  # the first event is that of the reader's token
    assert set(item) == {*event.__struct_fields__, "seq", "recorded_at"}
    assert {name: item[name] for name in event.__struct_fields__} == msgspec.to_builtins(event)


@pytest.mark.parametrize("path", ["/api/logins", "/api/errors"])
@pytest.mark.parametrize("event_id", ["00000000-0000-7000-8000-000000000000", "1", "%00", "x" * 500])
def test_an_event_that_is_not_there(reader: Reader, path: str, event_id: str) -> None:
    answer = reader.get(f"{path}/{event_id}")
    assert (answer.status_code, answer.get_json()["status"]) == (404, 404)


def test_newest_first_whatever_the_order_of_arrival(reader: Reader) -> None:
    for minutes, name in [(2, "c"), (0, "a"), (3, "d"), (1, "b"), (3, "e")]:
        LoginFactory(username=name, timestamp=NOON + timedelta(minutes=minutes))
    assert reader.usernames() == ["e", "d", "c", "b", "a"]


def test_filters(reader: Reader) -> None:
    LoginFactory(username="ada", timestamp=NOON)
    LoginFactory(username="bob", timestamp=NOON + timedelta(hours=1), failed=True)
    LoginFactory(username="李雷", timestamp=NOON + timedelta(hours=2))
    assert reader.usernames(username="ada") == ["ada"]
    assert reader.usernames(username=["ada", "李雷"]) == ["李雷", "ada"]
    assert reader.usernames(outcome="failure") == ["bob"]
    assert reader.usernames(outcome=["failure", "success"]) == ["李雷", "bob", "ada"]
    assert reader.usernames(since="2026-01-31T13:00:00Z") == ["李雷", "bob"]
    assert reader.usernames(until="2026-01-31T13:00:00Z") == ["ada"]
    assert reader.usernames(since="2026-01-31T14:00:00+01:00", until="2026-01-31T13:00:00.000001Z") == ["bob"]
    assert reader.usernames(username="ada", outcome="failure") == []


def test_filters_of_errors(reader: Reader) -> None:
    ErrorFactory(username="ada", timestamp=NOON)
    ErrorFactory(anonymous=True, timestamp=NOON + timedelta(hours=1))
    assert [item["username"] for item in reader.get("/api/errors", username="ada").get_json()["items"]] == ["ada"]
    assert [
        item["username"] for item in reader.get("/api/errors", since="2026-01-31T13:00:00Z").get_json()["items"]
    ] == [None]
    assert reader.get("/api/errors", outcome="failure").get_json()["parameter"] == "outcome"


def test_pages_follow_one_another_without_gap_or_overlap(reader: Reader) -> None:
    for n in range(25):  # many at the same microsecond
        LoginFactory(username=f"u{n:02}", timestamp=NOON + timedelta(seconds=n // 10), failed=n % 5 == 0)
    answer = reader.get("/api/logins", limit=4, outcome="success")
    seen: list[str] = []
    while True:
        seen += [item["username"] for item in answer.get_json()["items"]]
        if answer.get_json()["next"] is None:
            assert answer.get_json()["next_url"] is None
            assert "Link" not in answer.headers
            break
        assert answer.headers["Link"] == f'<{answer.get_json()["next_url"]}>; rel="next"'
        LoginFactory(timestamp=NOON + timedelta(hours=1))  # what comes in meanwhile moves nothing
        parts = urlsplit(answer.get_json()["next_url"])
        answer = reader.client.get(f"{parts.path}?{parts.query}", headers=reader.headers)
    assert seen == [f"u{n:02}" for n in reversed(range(25)) if n % 5]


@pytest.mark.parametrize(
    ("query", "parameter", "message"),
    [
        (
            {"user": "ada"},
            "user",
            "user is not a parameter here; these are: since, until, app, app!, remote_addr, remote_addr!, request_id",
        ),
        ({"outcome": "maybe"}, "outcome", "outcome must be `success` or `failure`"),
        ({"since": "yesterday"}, "since", "since must be an RFC 3339 time with its offset"),
        ({"since": "2026-01-31T12:00:00"}, "since", "such as 2026-01-31T12:00:00Z"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since", "since must be an RFC 3339 time"),
        ({"until": "2026-01-31T12:00:00 01:00"}, "until", "write + as %2B in a URL"),
        ({"until": ["2026-01-31T12:00:00Z"] * 2}, "until", "until may be given once only"),
        ({"limit": "0"}, "limit", "limit must be a number from 1 to 1000"),
        ({"limit": "1001"}, "limit", "limit must be a number from 1 to 1000"),
        ({"limit": "1.5"}, "limit", "limit must be a number from 1 to 1000"),
        ({"limit": "9" * 5000}, "limit", "limit must be a number from 1 to 1000"),
        ({"username": "x" * 256}, "username", "username must be a text of at most 255 characters"),
        ({"username": "a\x00b"}, "username", "username must not contain control characters"),
        ({"cursor": "foreign"}, "cursor", "cursor must be the `next` of an earlier answer"),
        ({"cursor": ""}, "cursor", "cursor must be the `next` of an earlier answer"),
        ({"\x00": "1"}, "\ufffd", "is not a parameter here"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_bad_parameters(reader: Reader, query: dict[str, Any], parameter: str, message: str) -> None:
    LoginFactory()
    answer = reader.get("/api/logins", **query)
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert answer.get_json()["parameter"] == parameter
    assert message in answer.get_json()["detail"]


@pytest.mark.parametrize("path", ["/api/logins", "/api/errors"])
def test_a_cursor_belongs_to_its_question(reader: Reader, path: str) -> None:
    for _ in range(2):
        LoginFactory(username="ada")
    cursor = reader.get("/api/logins", limit=1, username="ada").get_json()["next"]
    assert reader.get("/api/logins", limit=9, username="ada", cursor=cursor).status_code == 200
    assert reader.get(path, cursor=cursor).get_json()["parameter"] == "cursor"


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Basic eDp5", "nonsense", "Bearer \xff"])
def test_a_bad_token_is_refused_whatever_the_session_says(
    client: FlaskClient, accounts: dict[Role, str], header: str
) -> None:
    client.post("/login/", data={"username": "admin", "password": PASSWORD})
    answer = client.get("/api/logins", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="audit history", error=invalid_token'


@pytest.mark.parametrize("path", ["/api/logins", "/api/logins/1", "/api/errors", "/api/errors/1"])
def test_a_401_tells_how_to_authenticate(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="audit history"'
    assert "audit-service tokens add" in answer.get_json()["detail"]
    assert "/login/" in answer.get_json()["detail"]


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMIN])
def test_auditors_and_admins_see_all(client: FlaskClient, accounts: dict[Role, str], role: Role) -> None:
    event, error = LoginFactory(username="somebody"), ErrorFactory()
    client.post("/login/", data={"username": accounts[role], "password": PASSWORD})
    assert {item["username"] for item in client.get("/api/logins").get_json()["items"]} == {"somebody", accounts[role]}
    assert client.get(f"/api/logins/{event.id}").status_code == 200
    assert client.get(f"/api/errors/{error.id}").status_code == 200


def test_users_see_their_own_logins_only(client: FlaskClient, accounts: dict[Role, str]) -> None:
    other, error = LoginFactory(username="other"), ErrorFactory(username="user")
    own = LoginFactory(username="user", failed=True)
    client.post("/login/", data={"username": "user", "password": PASSWORD})
    items = client.get("/api/logins").get_json()["items"]
    assert [(item["username"], item["outcome"]) for item in items] == [("user", "success"), ("user", "failure")]
    assert client.get("/api/logins?username=other").get_json()["items"] == []
    assert client.get(f"/api/logins/{own.id}").status_code == 200
    assert client.get(f"/api/logins/{other.id}").status_code == 404
    for path in ("/api/errors", f"/api/errors/{error.id}"):
        assert client.get(path).status_code == 403


def test_a_users_cursor_is_of_no_use_to_another(
    client: FlaskClient, accounts: dict[Role, str], token: dict[str, str]
) -> None:
    LoginFactory(username="user")
    client.post("/login/", data={"username": "user", "password": PASSWORD})
    cursor = client.get("/api/logins?limit=1").get_json()["next"]
    assert client.get(f"/api/logins?cursor={cursor}").status_code == 200
    assert client.get(f"/api/logins?cursor={cursor}", headers=token).get_json()["parameter"] == "cursor"


@pytest.mark.parametrize("path", ["/api/logins", "/api/logins/summary?by=day", "/api/events", "/api/openapi.json"])
def test_a_browser_gets_the_same_json_indented(reader: Reader, path: str) -> None:
    event = LoginFactory()
    browser = {**reader.headers, "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    for asked in (path, f"/api/logins/{event.id}"):
        until = "?app=tests" if asked in ("/api/logins", "/api/events") else ""
        plain = reader.client.get(asked + until, headers=reader.headers)
        shown = reader.client.get(asked + until, headers=browser)
        assert plain.text.count("\n") == 1
        assert shown.text.startswith('{\n  "')
        assert shown.content_type == "application/json"
        assert "Accept" in shown.headers["Vary"]
        if "summary" not in asked:  # which says until when
            assert shown.get_json() == plain.get_json()
        if "ETag" in plain.headers:
            assert shown.headers["ETag"] != plain.headers["ETag"]

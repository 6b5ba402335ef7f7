"""Readers of events from which personal data was erased: pages, API, exports and the terminal."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.cli.show import View
from audit_service.events.admin import AdminItem
from audit_service.events.errors import ErrorItem
from audit_service.events.kinds import KINDS, erased_fields
from audit_service.events.logins import LoginItem
from audit_service.vocabulary import AdminAction, Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.commands import succeed
from tests.support.logins import BROWSER, log_in
from tests.support.signed_trail import SignedTrail

NAME = "ada.lovelace"
FINGERPRINT = "v1:bug"
BUG = {"exception_type": "E", "fingerprint": FINGERPRINT}


@pytest.fixture
def trail(
    app: Flask, config: dict[str, object], accounts: dict[Role, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SignedTrail]:
    """The log of the service's trail, on which commands work, too."""
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))
    made = SignedTrail(str(config["AUDIT_DATABASE_URL"]), tmp_path / "data")
    made.start()
    yield made
    made.close()


@pytest.fixture
def ids(trail: SignedTrail) -> dict[str, UUID]:
    """The ids of events of each kind from which all was erased, beside some of others."""
    error = {"fingerprint": FINGERPRINT, "exception_type": "shop.Broken", "message": f"no {NAME}"}
    made = {
        "login": LoginFactory(username=NAME, details={"n": 1}, request_id="r1"),
        "failed": LoginFactory(username=NAME, failed=True),
        "error": ErrorFactory(username=NAME, request_id="r1", **error),
        "admin": AdminFactory(actor=NAME, target="bob", action=AdminAction.ROLE_CHANGED, details={"to": "user"}),
    }
    LoginFactory(username="grace", remote_addr=made["login"].remote_addr)
    ErrorFactory(username="grace", fingerprint=FINGERPRINT, timestamp=datetime.fromisoformat("2026-01-02T00:00:00Z"))
    trail.sign()
    succeed("erase", "--username", NAME, "--reason", "asked for it", "--yes")
    return {name: event.id for name, event in made.items()}


def pages(ids: dict[str, UUID]) -> list[str]:
    return [
        "/",
        "/logins/",
        "/logins/?column=username&column=details&column=user_agent&column=network",
        f"/logins/{ids['login']}",
        "/errors/",
        f"/errors/{FINGERPRINT}",
        f"/errors/{FINGERPRINT}/{ids['error']}",
        "/changes/",
    ]


def test_pages_say_that_it_was_erased(client: FlaskClient, ids: dict[str, UUID]) -> None:
    log_in(client, "auditor")
    for path in pages(ids):
        answer = client.get(path, headers=BROWSER)
        assert answer.status_code == 200, path
        assert NAME not in answer.text, path
        assert ("(erased)" in answer.text) is (path != "/"), path
        assert "None" not in answer.text, path
        chinese = client.get(path, headers={**BROWSER, "Accept-Language": "zh"}, follow_redirects=True).text
        assert ("已删除" in chinese) is (path != "/"), path
    changes = client.get("/changes/", headers=BROWSER).text
    assert "(erased) gave (erased) the role (erased) instead of (erased)" in changes
    assert "erased personal data from" in changes


def test_charts_and_the_frequent_names(client: FlaskClient, ids: dict[str, UUID]) -> None:
    log_in(client, "auditor")
    for path in (
        "/chart.svg",
        "/logins/chart.svg",
        f"/errors/{FINGERPRINT}/chart.svg",
        f"/errors/{FINGERPRINT}/sparkline.svg",
    ):
        answer = client.get(path, headers=BROWSER)
        assert answer.status_code == 200, path


def test_the_api_has_null(client: FlaskClient, ids: dict[str, UUID], token: dict[str, str]) -> None:
    def get(path: str, **query: str) -> dict[str, Any]:
        answer = client.get(path, query_string=query, headers=token)
        assert answer.status_code == 200, (path, answer.text)
        assert NAME not in answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    login = get(f"/api/logins/{ids['login']}")
    assert {login[name] for name in ("username", "details", "remote_addr", "user_agent", "request_id")} == {None}
    assert get(f"/api/errors/{ids['error']}")["traceback"] is None
    assert get(f"/api/admin-events/{ids['admin']}")["actor"] is None
    for path in ("/api/logins", "/api/errors", "/api/admin-events", "/api/events"):
        for order in ("newest", "oldest", "arrival"):
            assert len(whole(client, path, order, token)) > 1
    names = {item["key"] for item in items(get("/api/logins/summary", by="username"))}
    assert {None, "grace"} <= names
    cells = items(get("/api/logins/summary", by="username", then="reason"))
    assert None in {item["key"] for item in cells}
    parts = items(get("/api/logins/summary", by="outcome", then="username"))
    assert None in {part["key"] for item in parts for part in item["parts"]}
    get("/api/logins/summary", by="day", then="username")
    assert items(get("/api/logins/first-seen")) != []
    assert {item["username"] for item in items(get("/api/logins/first-seen"))} <= {"grace", "auditor"}
    assert get("/api/logins/last", username=NAME.upper())["last_success"] is None
    assert {item["username"] for item in items(get("/api/logins", **{"username!": "grace"}))} >= {None}
    assert items(get("/api/errors/groups"))[0]["newest"]["message"] in (None, "no such thing")


def items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["items"]
    return found


def whole(client: FlaskClient, path: str, order: str, token: dict[str, str]) -> list[dict[str, object]]:
    """Return all events, by pages of two."""
    found: list[dict[str, object]] = []
    query = {"order": order, "limit": "2"}
    while True:
        answer = client.get(path, query_string=query, headers=token).get_json()
        found += answer["items"]
        if not answer["items"] or not answer.get("next"):
            return found
        query["cursor"] = answer["next"]


def test_exports_are_empty_there(client: FlaskClient, ids: dict[str, UUID], token: dict[str, str]) -> None:
    for kind, name in zip(KINDS, ("login", "error", "admin"), strict=True):
        path = f"/api/{kind.collection}"
        text = client.get(f"{path}.csv", headers=token).text
        (row,) = (row for row in csv.DictReader(io.StringIO(text)) if row["id"] == str(ids[name]))
        assert {row[field] for field in (kind.null_if_erased, *kind.names, "remote_addr")} == {""}
        lines = client.get(f"{path}.ndjson", headers=token).text.splitlines()
        (item,) = (item for item in map(json.loads, lines) if item["id"] == str(ids[name]))
        assert {item[field] for field in (kind.null_if_erased, *kind.names, "remote_addr")} == {None}


def test_a_user_sees_erased_logins_no_more(client: FlaskClient, trail: SignedTrail) -> None:
    own = LoginFactory(username="user", user_agent="Lynx")
    log_in(client, "user")
    assert client.get(f"/logins/{own.id}", headers=BROWSER).status_code == 200
    assert "Lynx" in client.get("/", headers=BROWSER).text
    trail.sign()
    succeed("erase", "--username", "user", "--reason", "asked for it", "--yes")
    assert client.get(f"/logins/{own.id}", headers=BROWSER).status_code == 404
    page = client.get("/", headers=BROWSER)
    assert (page.status_code, "Lynx" in page.text) == (200, False)


def test_the_terminal_says_it(ids: dict[str, UUID]) -> None:
    for command, kind in zip(("logins", "errors", "changes"), KINDS, strict=True):
        lines = [json.loads(line) for line in succeed("history", command, "--limit", "100").splitlines()]
        (line,) = (line for line in lines if line["id"] in map(str, (ids["login"], ids["error"], ids["admin"])))
        assert line[kind.null_if_erased] is None


@pytest.mark.parametrize(
    ("item", "given", "shown"),
    [
        (
            LoginItem,
            {"username": None},
            {"username": "(erased)", "who": "(erased)", "reason": None, "remote_addr": None},
        ),
        (
            ErrorItem,
            {**BUG, "message": None, "traceback": None},
            {"username": "(erased)", "who": "(erased)", "path": "(erased)", "endpoint": None},
        ),
        (
            AdminItem,
            {"actor": None, "action": "account_added"},
            {"actor": "(erased)", "who": "(erased)", "target": "(erased)", "request_id": None},
        ),
    ],
)
def test_columns_of_tables(item: Any, given: dict[str, Any], shown: dict[str, str | None]) -> None:
    now = datetime.fromisoformat("2026-01-31T12:00:00Z")
    made = item(app="a", seq=1, recorded_at=now, **given)
    assert {name for name, value in given.items() if value is None} <= set(erased_fields(made))
    view = View(zone=ZoneInfo("UTC"))
    assert {column: view._cell(made, column, now) for column in shown} == shown

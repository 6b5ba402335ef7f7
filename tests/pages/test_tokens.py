"""The pages on which admins make and revoke tokens."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.vocabulary import AdminAction, Role
from tests.support.logins import BROWSER, log_in, logins
from tests.support.managing import ODD, told


@pytest.fixture
def admin(client: FlaskClient, accounts: dict[Role, str]) -> FlaskClient:
    log_in(client, "admin")
    return client


def rows(client: FlaskClient) -> list[list[str]]:
    """The words of each row of the list."""
    found = re.findall(r"(?s)<tr>(.*?)</tr>", client.get("/tokens/", headers=BROWSER).text)
    return [re.sub("<[^>]+>", " ", row).split() for row in found[1:]]


@pytest.mark.parametrize("scope", ["read", "report"])
def test_a_token_is_shown_once_with_a_command_that_uses_it(app: Flask, admin: FlaskClient, scope: str) -> None:
    before = len(logins(app))
    fields = {"name": "poller", "scope": scope, "days": "30"}
    answer = admin.post("/tokens/", data=fields, headers=BROWSER)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    token, command = map(unescape, re.findall(r"<pre[^>]*>([^<]+)</pre>", answer.text))
    words = shlex.split(command)
    assert words[:3] == ["curl", "-H", f"Authorization: Bearer {token}"]
    url = words[-1].removeprefix("http://localhost")
    headers = {"Authorization": f"Bearer {token}"}
    if scope == "read":
        assert app.test_client().get(url, headers=headers).status_code == 200
    else:
        sent = app.test_client().post(url, data=words[4], content_type="application/json", headers=headers)
        assert sent.status_code == 200
        assert len(logins(app)) == before + 1
    (event,) = told(app)
    assert (event.actor, event.action, event.target) == ("admin", AdminAction.TOKEN_ADDED, "poller")
    assert event.details
    assert event.details["scope"] == scope
    assert abs(
        datetime.fromisoformat(event.details["expires_at"]) - datetime.now(UTC) - timedelta(days=30)
    ) < timedelta(minutes=1)
    assert token not in admin.get("/tokens/", headers=BROWSER).text
    (row,) = rows(admin)
    assert row[:3] == ["poller", scope, "active"]
    assert row.count("now") == 2  # created, and used


def test_a_token_is_revoked_after_a_question(app: Flask, admin: FlaskClient, token: dict[str, str]) -> None:
    asked = admin.get("/tokens/test", headers=BROWSER)
    assert "Revoke this token?" in asked.text
    assert app.test_client().get("/api/logins", headers=token).status_code == 200
    answer = admin.post("/tokens/test", headers=BROWSER)
    assert (answer.status_code, answer.location) == (303, "/tokens/")
    assert app.test_client().get("/api/logins", headers=token).status_code == 401
    assert "The token test is revoked." in admin.get("/tokens/", headers=BROWSER).text
    assert rows(admin)[0][:3] == ["test", "read", "revoked"]
    assert "Revoke this token?" not in admin.get("/tokens/test", headers=BROWSER).text
    assert admin.post("/tokens/test", headers=BROWSER).status_code == 303
    assert [event.action for event in told(app)] == [AdminAction.TOKEN_REVOKED]


def test_a_name_may_be_any_text(app: Flask, admin: FlaskClient) -> None:
    name = ODD[: ODD.index(" ")]
    assert admin.post("/tokens/", data={"name": name, "scope": "read", "days": ""}, headers=BROWSER).status_code == 200
    found = re.search(r'href="(/tokens/[^"#]+)"', admin.get("/tokens/", headers=BROWSER).text)
    assert found
    assert admin.post(found[1], headers=BROWSER).status_code == 303
    assert [event.target for event in told(app)] == [name, name]
    assert rows(admin)[0][-2:] == ["never", "never"]  # it does not expire, and was not used


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "test", "scope": "read"}, "already"),
        ({"name": "", "scope": "read"}, "a token&#39;s name must be"),
        ({"name": "new", "scope": "write"}, "scope must be one of"),
        ({"name": "new", "scope": "read", "days": "0"}, "days must be"),
        ({"name": "new", "scope": "read", "days": "9" * 5000}, "days must be"),
        ({"name": "new", "scope": "read", "days": "1e3"}, "days must be"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # as in test_accounts
def test_what_cannot_be_made_says_why(
    app: Flask, admin: FlaskClient, token: dict[str, str], fields: dict[str, str], says: str
) -> None:
    page = admin.post("/tokens/", data=fields, headers=BROWSER)
    assert page.status_code == 400
    assert says in page.text
    assert admin.post("/tokens/", data=fields).mimetype == "application/problem+json"
    assert admin.get("/tokens/nothing", headers=BROWSER).status_code == 404
    assert admin.post("/tokens/nothing", headers=BROWSER).status_code == 404
    assert told(app) == []

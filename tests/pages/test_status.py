"""The pages of errors: each in the frame, with what to do; and what finds an error afterwards."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import TooManyRequests

from audit_service.errors import AuditUnavailable
from audit_service.vocabulary import Role
from tests.support.logins import BROWSER, log_in


@pytest.fixture
def auditor(client: FlaskClient, accounts: dict[Role, str]) -> FlaskClient:
    log_in(client, "auditor")
    return client


def heading(page: str) -> str:
    return re.search(r"<h1>(.*?)</h1>", page)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/logins/new?since=nonsense", 400),
        ("POST", "/preferences/", 403),
        ("GET", "/nothing", 404),
        ("GET", "/logins/1", 404),
        ("GET", "/errors/none", 404),
        ("PUT", "/logins/", 405),
    ],
)
def test_what_a_reader_met_is_in_the_frame(auditor: FlaskClient, method: str, path: str, status: int) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"} if status == 403 else {}
    answer = auditor.open(path, method=method, headers={**BROWSER, **foreign})
    assert (answer.status_code, heading(answer.text)) == (status, f"Error {status}")
    assert "URL" not in answer.text
    assert "<main" in answer.text
    assert 'href="/logins/"' in answer.text


def test_what_a_user_may_not_see(client: FlaskClient, accounts: dict[Role, str]) -> None:
    log_in(client, "user")
    answer = client.get("/changes/", headers=BROWSER)
    assert (answer.status_code, heading(answer.text)) == (403, "Error 403")
    assert "ask an admin" in answer.text
    assert 'href="/logins/"' not in answer.text


def test_when_to_try_again(auditor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, TooManyRequests("too many questions", retry_after=90))
    answer = auditor.get("/changes/", headers=BROWSER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "90")
    assert "too many questions" in answer.text
    assert "in 90 seconds" in answer.text


def test_the_request_id_of_a_fault_finds_it(app: Flask, auditor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    fail(monkeypatch, RuntimeError("no such thing"))
    answer = auditor.get("/changes/", headers=BROWSER)
    assert (answer.status_code, heading(answer.text)) == (500, "Error 500")
    assert "no such thing" not in answer.text
    found = auditor.get(re.search(r'href="(/errors/\?request_id=[^"]+)"', answer.text)[1], headers=BROWSER)  # type: ignore[index]
    assert "RuntimeError" in found.text
    group = auditor.get(re.search(r'href="(/errors/v1:[^"]+)"', found.text)[1], headers=BROWSER)  # type: ignore[index]
    assert "no such thing" in group.text
    assert "Last login before:" in group.text


def test_what_is_not_answered_has_an_id_to_ask_for(auditor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, AuditUnavailable("no disk"))
    answer = auditor.get("/changes/", headers={**BROWSER, "X-Request-ID": "mine-1"})
    assert (answer.status_code, heading(answer.text)) == (503, "Error 503")
    assert "<code>mine-1</code>" in answer.text
    assert "no disk" not in answer.text


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("audit_service.pages.changes.read_listing", fails)

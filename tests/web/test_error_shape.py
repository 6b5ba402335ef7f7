"""One error shape: RFC 9457, for whatever goes wrong on whichever route."""

import pytest
from flask import Flask
from flask.testing import FlaskClient


def assert_problem(answer: object, status: int) -> None:
    assert answer.status_code == status  # type: ignore[attr-defined]
    assert answer.content_type == "application/problem+json"  # type: ignore[attr-defined]
    body = answer.json  # type: ignore[attr-defined]
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert set(body) <= {"title", "status", "detail", "type", "parameter"}


def test_unknown_paths(client: FlaskClient) -> None:
    for path in ("/api/", "/api/nothing", "/nothing", "/login/x", "/%00"):
        assert_problem(client.get(path), 404)


def test_methods_that_do_not_exist(app: Flask, client: FlaskClient) -> None:
    tried = 0
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "not_here":
            continue
        path = rule.rule.replace("<event_id>", "1").replace("<path:filename>", "x")
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - (rule.methods or set()):
            others = {m for other in app.url_map.iter_rules() if other.rule == rule.rule for m in other.methods or ()}
            if method not in others:
                answer = client.open(path, method=method)
                assert_problem(answer, 405)
                assert set(answer.headers["Allow"].split(", ")) == others
                tried += 1
    assert tried > 20


def test_the_api_is_read_only(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            assert rule.methods == {"GET", "HEAD", "OPTIONS"} or rule.endpoint == "not_here"


@pytest.mark.parametrize("path", ["/api/logins", "/login/"])
def test_an_unhandled_exception(
    app: Flask, client: FlaskClient, token: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def fail(*_: object) -> None:
        raise RuntimeError("a secret in a message")

    monkeypatch.setattr("audit_service.api.operations.parse_query", fail)
    monkeypatch.setattr("audit_service.login.views.read_texts", fail)
    answer = client.get(path, headers=token) if path.startswith("/api") else client.post(path)
    assert_problem(answer, 500)
    assert "secret" not in answer.text

"""What errors are answered with."""

import msgspec
import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, TooManyRequests, Unauthorized

from audit_service.errors import AuditUnavailable, BusyError, ItemError, NotConfiguredError, ParameterError, TakenError
from audit_service.web.answers import describe_and_log, html_answer, json_answer, problem

LATER = "this cannot be recorded at the moment, so it is not done; please try again in a minute"


@pytest.fixture(params=["sqlite"])
def backend() -> str:
    """Which database it is makes no difference to most of these."""
    return "sqlite"


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (BadRequest("say who"), 400, "say who"),
        (HTTPException("nobody gave it a code"), 500, "nobody gave it a code"),
        (ParameterError("limit", "limit must be a number"), 400, "limit must be a number"),
        (ItemError("/3/outcome", "must be a word"), 422, "must be a word"),
        (TakenError("/3/id", "this id is taken"), 409, "this id is taken"),
        (AuditUnavailable("the disk of the spool is full"), 503, LATER),
        (BusyError("other lists are stored"), 503, LATER),
    ],
)
def test_the_status_and_the_text(app: Flask, error: Exception, status: int, detail: str) -> None:
    with app.app_context():
        assert describe_and_log(error) == (status, detail)


def test_what_must_be_done_first_is_told(app: Flask) -> None:
    error = AuditUnavailable("not recorded")
    error.__cause__ = NotConfiguredError("run 'audit-service migrate'")
    with app.app_context():
        assert describe_and_log(error) == (503, "run 'audit-service migrate'")


def test_a_fault_of_ours_is_raised_again(app: Flask, engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELEC 1"))
    with app.app_context(), pytest.raises(DBAPIError) as raised:
        describe_and_log(caught.value)
    assert raised.value is caught.value


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (MethodNotAllowed(["GET", "HEAD"]), "Allow", "GET, HEAD"),
        (TooManyRequests(retry_after=7), "Retry-After", "7"),
    ],
)
def test_a_problem_keeps_the_headers_of_its_status(app: Flask, error: HTTPException, header: str, value: str) -> None:
    with app.test_request_context():
        for answer, kind in (
            (problem(error), "application/problem+json"),
            (html_answer("<html>", error.code or 0, error), "text/html; charset=utf-8"),
        ):
            assert answer.status_code == error.code
            assert answer.headers[header] == value
            assert answer.headers.getlist("Content-Type") == [kind]
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Vary"] == "Accept, Cookie"


def test_a_problem_leads_to_its_words_where_the_app_is_mounted(app: Flask) -> None:
    with app.test_request_context(environ_overrides={"SCRIPT_NAME": "/audit trail"}):
        body = msgspec.json.decode(problem(ParameterError("limit", "limit must be a number")).data)
        assert body.pop("type").startswith("/audit%20trail/api/problems/")
        assert body == {
            "title": "Bad Request",
            "status": 400,
            "detail": "limit must be a number",
            "parameter": "limit",
        }
        assert "parameter" not in msgspec.json.decode(problem(Unauthorized("who are you?")).data)


def test_json_ends_with_a_line(app: Flask) -> None:
    answer = json_answer({"a": None}, 201)
    assert (answer.status_code, answer.data, answer.content_type) == (201, b'{"a":null}\n', "application/json")

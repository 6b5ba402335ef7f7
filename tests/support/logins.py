"""Logging in and reporting logins, and what the trail has of it."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from audit_service.access.tokens import add_token
from audit_service.app import db
from audit_service.context import read_session
from audit_service.events.errors import ERRORS, ErrorFilters, ErrorItem
from audit_service.events.logins import LOGINS, LoginFilters, LoginItem
from audit_service.history.query import list_events
from audit_service.history.question import Question
from audit_service.vocabulary import Scope
from tests.support.accounts import ACTOR, PASSWORD

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ADA = {"username": "ada", "outcome": "success"}


def log_in(client: FlaskClient, username: str = "user", password: str = PASSWORD, **more: Any) -> TestResponse:
    return client.post("/login/", data={"username": username, "password": password}, **more)


def new_token(app: Flask, name: str, scope: Scope = Scope.REPORT, **more: Any) -> dict[str, str]:
    with app.app_context():
        token = add_token(db.session(), name, scope, by=ACTOR, **more)
        db.session.commit()
    return {"Authorization": f"Bearer {token}"}


def report(client: FlaskClient, headers: dict[str, str], body: object) -> TestResponse:
    return client.post("/login/", json=body, headers=headers)


def logins(app: Flask) -> list[LoginItem]:
    with app.app_context():
        return list_events(read_session(), Question(kind=LOGINS, filters=LoginFilters()), limit=100)[0]


def errors(app: Flask) -> list[ErrorItem]:
    with app.app_context():
        return list_events(read_session(), Question(kind=ERRORS, filters=ErrorFilters()), limit=100)[0]


def by_seq(app: Flask) -> list[LoginItem]:
    return sorted(logins(app), key=lambda item: item.seq)

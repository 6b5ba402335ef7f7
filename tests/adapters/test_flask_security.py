"""Flask-Security: an app as its documentation begins one, with SQLAlchemy and two-factor logins."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_security import MailUtil, Security, SQLAlchemyUserDatastore, hash_password, signals
from flask_security.models import fsqla_v3
from flask_security.signals import reset_password_instructions_sent
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from audit_service import LoginAudit
from tests.support.told import admin_events, closing_trail, errors, logins, lose_database

ADA, BOB = "ada@example.com", "bob@example.com"
PASSWORD = "correct horse battery"
HAS_FAILED_SIGNAL = hasattr(signals, "user_failed_authn")  # since 5.8


class NoMail(MailUtil):
    def send_mail(self, *_args: Any, **_context: Any) -> None:
        """There is no mail server."""


def create_app(**settings: object) -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="a host's own",
        SECURITY_PASSWORD_SALT="146585145368132386173505678016728509634",
        SECURITY_PASSWORD_HASH="plaintext",
        SECURITY_PASSWORD_SCHEMES=["plaintext"],
        SECURITY_PASSWORD_SINGLE_HASH=["plaintext"],
        SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
        SECURITY_CHANGEABLE=True,
        SQLALCHEMY_DATABASE_URI="sqlite://",
        TESTING=True,
        PROPAGATE_EXCEPTIONS=False,
        WTF_CSRF_ENABLED=False,
        **settings,
    )
    db = SQLAlchemy(app)
    fsqla_v3.FsModels.set_db_info(db)  # type: ignore[attr-defined, no-untyped-call]

    class Role(db.Model, fsqla_v3.FsRoleMixin):  # type: ignore[name-defined]
        pass

    class User(db.Model, fsqla_v3.FsUserMixin):  # type: ignore[name-defined]
        pass

    security = Security(app, SQLAlchemyUserDatastore(db, User, Role), mail_util_cls=NoMail)
    LoginAudit(app)
    with app.app_context():
        db.create_all()
        for email, active in ((ADA, True), (BOB, False)):
            security.datastore.create_user(email=email, password=hash_password(PASSWORD), active=active)
        db.session.commit()
    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    with closing_trail(create_app()) as app:
        yield app


def login(client: FlaskClient, email: str = ADA, password: str = PASSWORD) -> Any:
    return client.post("/login", data={"email": email, "password": password})


def test_a_login_and_a_logout_are_events(app: Flask, client: FlaskClient) -> None:
    client.get("/login")
    assert login(client).status_code == 302
    client.post("/logout")
    assert logins(app) == [("login", "success", None, ADA, "password"), ("logout", "success", None, ADA, None)]


def test_a_login_by_json_is_an_event(app: Flask, client: FlaskClient) -> None:
    assert client.post("/login", json={"email": ADA, "password": "wrong"}).status_code == 400
    assert client.post("/login", json={"email": ADA, "password": PASSWORD}).status_code == 200
    assert logins(app, "outcome", "reason", "username", "method") == [
        ("failure", "bad_password", ADA, "password"),
        ("success", None, ADA, "password"),
    ]


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        (ADA, "wrong", "bad_password"),
        ("eve@example.com", "wrong", "unknown_user"),
        (BOB, PASSWORD, "inactive"),
        (BOB, "wrong", "bad_password" if HAS_FAILED_SIGNAL else "inactive"),
    ],
)
def test_a_failed_login_has_its_reason(app: Flask, client: FlaskClient, email: str, password: str, reason: str) -> None:
    login(client, email, password)
    assert logins(app) == [("login", "failure", reason, email, "password")]


def test_a_form_without_a_name_is_no_attempt(app: Flask, client: FlaskClient) -> None:
    login(client, "")
    assert logins(app) == []


def test_a_change_of_the_password_is_an_admin_event_and_no_login(app: Flask, client: FlaskClient) -> None:
    login(client)
    new = {"password": PASSWORD, "new_password": "battery staple", "new_password_confirm": "battery staple"}
    assert client.post("/change", data=new).status_code == 302
    assert admin_events(app, "action", "actor", "target", "details") == [
        ("password_changed", ADA, ADA, {"how": "changed"})
    ]
    assert len(logins(app)) == 1


def test_a_reset_of_the_password_is_an_admin_event() -> None:
    tokens: list[str] = []

    def keep(_sender: Flask, *, token: str, **_more: Any) -> None:
        tokens.append(token)

    with (
        closing_trail(create_app(SECURITY_RECOVERABLE=True)) as app,
        reset_password_instructions_sent.connected_to(keep, sender=app),
    ):
        client = app.test_client()
        client.post("/reset", data={"email": ADA})
        new = {"password": "battery staple", "password_confirm": "battery staple"}
        client.post(f"/reset/{tokens[0]}", data=new)
        assert admin_events(app, "action", "actor", "target", "details") == [
            ("password_changed", ADA, ADA, {"how": "reset"})
        ]


def test_a_login_with_two_factors_is_an_event_when_both_are_given() -> None:
    settings = {
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TOTP_ISSUER": "host",
        "SECURITY_TOTP_SECRETS": {"1": "TjQ9Qa31VOrfEzuPy4VHQWPCTmRzCnFzMKLxXYiZu9B"},
    }
    with closing_trail(create_app(**settings)) as app:
        security = app.extensions["security"]
        with app.app_context():
            secret = security.totp_factory.generate_totp_secret()
            user = security.datastore.find_user(email=ADA)
            security.datastore.tf_set(user, "authenticator", totp_secret=secret)
            security.datastore.commit()
        client = app.test_client()
        login(client)
        assert logins(app) == []
        with app.app_context():
            right = security.totp_factory.generate_totp_password(secret)
        client.post("/tf-validate", data={"code": str(int(right[0]) ^ 1) + right[1:]})
        client.post("/tf-validate", data={"code": right})
        assert logins(app) == [
            ("login", "failure", "bad_otp", ADA, "two_factor"),
            ("login", "success", None, ADA, "two_factor"),
        ]


def test_an_exception_in_the_library_is_a_failure_and_an_error(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db = app.extensions["sqlalchemy"]
        db.session.execute(text("ALTER TABLE user RENAME TO users"))
        db.session.commit()
    assert login(client).status_code == 500
    assert logins(app) == [("login", "failure", "provider_error", ADA, "password")]
    assert [re.sub(r".*\.", "", kind) for (kind,) in errors(app, "exception_type")] == ["OperationalError"]


@pytest.mark.parametrize(("unavailable", "status"), [("refuse", 503), ("allow", 302)])
def test_without_the_database_the_login_is_as_the_setting_says(unavailable: str, status: int) -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1, AUDIT_UNAVAILABLE=unavailable)) as app:
        client = app.test_client()
        lose_database(app)
        assert login(client).status_code == status
        with client.session_transaction() as session:
            assert ("_user_id" in session) is (unavailable == "allow")

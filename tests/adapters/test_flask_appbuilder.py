"""Flask-AppBuilder: an app as its documentation begins one; its users in the database, and elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_appbuilder import AppBuilder
from flask_appbuilder.const import AUTH_LDAP, AUTH_OAUTH, AUTH_REMOTE_USER
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_appbuilder.utils.legacy import get_sqla_class
from sqlalchemy import text

from audit_service import LoginAudit
from tests.support.oauth_provider import begin_login
from tests.support.told import closing_trail, errors, logins, lose_database


class Directory(SecurityManager):
    """A security manager of an app's own, in the way that the documentation shows."""

    def auth_user_ldap(self, username: str, password: str) -> Any:
        if password == "broken":
            raise RuntimeError("the directory is away")
        return self.find_user(username=username) if password == "secret" else None

    def oauth_user_info(self, provider: str, response: Any = None) -> dict[str, str]:
        return dict(self.oauth_remotes[provider].get("user").json())


def create_app(**settings: object) -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="a host's own secret, which is long enough",
        SQLALCHEMY_DATABASE_URI="sqlite://",
        TESTING=True,
        PROPAGATE_EXCEPTIONS=False,
        WTF_CSRF_ENABLED=False,
        FAB_UPDATE_PERMS=False,  # they take seconds
        FAB_PASSWORD_HASH_METHOD="pbkdf2:sha256:1",
        **settings,
    )
    db = get_sqla_class()(app)
    with app.app_context():
        builder = AppBuilder(app, db.session, security_manager_class=Directory)
        for name, is_active in (("ada", True), ("bob", False)):
            role = builder.sm.add_role("Reader")
            user = builder.sm.add_user(name, name, name, f"{name}@example.com", role, "secret")
            user.active = is_active
            builder.sm.update_user(user)
    LoginAudit(app, api="/audit/api")
    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    with closing_trail(create_app()) as app:
        yield app


def login(client: FlaskClient, name: str = "ada", password: str = "secret") -> Any:
    return client.post("/login/", data={"username": name, "password": password})


def test_logins_failures_and_logouts_are_events(app: Flask) -> None:
    client = app.test_client()
    client.get("/login/")
    for name, password in (("ada", "wrong"), ("eve", "secret"), ("bob", "secret"), ("ada", "secret")):
        assert login(client, name, password).status_code == 302
    login(client, "ada", "wrong")  # is logged in already
    client.get("/logout/")
    assert logins(app) == [
        ("login", "failure", "bad_password", "ada", "password"),
        ("login", "failure", "unknown_user", "eve", "password"),
        ("login", "failure", "inactive", "bob", "password"),
        ("login", "success", None, "ada", "password"),
        ("logout", "success", None, "ada", None),
    ]


def test_logins_of_api_clients_are_events(app: Flask) -> None:
    client = app.test_client()
    for password in ("secret", "wrong"):
        body = {"username": "ada", "password": password, "provider": "db"}
        client.post("/api/v1/security/login", json=body)
    assert logins(app) == [
        ("login", "success", None, "ada", "jwt"),
        ("login", "failure", "bad_password", "ada", "jwt"),
    ]


def test_logins_by_a_directory_are_events() -> None:
    with closing_trail(create_app(AUTH_TYPE=AUTH_LDAP, AUTH_LDAP_SERVER="ldap://directory")) as app:
        client = app.test_client()
        login(client, "eve", "wrong")
        assert login(client, "ada", "broken").status_code == 500
        login(client)
        assert logins(app) == [
            ("login", "failure", "denied", "eve", "ldap"),
            ("login", "failure", "provider_error", "ada", "ldap"),
            ("login", "success", None, "ada", "ldap"),
        ]
        assert errors(app, "exception_type") == [("RuntimeError",)]


@pytest.mark.filterwarnings("ignore:The HMAC key is 30 bytes long")  # the key of the library's own state
def test_logins_by_a_provider_are_events(provider: str) -> None:
    remote = {
        "name": "my-company",
        "token_key": "access_token",
        "remote_app": {
            "client_id": "client",
            "client_secret": "secret",
            "access_token_url": f"{provider}/token",
            "authorize_url": f"{provider}/authorize",
            "api_base_url": f"{provider}/",
        },
    }
    with closing_trail(create_app(AUTH_TYPE=AUTH_OAUTH, OAUTH_PROVIDERS=[remote])) as app:
        client = app.test_client()
        for answer in ({"error": "access_denied"}, {"code": "bad"}, {"code": "good"}):
            state = begin_login(client, "/login/my-company")
            client.get("/oauth-authorized/my-company", query_string={**answer, **state})
        assert logins(app, "outcome", "reason", "username", "method") == [
            ("failure", "denied", "", "oauth"),
            ("failure", "denied", "", "oauth"),
            ("success", None, "ada", "oauth"),
        ]
        assert {details["provider"] for (details,) in logins(app, "details")} == {"my-company"}


def test_logins_by_the_server_in_front_are_events() -> None:
    with closing_trail(create_app(AUTH_TYPE=AUTH_REMOTE_USER)) as app:
        for name in ("eve", "ada"):
            app.test_client().get("/login/", environ_base={"REMOTE_USER": name})
        assert logins(app) == [
            ("login", "failure", "denied", "eve", "remote_user"),
            ("login", "success", None, "ada", "remote_user"),
        ]


def test_an_exception_in_the_library_is_a_failure_and_an_error(app: Flask) -> None:
    with app.app_context():
        session = app.extensions["appbuilder"].session
        session.execute(text("ALTER TABLE ab_user RENAME TO ab_users"))
        session.commit()
    login(app.test_client())
    assert [(outcome, name) for outcome, name in logins(app, "outcome", "username")] == [("failure", "ada")]


@pytest.mark.parametrize(("unavailable", "is_in"), [("refuse", False), ("allow", True)])
def test_without_the_database_the_login_is_as_the_setting_says(unavailable: str, is_in: bool) -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1, AUDIT_UNAVAILABLE=unavailable)) as app:
        client = app.test_client()
        lose_database(app)
        assert login(client).status_code == (302 if is_in else 503)
        with client.session_transaction() as session:
            assert ("_user_id" in session) is is_in

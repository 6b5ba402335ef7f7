"""Flask-Dance, as its documentation begins with Flask-Login, and a provider that really runs."""

from typing import Any

import pytest
from flask import Flask
from flask_dance.consumer import OAuth2ConsumerBlueprint, oauth_authorized
from flask_login import LoginManager, UserMixin, login_user

from audit_service import LoginAudit
from tests.support.oauth_provider import begin_login
from tests.support.told import closing_trail, errors, logins, lose_database

FIELDS = ("outcome", "reason", "username", "method", "details")
PROVIDER = {"provider": "my-company"}


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def create_app(provider: str, *, admits: bool = True, **settings: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True, PROPAGATE_EXCEPTIONS=False, **settings)
    LoginManager(app).user_loader(User)
    blueprint = OAuth2ConsumerBlueprint(
        "my-company",
        __name__,
        client_id="client",
        client_secret="secret",
        base_url=provider,
        token_url=f"{provider}/token",
        authorization_url=f"{provider}/authorize",
    )
    app.register_blueprint(blueprint, url_prefix="/login")
    LoginAudit(app)

    @oauth_authorized.connect_via(blueprint)
    def log_in(blueprint: OAuth2ConsumerBlueprint, token: dict[str, str]) -> bool:
        name = blueprint.session.get("/user").json()["username"]
        if admits:
            login_user(User(name))
        return False

    app.extensions["keeps the receiver"] = log_in
    return app


def come_back(app: Flask, **answer: str) -> Any:
    client = app.test_client()
    state = begin_login(client, "/login/my-company")
    return client.get("/login/my-company/authorized", query_string={**answer, **state})


def test_a_login_names_its_provider(provider: str) -> None:
    with closing_trail(create_app(provider)) as app:
        assert come_back(app, code="good").status_code == 302
        assert logins(app, *FIELDS) == [("success", None, "ada", "oauth", PROVIDER)]


def test_a_user_that_the_app_does_not_admit_is_a_failure(provider: str) -> None:
    with closing_trail(create_app(provider, admits=False)) as app:
        come_back(app, code="good")
        assert logins(app, *FIELDS) == [("failure", "denied", "", "oauth", PROVIDER)]


def test_a_refusal_by_the_user_is_a_failure(provider: str) -> None:
    with closing_trail(create_app(provider)) as app:
        come_back(app, error="access_denied")
        details = {**PROVIDER, "error": "access_denied"}
        assert logins(app, *FIELDS) == [("failure", "denied", "", "oauth", details)]


def test_an_exception_in_the_library_is_a_failure_and_an_error(provider: str) -> None:
    with closing_trail(create_app(provider)) as app:
        assert come_back(app, code="bad").status_code == 500
        assert logins(app, *FIELDS) == [("failure", "provider_error", "", "oauth", PROVIDER)]
        assert errors(app, "exception_type") == [("oauthlib.oauth2.rfc6749.errors.InvalidGrantError",)]


@pytest.mark.parametrize(("unavailable", "status"), [("refuse", 503), ("allow", 302)])
def test_without_the_database_the_login_is_as_the_setting_says(provider: str, unavailable: str, status: int) -> None:
    with closing_trail(create_app(provider, AUDIT_WRITE_TIMEOUT=0.1, AUDIT_UNAVAILABLE=unavailable)) as app:
        lose_database(app)
        assert come_back(app, code="good").status_code == status

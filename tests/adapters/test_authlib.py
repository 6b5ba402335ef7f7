"""Authlib's client for Flask, as its documentation begins, and a provider that really runs."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from authlib.integrations.flask_client import OAuth, OAuthError
from flask import Flask, Request, redirect, request, session, url_for
from flask_login import LoginManager, UserMixin, login_user

from audit_service import LoginAudit
from tests.support.oauth_provider import begin_login
from tests.support.told import closing_trail, errors, logins, lose_database


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def create_app(
    provider: str,
    *,
    with_flask_login: bool = True,
    handles: bool = False,
    identify: Callable[[Request], str | None] = lambda _request: session.get("user"),
    **settings: object,
) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True, PROPAGATE_EXCEPTIONS=False, **settings)
    if with_flask_login:
        LoginManager(app).user_loader(User)
    oauth = OAuth(app)
    oauth.register(
        name="my_company",
        client_id="client",
        client_secret="secret",
        access_token_url=f"{provider}/token",
        authorize_url=f"{provider}/authorize",
        api_base_url=f"{provider}/",
    )
    LoginAudit(app, identify=None if with_flask_login else identify)

    @app.get("/login")
    def login() -> Any:
        return oauth.my_company.authorize_redirect(url_for("authorize", _external=True))

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        oauth.my_company.authorize_access_token()
        name = oauth.my_company.get("user").json()["username"]
        if with_flask_login:
            login_user(User(name))
        else:
            session["user"] = name
        return redirect("/")

    if handles:
        app.register_error_handler(OAuthError, lambda _error: redirect("/"))
    return app


FIELDS = ("outcome", "reason", "username", "method", "details")
PROVIDER = {"provider": "my_company"}


@pytest.mark.parametrize("with_flask_login", [True, False])
def test_a_login_names_its_provider(provider: str, with_flask_login: bool) -> None:
    with closing_trail(create_app(provider, with_flask_login=with_flask_login)) as app:
        client = app.test_client()
        state = begin_login(client, "/login")
        assert client.get("/authorize", query_string={"code": "good", **state}).status_code == 302
        client.get("/authorize", query_string=state)  # the state is used up: this is no callback
        assert logins(app, *FIELDS) == [("success", None, "ada", "oauth", PROVIDER)]


def test_linking_another_account_is_no_login(provider: str) -> None:
    with closing_trail(create_app(provider, with_flask_login=False)) as app:
        client = app.test_client()
        with client.session_transaction() as found:
            found["user"] = "ada"
        client.get("/authorize", query_string={"code": "good", **begin_login(client, "/login")})
        assert logins(app) == []


@pytest.mark.parametrize("handles", [True, False])
@pytest.mark.parametrize(
    ("answer", "reason", "details"),
    [
        ({"error": "access_denied"}, "denied", {**PROVIDER, "error": "access_denied"}),
        ({"error": "server_error"}, "provider_error", {**PROVIDER, "error": "server_error"}),
    ],
)
def test_what_the_provider_refuses_is_a_failure(
    provider: str, answer: dict[str, str], reason: str, details: dict[str, str], handles: bool
) -> None:
    with closing_trail(create_app(provider, handles=handles)) as app:
        client = app.test_client()
        client.get("/authorize", query_string={**answer, **begin_login(client, "/login")})
        assert logins(app, *FIELDS) == [("failure", reason, "", "oauth", details)]


def test_an_exception_in_the_library_is_a_failure_and_an_error(provider: str) -> None:
    with closing_trail(create_app(provider)) as app:
        client = app.test_client()
        answer = client.get("/authorize", query_string={"code": "bad", **begin_login(client, "/login")})
        assert answer.status_code == 500
        assert logins(app, *FIELDS) == [("failure", "provider_error", "", "oauth", PROVIDER)]
        assert errors(app, "exception_type") == [("authlib.integrations.base_client.errors.OAuthError",)]


@pytest.mark.parametrize(("unavailable", "status"), [("refuse", 503), ("allow", 302)])
def test_without_the_database_the_login_is_as_the_setting_says(provider: str, unavailable: str, status: int) -> None:
    with closing_trail(create_app(provider, AUDIT_WRITE_TIMEOUT=0.1, AUDIT_UNAVAILABLE=unavailable)) as app:
        client = app.test_client()
        state = begin_login(client, "/login")
        lose_database(app)
        assert client.get("/authorize", query_string={"code": "good", **state}).status_code == status
        with client.session_transaction() as found:
            assert ("_user_id" in found) is (unavailable == "allow")


def test_a_login_is_told_of_where_identify_fails_before_it(provider: str) -> None:
    app = create_app(provider, with_flask_login=False, identify=lambda _request: session["user"])
    with closing_trail(app):
        client = app.test_client()
        client.get("/authorize", query_string={"code": "good", **begin_login(client, "/login")})
        assert logins(app, *FIELDS) == [("success", None, "ada", "oauth", PROVIDER)]
        assert errors(app, "exception_type", "message") == [("KeyError", "'user'")]


def test_an_error_of_any_length_is_a_failure(provider: str) -> None:
    with closing_trail(create_app(provider)) as app:
        client = app.test_client()
        client.get("/authorize", query_string={"error": "x" * 5000, **begin_login(client, "/login")})
        assert logins(app, *FIELDS) == [("failure", "provider_error", "", "oauth", {**PROVIDER, "error": "x" * 255})]


def test_a_provider_may_answer_with_a_form(provider: str) -> None:
    with closing_trail(create_app(provider)) as app:
        client = app.test_client()
        client.post("/authorize", data={"code": "good", **begin_login(client, "/login")})
        assert logins(app, *FIELDS) == [("success", None, "ada", "oauth", PROVIDER)]


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_body_is_left_to_the_view(provider: str, has_begun: bool) -> None:
    with closing_trail(create_app(provider)) as app:

        @app.post("/raw")
        def raw() -> bytes:
            return request.get_data()

        @app.post("/stream")
        def stream() -> bytes:
            return request.stream.read()

        client = app.test_client()
        if has_begun:
            begin_login(client, "/login")
        assert client.post("/raw", data={"state": "of mind"}).text == "state=of+mind"
        assert "of mind" in client.post("/stream", data={"state": (BytesIO(b"of mind"), "file")}).text

"""Flask-Login: an app as its documentation begins one."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user

from audit_service import LoginAudit, login_failed_signal, login_signal, record_error
from audit_service.adapters.telling import set_defaults
from audit_service.errors import AuditUnavailable, NotConfiguredError
from tests.support.told import closing_trail, errors, logins, lose_database

ADA_LOGGED_IN = ("login", "success", None, "ada", None)


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def create_app(*, audit_first: bool = False, asks_early: bool = False, **settings: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True, PROPAGATE_EXCEPTIONS=False, **settings)
    if asks_early:

        @app.before_request
        def look() -> None:
            assert current_user.is_authenticated

    if audit_first:
        LoginAudit(app)
    login_manager = LoginManager(app)
    if not audit_first:
        LoginAudit(app)

    @login_manager.user_loader
    def load_user(name: str) -> User:
        if name == "gone":
            raise RuntimeError("the users' database is away")
        return User(name)

    @app.post("/login")
    def login() -> str:
        login_user(User(request.form["name"]), remember="remember" in request.form)
        return "welcome"

    @app.post("/login-and-tell")
    def login_and_tell() -> str:
        login_user(User(request.form["name"]))
        login_signal.send(app, username=request.form["name"], method="badge")
        return "welcome"

    @app.post("/refuse")
    def refuse() -> tuple[str, int]:
        login_failed_signal.send(app, username=request.form["name"], reason="bad_password")
        return "no", 401

    @app.post("/logout")
    def logout() -> str:
        logout_user()
        return "goodbye"

    @app.get("/me")
    @login_required
    def me() -> str:
        return str(current_user.id)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("a view is broken")

    return app


@pytest.fixture
def app() -> Iterator[Flask]:
    with closing_trail(create_app()) as app:
        yield app


def login(client: FlaskClient, name: str = "ada", **more: str) -> Any:
    return client.post("/login", data={"name": name, **more})


def test_a_login_and_a_logout_are_events(app: Flask, client: FlaskClient) -> None:
    assert login(client).text == "welcome"
    client.get("/me")
    client.post("/logout")
    client.post("/logout")  # of nobody
    assert logins(app) == [ADA_LOGGED_IN, ("logout", "success", None, "ada", None)]


def test_a_login_that_the_app_tells_of_too_is_one_event(app: Flask, client: FlaskClient) -> None:
    client.post("/login-and-tell", data={"name": "ada"})
    client.post("/refuse", data={"name": "bob"})
    assert logins(app) == [
        ("login", "success", None, "ada", "badge"),
        ("login", "failure", "bad_password", "bob", None),
    ]


def test_requests_in_one_app_context_are_told_apart(app: Flask) -> None:
    """Tests of many apps have a fixture that opens one."""
    with app.app_context():
        for name in ("ada", "bob"):
            app.test_client().post("/login-and-tell", data={"name": name})
            login(app.test_client(), name)
    assert [name for (name,) in logins(app, "username")] == ["ada", "ada", "bob", "bob"]


def test_a_session_that_begins_with_the_cookie_is_remembered(app: Flask, client: FlaskClient) -> None:
    login(client, remember="on")
    client.delete_cookie("session")
    assert client.get("/me").text == "ada"
    client.get("/me")
    assert logins(app) == [ADA_LOGGED_IN, ("login", "success", None, "ada", "remembered")]


def test_the_first_request_of_a_process_may_begin_with_the_cookie() -> None:
    with closing_trail(create_app()) as before:
        client = before.test_client()
        login(client, remember="on")
        cookie = client.get_cookie("remember_token")
    assert cookie
    with closing_trail(create_app(asks_early=True)) as app:
        client = app.test_client()
        client.set_cookie("remember_token", cookie.value)
        assert client.get("/me").text == "ada"
        assert logins(app) == [("login", "success", None, "ada", "remembered")]


def test_the_status_names_the_adapters(app: Flask) -> None:
    assert "adapters  flask-login\n" in app.test_cli_runner().invoke(args=["audit", "status"]).output


@pytest.mark.parametrize("audit_first", [True, False])
def test_a_login_that_cannot_be_recorded_is_refused(audit_first: bool) -> None:
    with closing_trail(create_app(audit_first=audit_first, AUDIT_WRITE_TIMEOUT=0.1)) as app:
        client = app.test_client()
        lose_database(app)
        answer = login(client, remember="on")
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert client.get_cookie("remember_token") is None
        assert client.get("/me").status_code == 401


def test_the_app_may_answer_a_refused_login_itself() -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1)) as app:
        app.register_error_handler(AuditUnavailable, lambda _error: ("come back later", 503))
        client = app.test_client()
        lose_database(app)
        assert login(client).text == "come back later"
        assert client.get("/me").status_code == 401


def test_a_login_that_cannot_be_recorded_goes_on_where_it_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1, AUDIT_UNAVAILABLE="allow")) as app:
        client = app.test_client()
        lose_database(app)
        assert login(client, remember="on").text == "welcome"
        assert client.get_cookie("remember_token") is not None
        assert client.get("/me").text == "ada"
    assert "is lost (AUDIT_UNAVAILABLE=allow)" in caplog.text


def test_a_logout_goes_on_when_it_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1)) as app:
        client = app.test_client()
        login(client)
        lose_database(app)
        assert client.post("/logout").text == "goodbye"
        assert client.get("/me").status_code == 401
    assert "is lost: logout, success" in caplog.text


def test_an_error_event_has_the_name_of_the_user(app: Flask) -> None:
    for name in ("ada", "gone"):  # the second one only the session knows
        client = app.test_client()
        login(client, name)
        assert client.get("/broken").status_code == 500
    app.test_client().get("/broken")
    names = [name for (name,) in errors(app, "username")]
    assert names == ["ada", "gone", None]


def test_an_app_without_adapters_sends_its_own_signals() -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True)
    manager = LoginManager(app)
    manager.user_loader(User)
    LoginAudit(app, adapters=[])
    app.add_url_rule("/login", view_func=lambda: str(login_user(User("ada"))), methods=["POST"])
    with closing_trail(app):
        app.test_client().post("/login")
        assert logins(app) == []


def test_an_adapter_without_its_library_is_refused() -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True)
    LoginAudit(app, adapters=["flask-login"])
    with closing_trail(app), pytest.raises(NotConfiguredError, match="library is not set up on"):
        app.test_client().get("/")
    with pytest.raises(NotConfiguredError, match="there is no adapter 'flask-logon'"):
        LoginAudit(adapters=["flask-logon"])


def test_an_event_before_the_first_request_keeps_no_adapter_from_being_found() -> None:
    with closing_trail(create_app(audit_first=True)) as app:
        with app.app_context():
            login_signal.send(app, username="at the start")
        app.test_client().post("/login", data={"name": "ada"})
        assert logins(app, "username") == [("at the start",), ("ada",)]


def test_what_is_told_of_another_app_is_not_taken_for_this_ones() -> None:
    with closing_trail(create_app()) as app, closing_trail(create_app()) as other:
        error = RuntimeError("of both")

        @app.post("/both")
        def both() -> str:
            login_signal.send(other, username="bob")
            login_user(User("ada"))
            return "welcome"

        @app.get("/broken-in-both")
        def broken_in_both() -> str:
            record_error(error, other)
            raise error

        client = app.test_client()
        client.post("/both")
        client.get("/broken-in-both")
        assert (logins(app, "username"), logins(other, "username")) == ([("ada",)], [("bob",)])
        assert errors(app, "message") == errors(other, "message") == [("of both",)]


def test_a_login_that_fails_to_be_recorded_for_any_reason_does_not_happen() -> None:
    with closing_trail(create_app()) as app:

        @app.post("/too-much")
        def too_much() -> str:
            set_defaults(details={"more than": "an event takes" * 1000})
            login_user(User("ada"))
            return "welcome"

        client = app.test_client()
        assert client.post("/too-much").status_code == 503
        with client.session_transaction() as found:
            assert "_user_id" not in found
        assert logins(app) == []

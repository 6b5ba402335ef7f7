"""``audit_login``: Flask-JWT-Extended as its quick start has it, and any other login function."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, jsonify, redirect, request, session
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required

from audit_service import LoginAudit, Reason, audit_login, login_failed_signal
from tests.support.told import closing_trail, errors, logins, lose_database


def create_app(**settings: object) -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="a host's own",
        JWT_SECRET_KEY="a secret of the host's that is long enough",
        TESTING=True,
        PROPAGATE_EXCEPTIONS=False,
        **settings,
    )
    JWTManager(app)
    LoginAudit(app)

    @app.post("/login")
    @audit_login(method="jwt", username=lambda: request.json["username"], reasons={401: Reason.BAD_PASSWORD})
    def login() -> Any:
        if request.json["password"] != "test":
            return jsonify({"msg": "Bad username or password"}), 401
        session["user"] = request.json["username"]
        return jsonify(access_token=create_access_token(identity=request.json["username"]))

    @app.get("/protected")
    @jwt_required()
    def protected() -> Any:
        return jsonify(logged_in_as=get_jwt_identity())

    return app


def test_a_login_with_flask_jwt_extended_is_an_event() -> None:
    with closing_trail(create_app()) as app:
        client = app.test_client()
        token = client.post("/login", json={"username": "ada", "password": "test"}).get_json()["access_token"]
        assert client.post("/login", json={"username": "ada", "password": "wrong"}).status_code == 401
        answer = client.get("/protected", headers={"Authorization": f"Bearer {token}"})
        assert answer.get_json() == {"logged_in_as": "ada"}
        assert client.post("/login", json={}).status_code == 500
        assert logins(app) == [
            ("login", "success", None, "ada", "jwt"),
            ("login", "failure", "bad_password", "ada", "jwt"),
            ("login", "failure", "provider_error", "", "jwt"),
        ]
        assert errors(app, "exception_type") == [("KeyError",)]


@pytest.mark.parametrize(("unavailable", "status"), [("refuse", 503), ("allow", 200)])
def test_without_the_database_the_login_is_as_the_setting_says(unavailable: str, status: int) -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1, AUDIT_UNAVAILABLE=unavailable)) as app:
        client = app.test_client()
        lose_database(app)
        answer = client.post("/login", json={"username": "ada", "password": "test"})
        assert answer.status_code == status
        assert ("access_token" in answer.get_json()) is (unavailable == "allow")
        with client.session_transaction() as found:
            assert ("user" in found) is (unavailable == "allow")
        assert client.post("/login", json={"username": "ada", "password": "wrong"}).status_code == 401


def broken() -> str:
    raise RuntimeError("the provider is away")


def tell_by_hand() -> Any:
    login_failed_signal.send(username="ada", reason=Reason.UNKNOWN_USER)
    abort(401)


ANSWERS: list[tuple[Callable[[], Any], list[tuple[str, str | None]]]] = [
    (lambda: "welcome", [("success", None)]),
    (lambda: redirect("/"), [("success", None)]),
    (lambda: ("created", 201), [("success", None)]),
    (lambda: abort(redirect("/")), [("success", None)]),
    (lambda: abort(401), [("failure", "denied")]),
    (lambda: abort(403), [("failure", "denied")]),
    (lambda: abort(429), [("failure", "throttled")]),
    (lambda: abort(400), [("failure", "other")]),
    (lambda: ("away", 502), [("failure", "provider_error")]),
    (broken, [("failure", "provider_error")]),
    (tell_by_hand, [("failure", "unknown_user")]),
]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_login_function_does_is_the_event(is_async: bool) -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True, PROPAGATE_EXCEPTIONS=False)
    LoginAudit(app)
    for number, (answer, _expected) in enumerate(ANSWERS):

        async def view(answer: Callable[[], Any] = answer) -> Any:
            return answer()

        audited = audit_login(username=lambda: "ada")(view if is_async else answer)
        app.add_url_rule(f"/{number}", str(number), audited, methods=["GET", "POST"])
    with closing_trail(app):
        client = app.test_client()
        for number in range(len(ANSWERS)):
            client.get("/0")  # shows the form
            client.post(f"/{number}")
        assert logins(app, "outcome", "reason") == [event for _answer, expected in ANSWERS for event in expected]


def test_a_function_that_returns_none_is_a_failure() -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a host's own", TESTING=True)
    LoginAudit(app)

    @audit_login(username=lambda: request.form["name"], method="ldap")
    def find_user(name: str) -> str | None:
        return name if name == "ada" else None

    app.add_url_rule("/", view_func=lambda: find_user(request.form["name"]) or "nobody", methods=["POST"])
    with closing_trail(app):
        for name in ("ada", "eve"):
            app.test_client().post("/", data={"name": name})
        assert logins(app) == [
            ("login", "success", None, "ada", "ldap"),
            ("login", "failure", "denied", "eve", "ldap"),
        ]


def test_a_login_whose_user_has_no_name_leaves_no_session() -> None:
    with closing_trail(create_app()) as app:

        @app.post("/by-mail")
        @audit_login(username=lambda: request.json["username"])
        def by_mail() -> str:
            session["user"] = request.json["email"]
            return "welcome"

        client = app.test_client()
        assert client.post("/by-mail", json={"email": "ada@example.com"}).status_code == 500
        with client.session_transaction() as found:
            assert "user" not in found


def test_without_the_database_an_app_without_sessions_answers_503() -> None:
    with closing_trail(create_app(AUDIT_WRITE_TIMEOUT=0.1)) as app:
        app.secret_key = None
        app.add_url_rule("/token", view_func=audit_login(username=lambda: "ada")(lambda: "a token"), methods=["POST"])
        lose_database(app)
        assert app.test_client().post("/token").status_code == 503

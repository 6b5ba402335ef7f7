"""What a host answers with the extension is what it answers without, byte for byte."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Blueprint, Flask, Response, abort, flash, jsonify, render_template_string, request, session
from flask.json.provider import DefaultJSONProvider
from werkzeug.test import TestResponse

from audit_service import LoginAudit, login_signal
from tests.support.host_app import history

ASKED = [
    ("GET", "/"),
    ("GET", "/page?name=ada"),
    ("GET", "/json"),
    ("GET", "/session"),
    ("GET", "/session"),
    ("GET", "/area/inner/"),
    ("GET", "/area/inner/missing"),
    ("GET", "/broken"),
    ("GET", "/teapot"),
    ("GET", "/nowhere"),
    ("GET", "/api"),
    ("GET", "/api/"),
    ("GET", "/api/items"),
    ("OPTIONS", "/api/items"),
    ("DELETE", "/api/items"),
    ("GET", "/api/items/"),
    ("GET", "/api/nowhere"),
    ("POST", "/api/nowhere"),
    ("GET", "/static/none.css"),
    ("HEAD", "/page"),
    ("POST", "/page"),
    ("GET", "/stream"),
    ("GET", "/async"),
]


class Sorted(DefaultJSONProvider):
    """A JSON provider of the host's own."""

    compact = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(obj, indent=1, default=str)


def make_host(folder: Path) -> Flask:
    app = Flask("host", instance_path=str(folder))
    app.json = Sorted(app)
    app.config.update(SECRET_KEY="x" * 16, PROPAGATE_EXCEPTIONS=False, MAX_CONTENT_LENGTH=1000)
    area, inner = Blueprint("area", "area"), Blueprint("inner", "inner")
    order: list[str] = []

    @app.after_request
    def first(response: Response) -> Response:
        order.append("first")
        response.headers["X-Order"] = ",".join(order)
        return response

    @app.after_request
    def second(response: Response) -> Response:
        order[:] = ["second"]
        return response

    app.register_error_handler(404, lambda _error: ("the host's page", 404))
    app.register_error_handler(ZeroDivisionError, lambda _error: ("by zero", 500))
    inner.register_error_handler(404, lambda _error: ("the blueprint's page", 404))
    app.add_url_rule("/", view_func=lambda: "welcome", endpoint="home")
    app.add_url_rule("/json", view_func=lambda: jsonify(b=1, a=[1, None]), endpoint="json")
    app.add_url_rule("/teapot", view_func=lambda: abort(418), endpoint="teapot")
    app.add_url_rule("/api/items", view_func=lambda: {"items": []}, endpoint="items")
    app.add_url_rule("/stream", view_func=lambda: Response(iter(["a", "b"])), endpoint="stream")

    @app.get("/page")
    def page() -> str:
        return render_template_string("hello {{ request.args.get('name') }}")

    @app.get("/broken")
    def broken() -> str:
        raise LookupError

    @app.get("/session")
    def count() -> str:
        session["count"] = session.get("count", 0) + 1
        flash("again")
        return str(session["count"])

    @app.get("/async")
    async def slowly() -> str:
        return "in time"

    inner.add_url_rule("/", view_func=lambda: "inside", endpoint="inside")
    inner.add_url_rule("/missing", view_func=lambda: abort(404), endpoint="missing")
    area.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(area, url_prefix="/area")
    return app


def walk(app: Flask) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    client = app.test_client()

    def ask(method: str, path: str) -> TestResponse:
        return client.open(path, method=method)

    with time_machine.travel("2026-01-31T12:00:00Z", tick=False):
        answers = [ask(method, path) for method, path in ASKED]
    return [(answer.status_code, list(answer.headers), answer.get_data()) for answer in answers]


@pytest.mark.parametrize("is_migrated", [True, False], ids=["migrated", "not migrated"])
def test_the_answers_are_the_same(tmp_path: Path, is_migrated: bool) -> None:
    without = make_host(tmp_path / "without")
    audited = make_host(tmp_path / "with")
    LoginAudit(audited)
    if is_migrated:
        audited.test_cli_runner().invoke(args=["audit", "migrate"])
    for (method, path), one, other in zip(ASKED, walk(without), walk(audited), strict=True):
        assert one == other, f"{method} {path}"
    LoginAudit.close(audited)


def test_the_same_things_are_set_up(tmp_path: Path) -> None:
    """The host's objects are the ones that it had, and what is added is only ours."""
    app = make_host(tmp_path)
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    attributes = {"json", "session_interface", "logger", "wsgi_app", "config", "jinja_env", "aborter", "secret_key"}
    before = {name: getattr(app, name) for name in attributes}
    config, handled = dict(app.config), {code: dict(kinds) for code, kinds in app.error_handler_spec[None].items()}
    log_handlers = list(app.logger.handlers)
    LoginAudit(app)
    for name in attributes - {"wsgi_app"}:
        assert getattr(app, name) is before[name]
    assert app.wsgi_app == before["wsgi_app"]
    assert dict(app.config) == config
    assert (logging.getLogger().level, logging.getLogger().handlers) == (level, handlers)
    assert app.logger.handlers == log_handlers
    for code, kinds in handled.items():
        assert kinds.items() <= app.error_handler_spec[None][code].items()
    LoginAudit.close(app)


Enter = Callable[[Flask], None]


def add_view(app: Flask) -> None:
    @app.post("/enter")
    def enter() -> str:
        login_signal.send(app, username=request.form["name"])
        return "welcome"


def add_async_view(app: Flask) -> None:
    @app.post("/enter")
    async def enter() -> str:
        login_signal.send(app, username=request.form["name"])
        return "welcome"


def add_nested_view(app: Flask) -> None:
    outer, inner = Blueprint("outer", "outer"), Blueprint("inside", "inside")

    @inner.post("/enter")
    def enter() -> str:
        login_signal.send(username=request.form["name"])
        return "welcome"

    outer.register_blueprint(inner)
    app.register_blueprint(outer)


@pytest.mark.parametrize("add", [add_view, add_async_view, add_nested_view])
@pytest.mark.parametrize("is_early", [True, False], ids=["LoginAudit first", "LoginAudit last"])
@pytest.mark.parametrize("root", ["", "/below"])
def test_a_login_in_any_kind_of_view(tmp_path: Path, add: Enter, is_early: bool, root: str) -> None:
    app = Flask("host", instance_path=str(tmp_path))
    app.testing = True
    if is_early:
        LoginAudit(app)
    add(app)
    if not is_early:
        LoginAudit(app)
    client = app.test_client()
    answer = client.post("/enter", data={"name": "ada"}, environ_overrides={"SCRIPT_NAME": root})
    assert answer.text == "welcome"
    assert [item["username"] for item in history(app)] == ["ada"]
    refused = client.get("/api/logins", environ_overrides={"SCRIPT_NAME": root})
    assert (refused.status_code, refused.get_json()["type"]) == (401, f"{root}/api/problems/not-authenticated")
    LoginAudit.close(app)

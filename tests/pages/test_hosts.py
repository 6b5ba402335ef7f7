"""The pages in somebody else's app."""

import re
from pathlib import Path

import pytest
from flask import Flask, Response
from flask_login import LoginManager, UserMixin, login_user
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]
from jinja2 import DictLoader

from audit_service import LoginAudit, Role, Viewer, login_signal
from audit_service.errors import NotConfiguredError
from tests.support.documents import blocks, section
from tests.support.told import closing_trail

BROWSER = {"Accept": "text/html"}
AUDITOR = Viewer(name="eve", role=Role.AUDITOR)
OWN = (
    "<html><title>{% block title %}{% endblock %}</title><body class=shop>{% block main %}{% endblock %}</body></html>"
)


def create_host(folder: Path, **arguments: object) -> Flask:
    app = Flask("shop", instance_path=str(folder))
    app.testing = True
    app.secret_key = "k" * 16
    app.jinja_options = {"autoescape": False}
    app.jinja_loader = DictLoader({"shop.html": OWN})
    LoginAudit(app, **{"pages": "/audit", **arguments})  # type: ignore[arg-type]

    @app.get("/")
    def home() -> str:
        return "the shop"

    return app


def test_an_app_shows_the_pages_in_its_own_frame(tmp_path: Path) -> None:
    auditor = Viewer(name="<b>eve</b>", role=Role.AUDITOR)
    with closing_trail(create_host(tmp_path, frame="shop.html", session_viewer=lambda: auditor)) as app:
        login_signal.send(app, username="<script>ada</script>")
        client = app.test_client()
        page = client.get("/audit/logins/", headers=BROWSER)
        assert page.status_code == 200
        assert "<body class=shop>" in page.text
        assert "&lt;script&gt;ada" in page.text
        assert "<script>ada" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert client.get("/audit/", headers=BROWSER).status_code == 200
        with client.get("/audit/static/bootstrap.css") as css:
            assert css.status_code == 200
        assert client.get("/audit/accounts/").status_code == 404  # a host has accounts of its own
        assert client.get("/").text == "the shop"
        assert "Content-Security-Policy" not in client.get("/").headers
        assert client.post("/audit/preferences/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_without_a_reader_the_pages_are_closed(tmp_path: Path) -> None:
    with closing_trail(create_host(tmp_path)) as app:
        for path in ("/audit/", "/audit/logins/", "/audit/errors/", "/audit/changes/", "/audit/logins/chart.svg"):
            assert app.test_client().get(path, headers=BROWSER).status_code == 401


@pytest.mark.parametrize("template", ["{{ 1 / 0 }}{% block main %}{% endblock %}", "{% block main %}"])
def test_an_app_whose_own_frame_fails_answers_500(tmp_path: Path, template: str) -> None:
    with closing_trail(create_host(tmp_path, frame="broken.html", session_viewer=lambda: None)) as app:
        app.testing = False
        app.jinja_loader = DictLoader({"broken.html": template})
        for path in ("/audit/", "/audit/logins/1"):
            answer = app.test_client().get(path, headers=BROWSER)
            assert (answer.status_code, answer.mimetype) == (500, "text/html")
            assert "1 / 0" not in answer.text


def test_a_path_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotConfiguredError, match="pages"):
        LoginAudit(Flask("shop", instance_path=str(tmp_path)), pages="audit")


def test_the_frame_has_the_names_of_the_app_and_leads_from_page_to_page(tmp_path: Path) -> None:
    app = create_host(tmp_path, frame="own.html", session_viewer=lambda: AUDITOR)
    app.context_processor(lambda: {"theme": "pink", "language": "de", "_": lambda text: f"<{text}>"})
    own = "[{{ theme }} {{ language }} {{ _('Basket') }} {{ viewer }}]{% block main %}{% endblock %}"
    app.jinja_loader = DictLoader({"own.html": own})
    with closing_trail(app):
        page = app.test_client().get("/audit/", headers={**BROWSER, "Accept-Language": "zh"})
        assert page.text.startswith("[pink de <Basket> ]")  # this app escapes nothing
        assert '<div lang="zh">' in page.text
        for path in ("/audit/logins/", "/audit/errors/", "/audit/changes/"):
            assert f'href="{path}"' in page.text


@pytest.mark.parametrize(
    ("templates", "told"),
    [
        ({"own.html": "{% block content %}{% endblock %}"}, "shows no block 'main'"),
        ({"own.html": "{{ 1 // 0 }}{% block main %}{% endblock %}"}, "ZeroDivisionError"),
        ({}, "TemplateNotFound: own.html"),
    ],
)
def test_a_frame_that_cannot_be_used_is_told(
    tmp_path: Path, templates: dict[str, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_host(tmp_path, frame="own.html", session_viewer=lambda: AUDITOR)
    app.jinja_loader = DictLoader(templates)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with closing_trail(app):
        page = app.test_client().get("/audit/", headers=BROWSER)
        assert page.status_code == 500
        assert "<h1>Error 500</h1>" in page.text
        assert told in caplog.text


@pytest.mark.parametrize("pages", ["", "/"])
def test_the_pages_take_no_address_of_the_app(tmp_path: Path, pages: str) -> None:
    app = create_host(tmp_path, pages=pages)
    with (
        closing_trail(app),
        pytest.raises(NotConfiguredError, match=r"^/ of the audit trail's pages is .*'home'.*pages='/audit'"),
    ):
        app.test_client().get("/")


def test_who_has_to_log_in_is_sent_to_the_login_view_of_flask_login(tmp_path: Path) -> None:
    app = create_host(tmp_path, session_viewer=lambda: None)
    manager = LoginManager(app)

    def load(name: str) -> UserMixin:
        user = UserMixin()
        user.id = name
        return user

    manager.user_loader(load)

    @app.get("/sign-in")
    def sign_in() -> str:
        login_user(load("ada"))
        return "welcome"

    with closing_trail(app):
        client, path = app.test_client(), "/audit/logins/?outcome=failure"
        page = client.get(path, headers=BROWSER)
        assert page.status_code == 401
        assert "you have to log in" in page.text
        assert "Bearer" not in page.text
        manager.login_view = "sign_in"
        sent = client.get(path, headers=BROWSER)
        assert (sent.status_code, sent.location) == (302, "/sign-in?next=%2Faudit%2Flogins%2F%3Foutcome%3Dfailure")
        assert client.get("/audit/", headers={"Accept": "application/json"}).get_json() == {
            "username": None,
            "role": None,
        }
        assert client.get("/sign-in").text == "welcome"
        assert client.get(path, headers=BROWSER).status_code == 401  # the login view would send ada back


def test_a_form_of_the_pages_has_the_token_of_an_app_that_asks_for_one(tmp_path: Path) -> None:
    app = create_host(tmp_path, session_viewer=lambda: AUDITOR)
    CSRFProtect(app)
    with closing_trail(app):
        client = app.test_client()
        assert client.post("/audit/preferences/", data={"language": "zh"}).status_code == 400
        token = re.findall('name="csrf_token" value="([^"]+)"', client.get("/audit/", headers=BROWSER).text)[0]
        sent = client.post("/audit/preferences/", data={"language": "zh", "csrf_token": token})
        assert (sent.status_code, sent.location) == (303, "/")


def test_the_template_of_the_documents_fits_a_base_and_a_policy_of_the_app(tmp_path: Path) -> None:
    head = "<title>{% block title %}{% endblock %}</title>{% block head %}<style>{% endblock %}"
    base = head + "{% block content %}{% endblock %}"
    (audit_base,) = blocks(section("docs/pages.md", "In an app"), "html")
    app = create_host(tmp_path, frame="audit_base.html", session_viewer=lambda: AUDITOR)
    app.jinja_loader = DictLoader({"base.html": base, "audit_base.html": audit_base})

    @app.after_request
    def allow_inline(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self' 'unsafe-inline'; img-src 'self' data:"
        return response

    with closing_trail(app):
        page = app.test_client().get("/audit/", headers=BROWSER)
        assert page.headers.getlist("Content-Security-Policy") == [
            "default-src 'self' 'unsafe-inline'; img-src 'self' data:"
        ]
        assert "<title>Your activity</title>" in page.text
        assert page.text.index("/audit/static/audit/audit.css") < page.text.index("<style>")
        assert "<h1>Your activity</h1>" in page.text

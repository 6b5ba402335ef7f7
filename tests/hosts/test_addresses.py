"""Where the API answers in a host: at its own addresses only, which the host may choose."""

from pathlib import Path

import pytest
from flask import Flask

from audit_service import LoginAudit
from audit_service.errors import NotConfiguredError
from tests.support.host_app import history, read_headers


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask("host", instance_path=str(tmp_path))
    app.config.update(TESTING=True, SECRET_KEY="x" * 16)
    return app


def add_logins(app: Flask, path: str = "/api/logins") -> None:
    app.add_url_rule(path, view_func=lambda **_: "the host's own", endpoint="own_logins")


def test_the_api_can_be_put_elsewhere(app: Flask) -> None:
    add_logins(app)
    LoginAudit(app, api="/audit/api")
    assert history(app, "/audit/api/logins") == []
    client = app.test_client()
    assert client.get("/api/logins").text == "the host's own"
    document = client.get("/audit/api/openapi.json").get_json()
    assert [path for path in document["paths"] if not path.startswith("/audit/api/")] == []
    page = client.get("/audit/api/logins?limit=1", headers=read_headers(app))
    assert page.status_code == 200
    LoginAudit.close(app)


def test_the_api_can_be_left_out(app: Flask) -> None:
    LoginAudit(app, api=None)
    assert [rule.rule for rule in app.url_map.iter_rules() if "static" not in rule.rule] == []
    assert app.test_client().get("/api/logins").status_code == 404
    LoginAudit.close(app)


@pytest.mark.parametrize("path", ["/api/logins", "/api/logins/<string:which>"])
def test_an_address_that_the_host_has_stops_the_start(app: Flask, path: str) -> None:
    add_logins(app, path)
    with pytest.raises(NotConfiguredError, match=r"^/api/logins.* is an address of the app, too.*'own_logins'.*api='"):
        LoginAudit(app)


def test_an_address_that_the_host_adds_later_stops_the_first_request(app: Flask) -> None:
    LoginAudit(app)
    add_logins(app)
    with pytest.raises(NotConfiguredError, match="'own_logins'"):
        app.test_client().get("/")
    LoginAudit.close(app)


@pytest.mark.parametrize("path", ["audit", "/audit/<int:number>"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(NotConfiguredError, match="api must be a path such as '/audit/api', or None"):
        LoginAudit(api=path)

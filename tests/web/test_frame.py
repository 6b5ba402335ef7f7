"""The frame of the pages in an app with templates of its own."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import Environment

from tests.support.logins import BROWSER


@pytest.mark.parametrize("backend", ["sqlite"])  # the login form asks no database
def test_templates_are_compiled_once(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client.get("/login/", headers=BROWSER)
    monkeypatch.setattr(Environment, "compile", None)
    assert client.get("/login/", headers=BROWSER).status_code == 200

"""An OAuth 2 provider on 127.0.0.1: it gives a token for the code ``good``, and knows its user, ``ada``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask, jsonify, request
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from tests.support.in_thread import serving


@contextmanager
def running_provider() -> Iterator[str]:
    """Start it; give its address."""
    app = Flask("provider")

    @app.post("/token")
    def token() -> Any:
        if request.form["code"] != "good":
            return jsonify(error="invalid_grant"), 400
        return jsonify(access_token="a token", token_type="Bearer")

    @app.get("/user")
    def user() -> Any:
        return jsonify(username="ada")

    with serving(make_server("127.0.0.1", 0, app)) as url:
        yield url


def begin_login(client: FlaskClient, path: str) -> dict[str, str]:
    """Go to the login of an app; return what the provider sends back with the user, without its own answer."""
    location = client.get(path).location
    return {"state": parse_qs(urlsplit(location).query)["state"][0]}

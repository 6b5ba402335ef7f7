"""What a login request says, as a form or as JSON."""

from typing import Any

import msgspec
from flask import Request
from werkzeug.exceptions import BadRequest, LengthRequired, UnsupportedMediaType

from audit_service.errors import ParameterError
from audit_service.request_info import real_request


class Credentials(msgspec.Struct, frozen=True):
    """As sent; nothing is cleaned yet."""

    username: str
    password: str


def read_credentials() -> Credentials:
    """Read the body. Raises ``ParameterError`` (a field), ``BadRequest`` (no JSON object), ``UnsupportedMediaType``."""
    current = real_request()
    _require_whole_body(current)
    fields = _fields(current)
    username, password = (_text(fields, name) for name in ("username", "password"))
    if not username.strip():
        raise ParameterError("username", "please enter a username")
    return Credentials(username=username.strip(" "), password=password)


def _require_whole_body(request: Request) -> None:
    """A body that was cut, on its way or at our limit, must not pass for what its sender meant."""
    if request.content_length is None and "HTTP_TRANSFER_ENCODING" in request.environ:
        raise LengthRequired("send the body with its Content-Length")
    # A server that ends the stream by itself ends it as well where the connection broke. So Werkzeug shall count the
    # bytes: it then refuses (400) what is shorter than its Content-Length, and reads no body that has none.
    request.environ.pop("wsgi.input_terminated", None)


def _fields(request: Request) -> dict[str, Any]:
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data", ""):
        return request.form.to_dict()
    if not request.is_json:
        raise UnsupportedMediaType(
            "send username and password as application/x-www-form-urlencoded, multipart/form-data or application/json"
        )
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        raise BadRequest('the JSON body must be an object: {"username": "…", "password": "…"}')
    return body


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise ParameterError(name, f"{name} must be a text")
    return value

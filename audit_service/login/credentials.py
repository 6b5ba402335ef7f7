"""The fields of a login request, sent as a form or as JSON."""

from collections.abc import Sequence
from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest, LengthRequired, UnsupportedMediaType

from audit_service.errors import ParameterError
from audit_service.events.request_info import real_request


def read_texts(*names: str) -> list[str]:
    """Return the fields of these *names* as they were sent, "" for one that is missing; nothing is cleaned yet.

    Raises ``ParameterError`` (a field), ``BadRequest`` (no JSON object), ``UnsupportedMediaType``.
    """
    current = real_request()
    require_whole_body(current)
    fields = _fields(current, names)
    return [_text(fields, name) for name in names]


def require_whole_body(request: Request) -> None:
    """A body that was cut, on its way or at our limit, must not pass for what the client meant."""
    if request.content_length is None and "HTTP_TRANSFER_ENCODING" in request.environ:
        raise LengthRequired("send the body with its Content-Length")
    # A server that ends the stream by itself ends it as well where the connection broke. So Werkzeug shall count the
    # bytes: it then refuses (400) what is shorter than its Content-Length, and reads no body that has none.
    request.environ.pop("wsgi.input_terminated", None)


def _fields(request: Request, names: Sequence[str]) -> dict[str, Any]:
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data", ""):
        return request.form.to_dict()
    if not request.is_json:
        raise UnsupportedMediaType(
            f"send {' and '.join(names)} as application/x-www-form-urlencoded, multipart/form-data or application/json"
        )
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        raise BadRequest(f"the JSON body must be an object with {' and '.join(names)}")
    return body


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise ParameterError(name, f"{name} must be a text")
    return value

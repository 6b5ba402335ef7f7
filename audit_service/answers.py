"""The one error shape: ``application/problem+json`` (RFC 9457), for every status of the API and the login views."""

from http import HTTPStatus

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException


class Problem(msgspec.Struct, omit_defaults=True):
    """The members of RFC 9457 that we use; ``parameter`` names what was wrong in the request, if one thing was."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    parameter: str | None = None


def problem(
    status: int, detail: str, *, parameter: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Make the answer. *detail* is for people: it says what to do, and repeats nothing that is secret."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, parameter=parameter)
    response = Response(msgspec.json.encode(body), status, content_type="application/problem+json")
    response.headers.update({"Cache-Control": "no-store", **(headers or {})})
    return response


def from_http_exception(error: HTTPException) -> Response:
    """Turn one of Werkzeug's exceptions (404, 405, 413, …) into a problem; headers such as ``Allow`` are kept."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    headers = dict(error.get_headers())
    headers.pop("Content-Type", None)
    return problem(error.code or 500, error.description or "", headers=headers)

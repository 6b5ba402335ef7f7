"""Makers of answers: JSON, and the one error shape, ``application/problem+json`` (RFC 9457)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from audit_service.errors import AuditUnavailable, NotConfiguredError, ParameterError
from audit_service.storage.outages import (
    DATABASE_ERRORS,
    NOT_MIGRATED,
    QUERY_CANCELED,
    driver_error,
    is_outage,
    is_unmigrated,
    sqlstate,
)
from audit_service.storage.sqlite_file import MissingError
from audit_service.values.flood import Flood
from audit_service.web.problems import ProblemType, problem_type

# What is personal must not stay in any cache; and a page or JSON comes, as the client prefers.
_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept, Cookie"}


class Problem(msgspec.Struct, omit_defaults=True):
    """The members of RFC 9457 that we use; ``parameter`` names what was wrong in the request, if one thing was."""

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = None


# What our own views answer: these are not unhandled exceptions, of which Flask tells `got_request_exception`.
# Those of a database that are faults of ours are raised again by `describe_and_log`, and so reported all the same.
OUR_ERRORS = (ParameterError, AuditUnavailable, *DATABASE_ERRORS)
_MEANING = "audit_api.show_problem"  # the view of the API
_EXTENSION = "audit_unavailable_answers"
LOG_INTERVAL = timedelta(minutes=1)
# By their codes, too: a blueprint's handler of a class gives way to an app's handler of a code.
_CODES = (400, 401, 403, 404, 405, 409, 410, 411, 413, 415, 429, 500, 503)


def register_errors(
    target: Flask | Blueprint, answer: Callable[[Exception], AnyResponse], kinds: tuple[type[Exception], ...] = ()
) -> None:
    """Let *answer* make the answer to every HTTP error that *target* meets, and to exceptions of *kinds*."""
    target.register_error_handler(HTTPException, answer)
    for kind in kinds:
        target.register_error_handler(kind, answer)
    for code in _CODES:
        target.register_error_handler(code, answer)


def json_answer(body: object, status: int = 200) -> Response:
    """Answer with *body* as JSON."""
    return Response(_encode(body), status, content_type="application/json", headers=_HEADERS)


def prefers_html() -> bool:
    """Tell whether a page is wanted more than JSON; curl and most clients accept anything, and get JSON."""
    accepts = request.accept_mimetypes
    return accepts["text/html"] > accepts["application/json"]


def html_answer(html: str, status: int = 200, error: Exception | None = None) -> Response:
    """Answer with the page *html*; one about an *error* has the headers that belong to it."""
    return Response(html, status, headers={**_HEADERS, **_headers(error)})


def is_of_client(error: Exception) -> bool:
    """Tell whether *error* says what is wrong with the request, and not with us."""
    if isinstance(error, HTTPException):
        return (error.code or HTTPStatus.INTERNAL_SERVER_ERROR) < HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, ParameterError)


def problem(error: Exception) -> Response:
    """Answer with the problem that *error* is; the texts are for people and say what to do."""
    status, detail = describe_and_log(error)
    parameter = error.parameter if isinstance(error, ParameterError) else None
    known = problem_type(status, has_parameter=parameter is not None)
    body = Problem(type=_uri(known), title=HTTPStatus(status).phrase, status=status, detail=detail, parameter=parameter)
    headers = {**_HEADERS, **_headers(error)}
    return Response(_encode(body), status, content_type="application/problem+json", headers=headers)


def _uri(known: ProblemType | None) -> str:
    """Return the address of what the API says of a *known* type, or the one that RFC 9457 has for no type."""
    if known is None or _MEANING not in current_app.view_functions:
        return "about:blank"
    # Not `url_for`, which fails for a request whose `Host` no adapter can be made of.
    path = current_app.url_map.bind("localhost").build(_MEANING, {"name": known.name})
    return quote(request.script_root) + path


def describe_and_log(error: Exception) -> tuple[int, str]:
    """Return the status of *error* and a text for people that repeats nothing that is secret.

    Raises *error* again if it is a fault of ours: then Flask reports it, and answers 500.
    """
    if isinstance(error, HTTPException):
        return error.code or 500, error.description or ""
    if isinstance(error, ParameterError):
        return error.status, error.detail
    return 503, _unavailable(error)


def _unavailable(error: Exception) -> str:
    if sqlstate(error) == QUERY_CANCELED:
        return "this takes the database too long: please ask for less, for example with since and until"
    if is_unmigrated(error) or isinstance(driver_error(error), MissingError):
        _log(NOT_MIGRATED, driver_error(error))
        return NOT_MIGRATED
    if isinstance(error.__cause__, NotConfiguredError):  # why an event cannot be recorded
        return str(error.__cause__)
    if isinstance(error, AuditUnavailable):
        _log(str(error), error.__cause__)
        return "this cannot be recorded at the moment, so it is not done; please try again in a minute"
    if not is_outage(error):
        raise error
    _log("the database cannot serve", driver_error(error))
    return "the database does not answer at the moment; please try again in a minute"


def _log(what: str, cause: BaseException | None) -> None:
    """Log why a request is answered 503: once a minute for each reason, and then how many others were.

    Any client can ask while the database is away, and a line for each answer would fill a disk.
    """
    new: Flood[str] = Flood(LOG_INTERVAL, recorded=1, keys=100)
    answers: Flood[str] = current_app.extensions.setdefault(_EXTENSION, new)
    now = datetime.now(UTC)
    for reason, count, first, last in answers.take_due(now):
        times = f"{first:%Y-%m-%d %H:%M:%S} and {last:%H:%M:%S} UTC"
        current_app.logger.error("%s (%d more answers between %s)", reason or "other reasons", count, times)
    reason = f"{what}: {cause}".splitlines()[0]
    if answers.admit(reason, now):
        current_app.logger.error(reason)


def _encode(body: object) -> bytes:
    return msgspec.json.encode(body) + b"\n"  # so that a terminal's next line is its own


def _headers(error: Exception | None) -> dict[str, str]:
    """Keep what belongs to the status, such as ``Allow`` and ``WWW-Authenticate``."""
    headers = dict(error.get_headers()) if isinstance(error, HTTPException) else {}
    headers.pop("Content-Type", None)
    return headers

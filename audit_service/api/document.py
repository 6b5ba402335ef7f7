"""The OpenAPI 3.1 document of the API, made of what the views declare."""

import importlib.metadata
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from audit_service.api.operations import OPERATIONS, Access, Answer, Operation, blueprint, log_blueprint
from audit_service.api.schemas import parameters, schema_of, schemas
from audit_service.web.answers import Problem

_HEADERS = {
    "Link": ("string", 'The next page, `rel="next"` (RFC 8288).'),
    "ETag": ("string", "Send it as `If-None-Match`: the answer is 304 as long as it is this one."),
    "Event-Count": ("integer", "How many events there are; a stream that breaks off has fewer."),
    "Content-Disposition": ("string", "A name for the file, with the time."),
}


def document(base: str, prefix: str, log_prefix: str) -> dict[str, Any]:
    """Return the document; *base* is the path that the app is mounted at, "" for none, *prefix* the API's in the app.

    *log_prefix* is that of the log's files.

    Operations that need no authentication come last.
    """
    prefixes = {blueprint.name: prefix, log_blueprint.name: log_prefix}
    operations = sorted(OPERATIONS, key=lambda operation: operation.access is Access.EVERYBODY)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Login audit",
            "version": importlib.metadata.version("audit-service"),
            "description": "The history of logins, errors and admin events. It can be read, and nothing else.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base or "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": {
            f"{prefixes[operation.blueprint]}{operation.path}": {"get": _described(operation)}
            for operation in operations
        },
        "components": {
            "schemas": schemas(
                [kind for operation in operations for kind in operation.takes],
                [Problem, *(kind for operation in operations for kind in operation.answer.content.values())],
            ),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token with the scope `read`."},
                "session": {"type": "apiKey", "in": "cookie", "name": "audit_session", "description": "Of `/login/`."},
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    problems = [*operation.others]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
    }
    if operation.access is Access.EVERYBODY:
        described["security"] = []
    else:
        problems += [HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE]
    if operation.access is Access.AUDITORS:
        problems.append(HTTPStatus.FORBIDDEN)
    segments = [{"name": name, "in": "path", "required": True, **given} for name, given in operation.segments.items()]
    described["parameters"] = [*segments, *parameters(*operation.takes)]
    described["responses"] = {"200": _answer(operation.answer), **_others(sorted(problems))}
    return described


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": answer.description,
        "content": {media_type: {"schema": schema_of(kind)} for media_type, kind in answer.content.items()},
    }
    if answer.headers:
        headers = {name: _HEADERS[name] for name in answer.headers}
        described["headers"] = {
            name: {"description": meaning, "schema": {"type": type_}} for name, (type_, meaning) in headers.items()
        }
    return described


def _others(statuses: Sequence[HTTPStatus]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": schema_of(Problem)}}
    return {
        str(status.value): {"description": "It is the one that you have."}
        if status is HTTPStatus.NOT_MODIFIED
        else {"description": status.phrase, "content": content}
        for status in statuses
    }

"""The OpenAPI 3.1 document of the API."""

import importlib.metadata
from http import HTTPStatus
from typing import Any

import audit_service.events.base as events
from audit_service.api.schemas import parameters, reference, schemas
from audit_service.events import kinds
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS
from audit_service.history.export import CONTENT_TYPES
from audit_service.history.parameters import GroupLimit, Name, Paging, Sorting
from audit_service.history.summary import Summing
from audit_service.web.answers import Problem
from audit_service.web.problems import KINDS

_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]
_LINK = {"description": 'The next page, `rel="next"` (RFC 8288).', "schema": {"type": "string"}}
_ETAG = {"description": "Of this event; it never changes.", "schema": {"type": "string"}}
_PAGE_ETAG = {"description": "Send it as `If-None-Match`.", "schema": {"type": "string"}}
_COUNT = {
    "description": "How many events there are; a stream that breaks off has fewer.",
    "schema": {"type": "integer"},
}
_FILE = {"description": "A name for the file, with the time.", "schema": {"type": "string"}}
_TEXT = {"schema": {"type": "string"}}


def document(base: str) -> dict[str, Any]:
    """Return the document; *base* is the path that the app is mounted at, "" for none."""
    paths: dict[str, Any] = {}
    for collection in kinds.KINDS:
        paths |= _collection_paths(collection)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Login audit",
            "version": importlib.metadata.version("audit-service"),
            "description": "The history of logins, errors and admin events. It can be read, and nothing else.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base or "/"}],
        "security": _SECURITY,
        "paths": {**paths, **_figures(), **_descriptions()},
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token with the scope `read`."},
                "session": {"type": "apiKey", "in": "cookie", "name": "audit_session", "description": "Of `/login/`."},
            },
        },
    }


def _collection_paths(collection: events.Kind) -> dict[str, Any]:
    path, item = f"/api/{collection.collection}", collection.item.__name__
    name = collection.collection.title().replace("-", "")
    only = collection.auditors_only
    exports = {_media_type(content_type): _TEXT for content_type in CONTENT_TYPES.values()}
    listed = {"application/json": {"schema": reference(f"{item}Page")}, **exports}
    event_id = {"type": "string", "format": "uuid"}
    paths = {
        path: _operation(
            f"list{name}",
            f"List {collection.what}",
            "A page as JSON; or all that match as CSV or NDJSON, as `Accept` prefers, and then without `limit` and "
            "`cursor`. Follow `next_url` (also in `Link`) until it is null. With `order=arrival` there is always a "
            "`next`: ask for it again later; a page may then have fewer events than `limit`, or none.",
            parameters(collection.filters, Paging),
            {"200": {"description": "A page, or everything.", "content": listed, "headers": {"Link": _LINK}}},
            auditors_only=only,
        ),
        f"{path}/{{event_id}}": _operation(
            f"show{name}",
            f"One of the {collection.what}",
            "An event never changes: send its `ETag` as `If-None-Match`, and the answer is 304.",
            [{"name": "event_id", "in": "path", "required": True, "schema": event_id, "description": "its `id`"}],
            {
                **_json_answer(item, ETag=_ETAG),
                "304": {"description": "It is the one that you have."},
                "404": _problem_answer(HTTPStatus.NOT_FOUND),
            },
            auditors_only=only,
        ),
    }
    for form, content_type in CONTENT_TYPES.items():
        content = {_media_type(content_type): _TEXT}
        headers = {"Content-Disposition": _FILE, "Event-Count": _COUNT}
        paths[f"{path}.{form}"] = _operation(
            f"export{name}{form.title()}",
            f"Export {collection.what} as {form.upper()}",
            "Everything that matches, as a stream, one event a line.",
            parameters(collection.filters, Sorting),
            {"200": {"description": "All that match.", "content": content, "headers": headers}},
            auditors_only=only,
        )
    return paths


def _figures() -> dict[str, Any]:
    return {
        "/api/logins/summary": _operation(
            "summariseLogins",
            "Count logins by time or by a field",
            "Counts logins, failed logins and logouts of the last 30 days, unless `since` says otherwise.",
            parameters(LOGINS.filters, Summing),
            _json_answer("Summary"),
        ),
        "/api/logins/last": _operation(
            "lastLogins",
            "The last logins of a name",
            "The last that succeeded, the last that failed, and how many failed since the one that succeeded.",
            parameters(Name),
            _json_answer("LastLogins"),
        ),
        "/api/errors/groups": _operation(
            "groupErrors",
            "Errors by fingerprint",
            "Groups the errors of the last 30 days, unless `since` says otherwise; the newest group first.",
            parameters(ERRORS.filters, GroupLimit),
            _json_answer("ErrorGroups"),
            auditors_only=ERRORS.auditors_only,
        ),
    }


def _descriptions() -> dict[str, Any]:
    """What the API says of itself, to everybody."""
    names = {"type": "string", "enum": [kind.name for kind in KINDS]}
    headers, same = {"ETag": _PAGE_ETAG}, {"304": {"description": "It is the one that you have."}}
    page = {"description": "The page.", "content": {"text/html": _TEXT}, "headers": headers}
    content = {"application/json": {"schema": {"type": "object"}}}
    itself = {"description": "The document.", "content": content, "headers": headers}
    return {
        "/api/openapi.json": _public("showOpenapi", "This document", [], {"200": itself, **same}),
        "/api/docs": _public("showDocs", "This document as a page", [], {"200": page, **same}),
        "/api/problems/{name}": _public(
            "showProblem",
            "What a kind of problem means",
            [{"name": "name", "in": "path", "required": True, "schema": names, "description": "the end of its `type`"}],
            {**_json_answer("Kind"), "404": _problem_answer(HTTPStatus.NOT_FOUND)},
        ),
    }


def _operation(
    name: str,
    summary: str,
    description: str,
    given: list[dict[str, Any]],
    answers: dict[str, Any],
    *,
    auditors_only: bool = False,
) -> dict[str, Any]:
    statuses = [HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE]
    if auditors_only:
        statuses.append(HTTPStatus.FORBIDDEN)
    every = {**answers, **{str(status.value): _problem_answer(status) for status in statuses}}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "description": description,
            "parameters": given,
            "responses": dict(sorted(every.items())),
        }
    }


def _public(name: str, summary: str, given: list[dict[str, Any]], answers: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "description": "For everybody: it needs no authentication.",
            "security": [],
            "parameters": given,
            "responses": answers,
        }
    }


def _json_answer(name: str, **headers: Any) -> dict[str, Any]:
    answer = {"description": HTTPStatus.OK.phrase, "content": {"application/json": {"schema": reference(name)}}}
    return {"200": {**answer, "headers": headers} if headers else answer}


def _problem_answer(status: HTTPStatus) -> dict[str, Any]:
    return {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": reference(Problem.__name__)}},
    }


def _media_type(content_type: str) -> str:
    return content_type.split(";", maxsplit=1)[0]

"""The operations of the API: who may ask, what is taken and what is answered, declared with each view.

A view is called as it is declared, and the OpenAPI document is made of the same declarations.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from http import HTTPStatus
from typing import Any

import msgspec
from werkzeug.wrappers import Response

from audit_service.access.viewer import viewer_for
from audit_service.api.queries import parse_query
from audit_service.web.routes import PlainBlueprint

View = Callable[..., Response]

blueprint = PlainBlueprint(
    "audit_api",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/docs/static",
)

log_blueprint = PlainBlueprint("audit_log", __name__)  # the log's files have an address of their own


class Access(Enum):
    """Who may ask."""

    EVERYBODY = "everybody, without authentication"
    VIEWERS = "users, who see what is theirs, and auditors"
    AUDITORS = "auditors, admins, and tokens that may read"


class Answer(msgspec.Struct, frozen=True):
    """What is answered with the status 200: by its media type, of JSON the type it is made of, of others ``str``."""

    content: Mapping[str, Any]
    description: str = HTTPStatus.OK.phrase
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What the document tells of a view."""

    blueprint: str
    path: str
    name: str
    summary: str
    description: str
    access: Access
    takes: tuple[type[Any], ...]
    segments: Mapping[str, dict[str, Any]]
    answer: Answer
    others: tuple[HTTPStatus, ...]


OPERATIONS: list[Operation] = []


def json_of(answered: Any, *headers: str) -> Answer:
    """Return the answer that is JSON of that type."""
    return Answer({"application/json": answered}, headers=headers)


def operation(
    rule: str,
    summary: str,
    description: str,
    *,
    answer: Answer,
    access: Access = Access.VIEWERS,
    takes: tuple[type[Any], ...] = (),
    segments: Mapping[str, dict[str, Any]] | None = None,
    others: tuple[HTTPStatus, ...] = (),
    endpoint: str | None = None,
    instead: Callable[[], View | None] | None = None,
    of: PlainBlueprint = blueprint,
) -> Callable[[View], View]:
    """Return a decorator that makes a view the one of *rule*, and declares it.

    The view is called with the ``Viewer``, a struct of each type that it *takes* from the query string, and the
    variable *segments* of its path, each declared by its JSON Schema with a description; a view without authentication
    gets the segments alone. *others* are further statuses that it answers with. If *instead* returns a view, that one
    answers. The *endpoint* is the name of the view, unless given. Raises nothing; what a call raises is a problem: 401
    or 403 for a viewer who may not ask, 400 for a parameter.
    """

    def declare(view: View) -> View:
        @wraps(view)
        def called(**given: str) -> Response:
            if instead and (other := instead()):
                return other(**given)
            if access is Access.EVERYBODY:
                return view(**given)
            viewer = viewer_for(auditors_only=access is Access.AUDITORS)
            return view(viewer, *parse_query(*takes), **given)

        name = endpoint or view.__name__
        of.add_url_rule(rule, name, called)
        OPERATIONS.append(
            Operation(
                blueprint=of.name,
                path=re.sub("<(?:path:)?(.*?)>", r"{\1}", rule),
                name=re.sub("_(.)", lambda match: match[1].upper(), name),
                summary=summary,
                description=description,
                access=access,
                takes=takes,
                segments=segments or {},
                answer=answer,
                others=others,
            )
        )
        return called

    return declare

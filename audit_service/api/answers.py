"""JSON answers of the API, which people may look at with a browser."""

import msgspec
from flask import Response, request

from audit_service.web.answers import json_answer

_FORMS = ("application/json", "text/html")


def readable_answer(body: object) -> Response:
    """Answer with *body* as JSON; indented for a client that would rather have a page."""
    answer = json_answer(body)
    if request.accept_mimetypes.best_match(_FORMS) == "text/html":
        answer.set_data(msgspec.json.format(answer.get_data(), indent=2) + b"\n")
    return answer

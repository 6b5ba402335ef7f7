"""The query string of a request, read as the parameters that a route takes."""

from typing import Any

from flask import request

from audit_service.errors import ParameterError
from audit_service.history.parameters import parse

PLUS = "write + as %2B in a URL"


def parse_query(*kinds: type[Any]) -> list[Any]:
    """Return a struct of each of *kinds*. Raises ``ParameterError``; where a plus became a space it says so."""
    try:
        return parse(request.args, *kinds)
    except ParameterError as error:
        if error.parameter in ("since", "until") and " " in request.args[error.parameter]:
            raise ParameterError(error.parameter, f"{error.detail} ({PLUS})") from None
        raise

"""Flask-Dance: logins by the OAuth providers whose blueprints an app has."""

import sys

from flask import Flask, current_app, request

from audit_service.adapters import callbacks
from audit_service.adapters.adapter import Adapter
from audit_service.adapters.flask_login import NAME as FLASK_LOGIN

NAME = "flask-dance"
_LIBRARY = "flask_dance.consumer.base"


def is_set_up(app: Flask) -> bool:
    """Tell whether the app has a blueprint of the library."""
    return any(_is_of_library(blueprint) for blueprint in app.blueprints.values())


def at_start() -> None:
    """Take note of a callback: a request for the view ``authorized`` of such a blueprint."""
    blueprint = current_app.blueprints.get(request.blueprint or "")
    if blueprint is not None and request.endpoint == f"{request.blueprint}.authorized" and _is_of_library(blueprint):
        callbacks.begin(blueprint.name)


def _is_of_library(blueprint: object) -> bool:
    library = sys.modules.get(_LIBRARY)  # not imported: no blueprint is of it
    return library is not None and isinstance(blueprint, library.BaseOAuthConsumerBlueprint)


ADAPTER = Adapter(NAME, is_set_up, at_start=at_start, at_end=callbacks.end, needs=(FLASK_LOGIN,))

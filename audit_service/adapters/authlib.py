"""Authlib's client for Flask: logins by the OAuth providers that an app has registered."""

from flask import Flask, request, session

from audit_service.adapters import callbacks
from audit_service.adapters.adapter import Adapter
from audit_service.adapters.flask_login import NAME as FLASK_LOGIN

NAME = "authlib"
_KEY = "_state_"  # "_state_<client>_<state>" is where Authlib keeps what it must know in the callback


def is_set_up(app: Flask) -> bool:
    """Tell whether the app has an ``OAuth``."""
    return "authlib.integrations.flask_client" in app.extensions


def at_start() -> None:
    """Take note of a callback: it comes with the ``state``, in OAuth 1 the ``oauth_token``, that the session has."""
    state = request.values.get("state") or request.values.get("oauth_token")
    if not state:
        return
    ending = f"_{state}"
    for key in session:
        if key.startswith(_KEY) and key.endswith(ending):
            callbacks.begin(key.removeprefix(_KEY).removesuffix(ending))
            return


ADAPTER = Adapter(NAME, is_set_up, at_start=at_start, at_end=callbacks.end, needs=(FLASK_LOGIN,))

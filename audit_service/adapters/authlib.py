"""Authlib's client for Flask: logins by the OAuth providers that an app has registered."""

from flask import Flask, request

from audit_service.adapters import callbacks
from audit_service.adapters.adapter import Adapter
from audit_service.adapters.flask_login import NAME as FLASK_LOGIN
from audit_service.events import request_info

NAME = "authlib"
_FORM = "application/x-www-form-urlencoded"
_KEY = "_state_"  # "_state_<client>_<state>" is where Authlib keeps what it must know in the callback


def is_set_up(app: Flask) -> bool:
    """Tell whether the app has an ``OAuth``."""
    return "authlib.integrations.flask_client" in app.extensions


def at_start() -> None:
    """Take note of a callback: it comes with the ``state``, in OAuth 1 the ``oauth_token``, that the session has.

    The body of any other request is left to the view: it may read it in a way of its own.
    """
    if not (begun := [key for key in request_info.read_session() if key.startswith(_KEY)]):
        return
    sent = request.args
    if request.mimetype == _FORM and not (sent.get("state") or sent.get("oauth_token")):
        request.get_data()  # keeps it for the view, too
        sent = request.form
    ending = f"_{sent.get('state') or sent.get('oauth_token')}"
    for key in begun:
        if key.endswith(ending):
            callbacks.begin(key.removeprefix(_KEY).removesuffix(ending))
            return


ADAPTER = Adapter(NAME, is_set_up, at_start=at_start, at_end=callbacks.end, needs=(FLASK_LOGIN,))

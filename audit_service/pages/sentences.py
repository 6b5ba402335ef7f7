"""Admin events as sentences: who did what to whom."""

import contextlib
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import url_for
from markupsafe import Markup

from audit_service.events.admin import AdminItem
from audit_service.vocabulary import AdminAction
from audit_service.web.display import exact, isolated
from audit_service.web.language import gettext, later

OF_ACCOUNTS = (
    AdminAction.ACCOUNT_ADDED,
    AdminAction.ACCOUNT_DISABLED,
    AdminAction.ACCOUNT_ENABLED,
    AdminAction.ACCOUNT_REMOVED,
    AdminAction.PASSWORD_CHANGED,
    AdminAction.ROLE_CHANGED,
    AdminAction.SESSIONS_ENDED,
    AdminAction.THROTTLE_LIFTED,
)
OF_TOKENS = (AdminAction.TOKEN_ADDED, AdminAction.TOKEN_REVOKED)
LOOKS = (AdminAction.HISTORY_READ, AdminAction.HISTORY_EXPORTED, AdminAction.ACCESS_REFUSED)
# What stands in a sentence besides the actor and the target is a member of the details.
SENTENCES = {
    AdminAction.ACCOUNT_ADDED: later("%(actor)s added the account %(target)s with the role %(role)s"),
    AdminAction.ACCOUNT_DISABLED: later("%(actor)s disabled the account %(target)s"),
    AdminAction.ACCOUNT_ENABLED: later("%(actor)s enabled the account %(target)s"),
    AdminAction.ACCOUNT_REMOVED: later("%(actor)s removed the account %(target)s, which had the role %(role)s"),
    AdminAction.PASSWORD_CHANGED: later("%(actor)s changed the password of %(target)s"),
    AdminAction.ROLE_CHANGED: later("%(actor)s gave %(target)s the role %(to)s instead of %(from)s"),
    AdminAction.SESSIONS_ENDED: later("%(actor)s ended all sessions of %(target)s"),
    AdminAction.THROTTLE_LIFTED: later("%(actor)s let %(target)s try to log in again"),
    AdminAction.TOKEN_ADDED: later("%(actor)s added the token %(target)s with the scope %(scope)s"),
    AdminAction.TOKEN_REVOKED: later("%(actor)s revoked the token %(target)s"),
    AdminAction.HISTORY_READ: later("%(actor)s read %(target)s"),
    AdminAction.HISTORY_EXPORTED: later("%(actor)s exported %(target)s"),
    AdminAction.EVENTS_IMPORTED: later("%(actor)s imported %(events)s events from %(target)s"),
    AdminAction.ACCESS_REFUSED: later("%(actor)s was refused %(target)s"),
    AdminAction.PERSONAL_DATA_ERASED: later("%(actor)s erased personal data from %(rows)s events"),
    AdminAction.LOG_STARTED: later("%(actor)s began the log %(target)s"),
    AdminAction.LOG_RESTARTED: later("%(actor)s began the log %(target)s instead of %(from)s: %(reason)s"),
    AdminAction.SIGNING_KEY_ROTATED: later("%(actor)s changed the key of the log %(target)s"),
    AdminAction.LOG_HEAD_TRUSTED: later("%(actor)s let the signer go on without the checkpoint that it remembered"),
    AdminAction.RECORDING_STARTED: later("%(actor)s started the recording of %(target)s"),
    AdminAction.RECORDING_STOPPED: later("%(actor)s stopped the recording of %(target)s"),
}
_OWN_PASSWORD = later("%(actor)s changed their own password")
_ACTORS = {
    "cli:": later("%(name)s (command line)"),
    "token:": later("the token %(name)s"),
    "network:": later("somebody in the network %(name)s"),
}
NOTHING = Markup("&ndash;")
_WORDS = ("role", "to", "from", "scope")  # details that are words of ours


def sentence(item: AdminItem) -> Markup:
    """Return what *item* says, in the language of the request; who and what lead to their other events."""
    text = SENTENCES[AdminAction(item.action)]
    if item.action == AdminAction.PASSWORD_CHANGED and item.actor is not None and item.actor == item.target:
        text = _OWN_PASSWORD
    values = {name: _detail(item, name) for name in _names(item)}
    values["actor"] = _link("actor", item.actor, actor_words(item.actor)) if item.actor else _nothing(item)
    values["target"] = _link("target", item.target, item.target) if item.target else _nothing(item)
    return Markup(gettext(text)) % values  # noqa: S704 - our own text; what is filled in is escaped


def actor_words(actor: str) -> str:
    """Return who an *actor* is that is no account."""
    for beginning, words in _ACTORS.items():
        if actor.startswith(beginning):
            return gettext(words, name=actor.removeprefix(beginning))
    return actor


def rest(item: AdminItem) -> list[tuple[str, str]]:
    """Return those details of *item* that its sentence has no room for."""
    told = _names(item)
    return [(name, _text(name, value)) for name, value in (item.details or {}).items() if name not in told and value]


def _names(item: AdminItem) -> list[str]:
    return [
        name for name in (*_WORDS, "events", "rows", "reason") if f"%({name})s" in SENTENCES[AdminAction(item.action)]
    ]


def _detail(item: AdminItem, name: str) -> Markup:
    value = (item.details or {}).get(name)
    if value is None:
        return _nothing(item)
    return isolated(gettext(str(value)) if name in _WORDS else value)


def _nothing(item: AdminItem) -> Markup:
    """Return what stands for what is not there."""
    return Markup(gettext("(erased)")) if item.actor is None else NOTHING  # noqa: S704 - our own text


def _link(name: str, value: str, words: str) -> Markup:
    address = f"{url_for('audit_pages.list_changes')}?{urlencode({name: value})}"
    return Markup('<a href="{}">{}</a>').format(address, isolated(words))


def _text(name: str, value: Any) -> str:
    if name == "expires_at":
        with contextlib.suppress(TypeError, ValueError):
            return exact(datetime.fromisoformat(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""The accounts of the service: a list, and a page for each on which an admin changes it."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import request
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access import accounts as service
from audit_service.access import throttle
from audit_service.access.passwords import make_password
from audit_service.access.viewer import record_reading
from audit_service.context import Viewer, current_context, read_session
from audit_service.errors import AccountError, ParameterError
from audit_service.events.admin import Actor
from audit_service.history.last import last_successes
from audit_service.history.sessions import count_live, live_sessions
from audit_service.login.credentials import read_texts
from audit_service.pages.blueprint import page
from audit_service.pages.devices import device
from audit_service.pages.managing import change_by_admin, done, for_admins, refusal
from audit_service.storage.models import Account
from audit_service.values import limits
from audit_service.vocabulary import Role
from audit_service.web.language import gettext, later

SIZE = 100  # accounts on a page
SESSIONS = 20  # of an account, on its page
_MADE = "made"  # the button that asks for a password of our making
_ACTIONS = ("role", "password", "end_sessions", "lift", "disable", "enable", "remove")
_SIMPLE: dict[str, tuple[Callable[..., None], str]] = {
    "end_sessions": (service.end_sessions, later("All sessions of %(name)s are ended.")),
    "disable": (service.disable, later("%(name)s is disabled, and its sessions are ended.")),
    "enable": (service.enable, later("%(name)s is enabled again.")),
    "remove": (service.remove, later("%(name)s is removed, and its sessions are ended.")),
}
_FIELDS = {"role": "role", "password": "password", "lift": "network"}  # what a refusal is about, if not the action


@for_admins
def list_accounts(viewer: Viewer) -> AnyResponse:
    """Show the accounts from the name ``from`` on, and a form that makes one."""
    return _list(viewer)


@for_admins
def add_account(viewer: Viewer) -> AnyResponse:
    """Make an account; a password that we make is shown in the answer, and never again."""
    (name,), role = read_texts("username"), _role()
    given, how = _new_password()
    try:
        with change_by_admin() as session:
            name = service.add_account(session, name, role, given, by=current_context().actor(viewer.name)).username
    except AccountError as error:
        return _list(viewer, refusal(error, "username"), 400)
    if how == _MADE:
        return page("password_once.html", viewer, name=name, password=given, is_new=True)
    return done(gettext("The account %(name)s is made.", name=name), "audit_pages.show_account", name=name)


@for_admins
def show_account(viewer: Viewer, name: str) -> AnyResponse:
    """Show an account and the forms that change it; with ``?ask=remove``, ask whether to remove it."""
    account = _find(name)
    record_reading(viewer)
    if request.args.get("ask") == "remove":
        return page("remove_account.html", viewer, account=account)
    return _account(viewer, account)


@for_admins
def change_account(viewer: Viewer, name: str) -> AnyResponse:
    """Make the change that ``action`` names, and lead back to the account, or to the list if it is removed."""
    (action,) = read_texts("action")
    if action not in _ACTIONS:
        raise ParameterError("action", gettext("action must be one of %(known)s", known=", ".join(_ACTIONS)))
    account, by = _find(name), current_context().actor(viewer.name)
    given, how = _new_password() if action == "password" else ("", "")
    try:
        with change_by_admin() as session:
            message = _change(session, service.get_account(session, account.username), action, given, by)
    except AccountError as error:
        return _account(viewer, account, refusal(error, _FIELDS.get(action, "action")), 400)
    if how == _MADE:
        return page("password_once.html", viewer, name=account.username, password=given, is_new=False)
    if action == "remove":
        return done(message, "audit_pages.list_accounts")
    return done(message, "audit_pages.show_account", name=account.username)


def _change(session: Session, account: Account, action: str, password: str, by: Actor) -> str:
    """Make a change, and return the sentence that says so."""
    name = account.username
    match action:
        case "role":
            service.set_role(session, account, _role(), by=by)
            return gettext("The role of %(name)s is changed, and its sessions are ended.", name=name)
        case "password":
            service.set_password(session, account, password, by=by)
            return gettext("The password of %(name)s is changed, and its sessions are ended.", name=name)
        case "lift":
            (network,) = read_texts("network")
            throttle.lift(session, account, network.strip() or None, by=by)
            return gettext("%(name)s may try to log in again, within seconds.", name=name)
    make, said = _SIMPLE[action]
    make(session, account, by=by)
    return gettext(said, name=name)


def _new_password() -> tuple[str, str]:
    """Return the password that was typed, or one of our making, and which of both."""
    password, how = read_texts("password", "how")
    return (make_password() if how == _MADE else password), how


def _list(viewer: Viewer, error: str = "", status: int = 200) -> AnyResponse:
    begin = request.args.get("from", "").strip()[: limits.USERNAME].replace("\x00", "")
    found = service.list_accounts(read_session(), begin=begin, limit=SIZE + 1)
    shown = found[:SIZE]
    names = [account.username for account in shown]
    record_reading(viewer)
    return page(
        "accounts.html",
        viewer,
        status,
        accounts=shown,
        last=last_successes(read_session(), names),
        alive=count_live(read_session(), current_context().settings, names, now=datetime.now(UTC)),
        following=found[SIZE].username if len(found) > SIZE else None,
        begin=begin,
        roles=list(Role),
        error=error,
        **_rules(),
    )


def _account(viewer: Viewer, account: Account, error: str = "", status: int = 200) -> AnyResponse:
    name, now = account.username, datetime.now(UTC)
    return page(
        "account.html",
        viewer,
        status,
        account=account,
        last=last_successes(read_session(), [name]).get(name),
        sessions=live_sessions(read_session(), current_context().settings, limit=SESSIONS, now=now, username=name),
        device=device,
        roles=list(Role),
        error=error,
        **_rules(),
    )


def _rules() -> dict[str, int]:
    return {"minimum": limits.PASSWORD_MIN, "maximum": limits.PASSWORD_MAX}


def _find(name: str) -> Account:
    account = service.find_account(read_session(), name)
    if account is None:
        raise NotFound(gettext("there is no such account"))
    read_session().expunge(account)  # what follows may end this reading
    return account


def _role() -> Role:
    (role,) = read_texts("role")
    try:
        return Role(role)
    except ValueError:
        raise ParameterError("role", gettext("role must be one of %(known)s", known=", ".join(Role))) from None

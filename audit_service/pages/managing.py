"""What the pages have in common on which admins change accounts and tokens: in the service only.

Who changes others' rights proves first who they are: a session whose password was given longer ago than
``sessions.FRESH`` is asked for it again, on a page that repeats what was sent. A change that is made is told once, on
the page that its answer leads to.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from urllib.parse import quote

from flask import flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException, TooManyRequests, Unauthorized
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import admin_viewer
from audit_service.context import Viewer, write_session
from audit_service.errors import AccountError, ParameterError
from audit_service.login.attempts import authenticate
from audit_service.login.credentials import read_texts
from audit_service.login.sessions import is_fresh, is_session_of, is_session_of_admin, note_proof
from audit_service.pages.blueprint import page
from audit_service.web.answers import prefers_html
from audit_service.web.language import gettext

PROOF = "current_password"
_NOT_REPEATED = ("password",)  # a new one: it is asked for again, and not sent to and fro


class NameConverter(BaseConverter):
    """A name in a path, whatever is in it: slashes, too."""

    regex = ".+"
    part_isolating = False

    def to_url(self, value: Any) -> str:
        """Quote slashes, too: browsers would take ``a/../b`` for ``b``."""
        return quote(str(value), safe="")


def for_admins(view: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
    """Let *view* be called with the admin that is logged in, for a change only one who has proved who they are."""

    @wraps(view)
    def checked(**arguments: Any) -> AnyResponse:
        viewer = admin_viewer()
        asked = _ask_proof(viewer) if request.method == "POST" else None
        return asked or view(viewer, **arguments)

    return checked


@contextmanager
def change_by_admin() -> Iterator[Session]:
    """Open a session for a change, as ``write_session`` does, of one who is an admin still.

    A request that was let in waits for locks, and meanwhile its sender may lose the rights. Raises ``Unauthorized``.
    """
    with write_session() as session:
        if not is_session_of_admin(session):
            raise Unauthorized(gettext("this account was changed in the meantime: log in again"))
        yield session


def done(message: str, endpoint: str, **arguments: Any) -> AnyResponse:
    """Lead to another page, which tells *message* once."""
    flash(message)
    return redirect(url_for(endpoint, **arguments), 303)


def refusal(error: AccountError, field: str) -> str:
    """Return why a change was refused, for the page that shows it. Raises ``ParameterError`` if no page is wanted."""
    if not prefers_html():
        raise ParameterError(field, str(error)) from None
    return str(error)


def _ask_proof(viewer: Viewer) -> AnyResponse | None:
    """Return the page that asks for the viewer's own password; None if there is no need, or it was sent and is right.

    A wrong one is a failed login. Raises ``Unauthorized`` (401) and ``TooManyRequests`` (429) if no page is wanted.
    """
    if is_fresh():
        return None
    (password,) = read_texts(PROOF)
    if not password and prefers_html():
        return _proof_page(viewer, None)
    if not password:
        raise Unauthorized(f"send your own password, too ({PROOF}): this session has proved long ago whose it is")
    try:
        checked = authenticate(viewer.name, password)
    except (Unauthorized, TooManyRequests) as error:
        if not prefers_html():
            raise
        return _proof_page(viewer, error)
    if not is_session_of(checked):
        raise Unauthorized(gettext("this account was changed in the meantime: log in again"))
    note_proof()
    return None


def _proof_page(viewer: Viewer, error: HTTPException | None) -> AnyResponse:
    sent = [(name, value) for name, value in request.form.items(multi=True) if name != PROOF]
    return page(
        "proof.html",
        viewer,
        (error and error.code) or 401,
        error=(error and error.description) or "",
        repeated=[(name, value) for name, value in sent if name not in _NOT_REPEATED],
        asked_again=[name for name, value in sent if name in _NOT_REPEATED and value],
    )

"""``audit_login``: events of a login function that no adapter covers."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import current_app, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from audit_service.adapters.telling import FAILURE, LOGIN, empty_session
from audit_service.errors import AuditUnavailable
from audit_service.events.told import told
from audit_service.signals import login_failed_signal, login_signal
from audit_service.vocabulary import Reason

logger = logging.getLogger("audit_service")

_Login = TypeVar("_Login", bound=Callable[..., Any])
_OK = 200
_FAILED = 400
_UNAUTHORIZED = 401
_SERVER_ERROR = 500
_REASONS = {_UNAUTHORIZED: Reason.DENIED, 403: Reason.DENIED, 429: Reason.THROTTLED}


def audit_login(
    *,
    username: Callable[[], object],
    method: str | None = None,
    reasons: Mapping[int, Reason] | None = None,
) -> Callable[[_Login], _Login]:
    """Record each call of the decorated function, a view or a function that a view calls, as a login or a failure.

    *username* is called after the function and returns the name of the user. A call that returns is a login. It is a
    failure if it returns an answer with a status of 400 or more, None or False, or calls ``abort`` with such a status;
    *reasons* gives the reason of a status, by default: 401 and 403 ``denied``, 429 ``throttled``, 500 and more
    ``provider_error``, else ``other``. Any other exception is a failure, too, ``provider_error``, and is raised again.
    A GET for a view that also takes POST shows its form, and is not recorded.

    When a login cannot be recorded, the session is emptied, and what has failed is raised, such as
    ``AuditUnavailable``. When a failure cannot be recorded, that is logged. A login or a failure that the function has
    sent a signal of is not recorded again.
    """
    audited = _Audited(username, method, {**_REASONS, **(reasons or {})})

    def decorate(login: _Login) -> _Login:
        wrapper = _async_wrapper(login, audited) if inspect.iscoroutinefunction(login) else _wrapper(login, audited)
        return cast("_Login", wrapper)

    return decorate


@dataclass(frozen=True)
class _Audited:
    """The parameters of ``audit_login``, and how a call is recorded by them."""

    username: Callable[[], object]
    method: str | None
    reasons: Mapping[int, Reason]

    def tell_error(self, error: Exception) -> None:
        """Record that the login ended in *error*."""
        if isinstance(error, HTTPException):
            self._tell(error.get_response().status_code)
        elif not isinstance(error, AuditUnavailable):
            self._tell(_SERVER_ERROR)

    def tell_answer(self, answer: Any) -> Any:
        """Record what *answer* means; return the one to give."""
        if isinstance(answer, tuple):
            answer = current_app.make_response(answer)
        if answer is None or answer is False:
            self._tell(_UNAUTHORIZED)
        else:
            self._tell(answer.status_code if isinstance(answer, Response) else _OK)
        return answer

    def _tell(self, status: int) -> None:
        if has_request_context() and _shows_form():
            return
        if status < _FAILED:
            self._record_login()
        else:
            default = Reason.PROVIDER_ERROR if status >= _SERVER_ERROR else Reason.OTHER
            self._record_failure(self.reasons.get(status, default))

    def _record_login(self) -> None:
        if LOGIN in told().recorded:
            return
        try:
            login_signal.send(username=self.username(), method=self.method)
        except Exception:  # or the user has no name, or one that is no text
            if has_request_context():
                empty_session()
            raise

    def _record_failure(self, reason: Reason) -> None:
        if FAILURE in told().recorded:
            return
        try:
            name = self.username()
        except Exception:  # noqa: BLE001 - the request may have failed because it has no name
            name = None
        try:
            login_failed_signal.send(
                username=name if isinstance(name, str | int) else "", method=self.method, reason=reason
            )
        except AuditUnavailable as error:
            logger.critical("an event of %r is lost: a failed login: %s", current_app.name, error)


def _wrapper(login: Callable[..., Any], audited: _Audited) -> Callable[..., Any]:
    @wraps(login)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            answer = login(*args, **kwargs)
        except Exception as error:
            audited.tell_error(error)
            raise
        return audited.tell_answer(answer)

    return wrapper


def _async_wrapper(login: Callable[..., Any], audited: _Audited) -> Callable[..., Any]:
    @wraps(login)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            answer = await login(*args, **kwargs)
        except Exception as error:
            audited.tell_error(error)
            raise
        return audited.tell_answer(answer)

    return wrapper


def _shows_form() -> bool:
    rule = request.url_rule
    return request.method in ("GET", "HEAD") and rule is not None and "POST" in (rule.methods or ())

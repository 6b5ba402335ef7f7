"""Attempts to log in that could not be checked: recorded as far as they are few, and counted beyond."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from flask import Flask, current_app

from audit_service.access.refusals import counted_event
from audit_service.context import AuditContext
from audit_service.errors import AuditUnavailable
from audit_service.events import request_info
from audit_service.events.usernames import ANY
from audit_service.receivers import stored
from audit_service.signals import login_failed_signal
from audit_service.values.flood import Flood
from audit_service.vocabulary import Method, Reason


class Unchecked:
    """Failures with the reason ``provider_error``: ten of a network in each window, and one that tells of all others.

    The counts are in memory: a process that ends takes along those whose window is not over.
    """

    def __init__(self, audit: AuditContext, window: timedelta) -> None:
        self._audit = audit
        self._flood: Flood[str] = Flood(window)

    def record(self, username: str) -> None:
        """Record or count the current request's attempt. Raises ``AuditUnavailable``.

        Whether there is such an account is unknown, so ``AUDIT_UNKNOWN_USERNAMES`` says how *username* is stored.
        """
        self.tell()
        network = request_info.network_of(request_info.client().remote_addr) or ""
        if self._flood.admit(network, datetime.now(UTC)):
            app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented for signals
            name = self._audit.unknown_username(username)
            stored(login_failed_signal.send(app, username=name, reason=Reason.PROVIDER_ERROR, method=Method.PASSWORD))

    def tell(self) -> None:
        """Record what was counted in windows that are over."""
        for network, count, first, last in self._flood.take_due(datetime.now(UTC)):
            event = counted_event(network or "", ANY, self._audit.app_name, Reason.PROVIDER_ERROR, count, first, last)
            with suppress(AuditUnavailable):  # it is on stderr, and the next one may be stored
                self._audit.record(event)

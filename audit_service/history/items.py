"""Events as readers see them: what was recorded, its position in the trail and when the database stored it."""

from datetime import datetime

from audit_service.events.new import NewAdmin, NewError, NewLogin


class LoginItem(NewLogin, kw_only=True, frozen=True):
    """One row of ``login_events``."""

    seq: int
    recorded_at: datetime


class ErrorItem(NewError, kw_only=True, frozen=True):
    """One row of ``error_events``."""

    seq: int
    recorded_at: datetime


class AdminItem(NewAdmin, kw_only=True, frozen=True):
    """One row of ``admin_events``."""

    seq: int
    recorded_at: datetime

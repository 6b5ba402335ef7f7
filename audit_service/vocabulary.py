"""The closed vocabularies: what may stand in a column that is not free text."""

from enum import StrEnum


class Action(StrEnum):
    """What somebody did."""

    LOGIN = "login"
    LOGOUT = "logout"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class Reason(StrEnum):
    """Why a login failed. Auditors see it; whoever tried to log in never does."""

    UNKNOWN_USER = "unknown_user"
    BAD_PASSWORD = "bad_password"  # noqa: S105 - a word, not a password
    INACTIVE = "inactive"
    THROTTLED = "throttled"
    EXPIRED = "expired"
    MFA_REQUIRED = "mfa_required"
    BAD_OTP = "bad_otp"
    DENIED = "denied"
    PROVIDER_ERROR = "provider_error"
    OTHER = "other"


class Role(StrEnum):
    """What an account may do: see its own logins, see all, or also manage."""

    USER = "user"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a token may do: read the history."""

    READ = "read"

"""The closed vocabularies: what may stand in a column that is not free text."""

from enum import StrEnum


class Action(StrEnum):
    """What a user did."""

    LOGIN = "login"
    LOGOUT = "logout"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class Reason(StrEnum):
    """Why a login failed. Auditors see it; the answer to the login never has it."""

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


class Method(StrEnum):
    """How a user proved their identity, of the events that this service makes itself; an app may name any other."""

    PASSWORD = "password"  # noqa: S105 - a word, not a password
    REPORTED = "reported"
    REMEMBERED = "remembered"
    OAUTH = "oauth"


class AdminAction(StrEnum):
    """What was done to accounts, tokens and the recording itself, and looks at the history."""

    ACCOUNT_ADDED = "account_added"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ACCOUNT_REMOVED = "account_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a word, not a password
    ROLE_CHANGED = "role_changed"
    SESSIONS_ENDED = "sessions_ended"
    THROTTLE_LIFTED = "throttle_lifted"
    TOKEN_ADDED = "token_added"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    HISTORY_READ = "history_read"
    HISTORY_EXPORTED = "history_exported"
    EVENTS_IMPORTED = "events_imported"
    ACCESS_REFUSED = "access_refused"
    PERSONAL_DATA_ERASED = "personal_data_erased"
    LOG_STARTED = "log_started"
    LOG_RESTARTED = "log_restarted"
    SIGNING_KEY_ROTATED = "signing_key_rotated"
    LOG_HEAD_TRUSTED = "log_head_trusted"
    RECORDING_STARTED = "recording_started"
    RECORDING_STOPPED = "recording_stopped"


class Role(StrEnum):
    """What an account may do: see its own logins, see all, or also manage."""

    USER = "user"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a token may do: read the history, or report logins that another app has checked."""

    READ = "read"
    REPORT = "report"

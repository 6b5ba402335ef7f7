"""The exception tree.

AuditError
├── SettingsError       a setting is unknown or has a bad value; the message names it and the remedy
├── ParameterError      a caller of the API sent something wrong; ``parameter`` names it
│   └── ItemError       one item of a list that was sent is wrong; ``parameter`` points at it
├── NotConfiguredError  the Flask app in use has no LoginAudit, or the database is not migrated
├── AccountError        an account or token command cannot be carried out
└── AuditUnavailable    an event could not be made durable: no success may be answered
"""


class AuditError(Exception):
    """Base of all errors that this package raises on purpose."""


class SettingsError(AuditError):
    """A setting is unknown or has a bad value."""


class ParameterError(AuditError):
    """A request carries a parameter, field or header that cannot be used."""

    status = 400

    def __init__(self, parameter: str, detail: str) -> None:
        """Name the *parameter*; *detail* is a sentence that says what is expected."""
        super().__init__(detail)
        self.parameter = parameter
        self.detail = detail


class ItemError(ParameterError):
    """An item of a list cannot be used; ``parameter`` is a JSON Pointer (RFC 6901) such as ``/3/outcome``."""

    status = 422


class NotConfiguredError(AuditError):
    """Something that must stand before the trail can be used does not."""


class AccountError(AuditError):
    """An account or token cannot be made or changed as asked."""


class AuditUnavailable(AuditError):  # noqa: N818 - the word that the guarantees use
    """The event is not durable anywhere. Whoever catches this must not answer with success."""

"""The exception tree.

AuditError
├── SettingsError       a setting is unknown or has a bad value; the message names it and the remedy
├── ParameterError      a caller of the API sent something wrong; ``parameter`` names it
│   └── ItemError       one item of a list that was sent is wrong; ``parameter`` points at it
│       └── TakenError  its id is that of another event
├── NotConfiguredError  the Flask app in use has no LoginAudit, or the database is not migrated
├── ProofError          a proof, a signature or what is signed is not what it has to be
├── SignerStopped       the log and what the signer knows of it contradict each other; ``code`` says how
├── PublishError        a checkpoint could not be put outside of this machine; it is tried again
├── AccountError        an account or token command cannot be carried out
├── IdTakenError        an event has the id of another one that is stored
└── AuditUnavailable    an event could not be made durable: no success may be answered
    └── BusyError       other lists of events are being stored: nothing was begun
"""

from collections.abc import Sequence

INSTALL_SERVICE = "pip install 'audit-service[service]'"  # what create_app and its commands need
INSTALL_PAGES = "pip install 'audit-service[pages]'"
INSTALL_STAMPS = "pip install 'audit-service[stamps]'"


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


class TakenError(ItemError):
    """An item of a list has an id that is another event's. All that was in order is stored."""

    status = 409


class NotConfiguredError(AuditError):
    """The trail cannot be used with the app or the database as it is; the message says what is missing."""


class ProofError(AuditError):
    """A proof does not hold, a signature is not valid, or one of their texts is not in its form."""


class SignerStopped(AuditError):  # noqa: N818 - a state, and not always a fault
    """The signer must not go on: what it finds contradicts what it has signed. The message names the remedy."""

    def __init__(self, code: str, detail: str) -> None:
        """*code* is a word such as ``rollback``; ``docs/proofs.md`` lists them."""
        super().__init__(detail)
        self.code = code


class PublishError(AuditError):
    """The hook, a witness or a time-stamping authority could not take a checkpoint now."""


class AccountError(AuditError):
    """An account or token cannot be made or changed as asked."""


class IdTakenError(AuditError):
    """Events have ids under which other events are stored: nothing of these is stored, all others are."""

    def __init__(self, places: Sequence[int]) -> None:
        """*places* are those of the events among all that were handed over, from 0."""
        super().__init__("another event is stored under this id")
        self.places = places


class AuditUnavailable(AuditError):  # noqa: N818 - the word that the guarantees use
    """The event is not durable anywhere. Code that catches this must not answer with success."""


class BusyError(AuditUnavailable):
    """Other lists of events are being stored, so nothing of this one was: it may be sent again as it is."""

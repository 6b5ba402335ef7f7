"""The signals that a login view sends. Sending one stores one event, durably, before ``send`` returns.

Send them from inside an application context, with the Flask app as sender or with none at all:

    login_signal.send(app, username="ada")
    login_failed_signal.send(app, username="ada", reason=Reason.BAD_PASSWORD)
    logout_signal.send(app, username="ada")

Arguments of all three:

``username``  str, required. As typed; cleaned (see ``text.clean``) and cut to 255 characters.
``method``    str, optional: how the user proved their identity, e.g. "password".
``details``   dict, optional: more facts, up to 4 KiB as JSON. Never put a secret here.

``login_failed_signal`` also takes ``reason``, a ``vocabulary.Reason`` or its value, default "other". Any other text is
stored as "other", and in ``details`` as ``reason``, unless these have one or have no room for it. Other arguments are
ignored. The logger ``audit_service`` warns of both, once for each name, and names the nearest known one.

``send`` returns what the receivers answered; ``stored(answers)`` is the event's id. It raises ``AuditUnavailable`` when
the event could not be stored: then answer with an error, not with a session. It raises ``TypeError`` or ``ValueError``
when an argument is of the wrong kind.
"""

from blinker import Namespace

_signals = Namespace()

login_signal = _signals.signal("login")
login_failed_signal = _signals.signal("login-failed")
logout_signal = _signals.signal("logout")

"""An exception as text that is safe to keep: no locals, no secrets, bounded, and recognisable when it comes again."""

import hashlib
import re
import traceback
from pathlib import Path

from audit_service.values import limits
from audit_service.values.text import clean, clean_lines

_NAMES = (
    r"passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|credentials?|session(?:[_-]?id)?"
)
_SECRETS = [
    # postgresql://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]{0,255}):[^\s\"'<>]+@", re.IGNORECASE), r"\1:***@"),
    # https://host/path?query
    (re.compile(r"\?[^\s\"'<>?=]{1,255}=[^\s\"'<>]*"), "?***"),
    # Authorization: …, Cookie: … to the end of the line
    (re.compile(r"((?:authorization|cookie)[\"']?\s{0,9}[=:]).*", re.IGNORECASE), r"\1 ***"),
    # password=…, "token": "…", secret_key => …
    (
        re.compile(
            rf"((?:{_NAMES})[A-Za-z0-9_-]{{0,32}}[\"']?\s{{0,9}}(?:=>|[=:])\s{{0,9}})"
            r"(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[^,;&)}\]\n]+)",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"\baud_[A-Za-z0-9_-]{20,}"), "***"),
    # the value that PostgreSQL repeats when it is none of the type
    (re.compile(r"(invalid input syntax for [^:\n]{1,99}:|value) \"[^\n]*\""), r"\1 ***"),
    # the values of rows that SQLAlchemy (parameters) and PostgreSQL (DETAIL) add to their errors
    (re.compile(r"(\[parameters:|DETAIL:) .*"), r"\1 ***"),
]


def scrub(text: str) -> str:
    """Replace what looks like a password, token, cookie, query string or row value in *text* by ``***``.

    The time is proportional to the length of *text*.
    """
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def exception_type(error: BaseException) -> str:
    """Return the qualified name, e.g. ``sqlalchemy.exc.OperationalError``; built-ins without a module."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return clean(name, limits.EXCEPTION_TYPE)


def message(error: BaseException) -> str:
    """Return the scrubbed message, at most 2,000 characters; an exception that cannot be printed is no obstacle."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the event
        text = "<the exception has no printable message>"
    return clean_lines(scrub(text[: 4 * limits.MESSAGE])[: limits.MESSAGE], limits.MESSAGE)


def format_traceback(error: BaseException) -> str:
    """Return the frames, without locals, and the scrubbed messages of *error* and its causes; the newest part stays."""
    formatted = "".join(traceback.TracebackException.from_exception(error, limit=-40, compact=True).format())
    if len(formatted) > 2 * limits.TRACEBACK:  # cut between lines: a secret must not lose the name it is known by
        formatted = formatted[-2 * limits.TRACEBACK :].partition("\n")[2] or "(one line, too long to keep)"
    return clean_lines(scrub(formatted), limits.TRACEBACK)


def fingerprint(error: BaseException) -> str:
    """Return a value that is the same for the same bug: version, then a hash of the type and the functions passed.

    Line numbers and messages do not count, so an unrelated edit of a file or another value does not split a group.
    """
    frames = traceback.extract_tb(error.__traceback__)
    passed = dict.fromkeys(f"{Path(frame.filename).name}:{frame.name}" for frame in frames)  # a recursion counts once
    digest = hashlib.sha256("\n".join([exception_type(error), *passed]).encode("utf-8", "replace"))
    return f"v1:{digest.hexdigest()[:32]}"

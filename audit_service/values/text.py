"""Text from outside, made fit to store: the same characters come back from every database."""

import re
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Lone surrogates, control characters (NUL, CR, LF, escape sequences), what turns the direction of text around and what
# is not seen: PostgreSQL refuses NUL, its driver the surrogates, and the others make one name look like another.
_UNSEEN = "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f"
_UNFIT = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_UNSEEN}]")
_UNFIT_IN_LINES = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff{_UNSEEN}]")


def clean(text: str, limit: int) -> str:
    """Return *text* as one line of at most *limit* characters, in Unicode form NFC, unfit characters as U+FFFD."""
    if text.isascii() and text.isprintable():  # nearly always
        return text[:limit]
    # Cut first: work on hostile text is bounded. NFC may shorten or, rarely, lengthen: so cut again.
    return unicodedata.normalize("NFC", _UNFIT.sub(REPLACEMENT, text[:limit]))[:limit]


def clean_lines(text: str, limit: int) -> str:
    """Like ``clean`` but keeps line feeds, for tracebacks; the end of *text* is what stays when it is too long."""
    return unicodedata.normalize("NFC", _UNFIT_IN_LINES.sub(REPLACEMENT, text[-limit:]))[-limit:]


def fit(text: str, limit: int) -> str | None:
    """Return *text* in NFC if it can be stored without any other change; None if ``clean`` would replace or cut."""
    normal = None if _UNFIT.search(text) else unicodedata.normalize("NFC", text)
    return normal if normal is not None and len(normal) <= limit else None

"""Text from outside, made fit to store: the same characters come back from every database."""

import re
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Control characters (NUL, CR, LF, escape sequences), lone surrogates, and what turns the direction of text around:
# PostgreSQL refuses the first, its driver the second, and the last make one name look like another on a page.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNFIT_IN_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, limit: int) -> str:
    """Return *text* as one line of at most *limit* characters, in Unicode form NFC, unfit characters as U+FFFD."""
    # Cut first: work on hostile text is bounded. NFC may shorten or, rarely, lengthen: so cut again.
    return unicodedata.normalize("NFC", _UNFIT.sub(REPLACEMENT, text[:limit]))[:limit]


def clean_lines(text: str, limit: int) -> str:
    """Like ``clean`` but keeps line feeds, for tracebacks; the end of *text* is what stays when it is too long."""
    return unicodedata.normalize("NFC", _UNFIT_IN_LINES.sub(REPLACEMENT, text[-limit:]))[-limit:]


def is_clean(text: str, limit: int) -> bool:
    """Tell whether ``clean`` would leave *text* as it is."""
    return clean(text, limit) == text and len(text) <= limit

"""Numbers and bytes in texts that are signed or hashed: each has one right spelling, and every other is refused."""

import re
from binascii import a2b_base64, b2a_base64

from audit_service.errors import ProofError

_NUMBER = re.compile("0|[1-9][0-9]{0,18}")


def parse_number(text: str) -> int:
    """Return the number below 10^19 that *text* is, without leading zeros. Raises ``ProofError``."""
    if not _NUMBER.fullmatch(text):
        raise ProofError(f"{text[:80]!r} is no decimal number without leading zeros")
    return int(text)


def decode_base64(text: str) -> bytes:
    """Return the bytes that *text* is the base64 of (RFC 4648, section 4), in its only right spelling."""
    try:
        data = a2b_base64(text)
    except ValueError:
        data = b""
    if b2a_base64(data, newline=False).decode() != text:
        raise ProofError(f"{text[:80]!r} is no base64 (RFC 4648, section 4)")
    return data

"""Numbers and bytes in texts that are signed or hashed: each has one right spelling, and every other is refused."""

import binascii
import re
from base64 import b64decode, b64encode

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
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if b64encode(data).decode() != text:
        raise ProofError(f"{text[:80]!r} is no base64 (RFC 4648, section 4)")
    return data

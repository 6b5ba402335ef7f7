"""Opaque, signed positions in a result, bound to the filters and the order that they were made for."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from audit_service.errors import ParameterError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Position(NamedTuple):
    """Where a page ended: the time and the ``seq`` of its last event; in the order of arrival its ``seq`` counts."""

    timestamp: datetime
    seq: int


def arrived(seq: int) -> Position:
    """Return the position behind *seq* in the order of arrival."""
    return Position(_EPOCH, seq)


class Asked(Protocol):
    """A question."""

    def bound(self) -> list[Any]:
        """Return what a cursor is bound to."""


class Cursors:
    """Makes and reads the cursors of one question."""

    def __init__(self, signing_key: str, question: Asked) -> None:
        """Bind to everything that decides which events the result has; *limit* may differ from page to page."""
        bound = msgspec.json.encode(question.bound(), order="sorted")
        self._serializer = URLSafeSerializer(
            signing_key,
            salt="audit-service.cursor." + hashlib.sha256(bound).hexdigest(),
            signer_kwargs={"digest_method": hashlib.sha256},
        )

    def encode(self, position: Position) -> str:
        """Return the cursor for what follows *position*."""
        encoded = self._serializer.dumps([(position.timestamp - _EPOCH) // _MICROSECOND, position.seq])
        return encoded if isinstance(encoded, str) else encoded.decode()

    def decode(self, cursor: str) -> Position:
        """Return the position; raise ``ParameterError`` for anything that ``encode`` did not make for this result."""
        try:
            payload: Any = self._serializer.loads(cursor)
        except (BadData, UnicodeError):
            raise ParameterError(
                "cursor",
                "cursor must be the `next` of an earlier answer to the same question (same filters, order and reader)",
            ) from None
        microseconds, seq = payload
        return Position(_EPOCH + microseconds * _MICROSECOND, seq)

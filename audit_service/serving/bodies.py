"""Bodies of requests: read without holding a thread, in a bounded time and in bounded memory."""

import asyncio
from collections.abc import AsyncIterator

from audit_service.serving.protocol import HTTPProtocol

TIME_LIMIT = 8.0  # seconds for a whole body; shorter than a worker that stops has, so that no client keeps it from that
ROOM = 64 * 1024 * 1024  # bytes of bodies that one process holds, half-read or waiting for a thread


class NoRoomError(Exception):
    """A body is so large that its rest does not fit beside all others."""


class Bodies:
    """The bodies that one event loop holds; to be used in that loop only."""

    def __init__(self, room: int = ROOM, time_limit: float = TIME_LIMIT) -> None:
        """Hold at most *room* bytes, beside the first piece of each body; wait *time_limit* seconds for each."""
        self._room = room
        self._time_limit = time_limit

    async def read(self, protocol: HTTPProtocol, length: int) -> bytes:
        """Return the body, of *length* bytes, or what came of it before the connection broke.

        It takes room until it is given to ``release``. Raises ``TimeoutError``, or ``NoRoomError``; what comes in one
        piece, as a login does, is never refused.
        """
        async with asyncio.timeout(self._time_limit):
            pieces = aiter(protocol)
            first: bytes = await anext(pieces)
            self._room -= len(first)
            return await self._rest(first, pieces, length) if 0 < len(first) < length else first

    def release(self, body: bytes | bytearray) -> None:
        """Give back the room that *body* takes."""
        self._room += len(body)

    async def _rest(self, first: bytes, pieces: AsyncIterator[bytes], length: int) -> bytes:
        body = bytearray(first)
        try:
            while len(body) < length and (piece := await anext(pieces)):  # an empty one: the connection broke
                self._require_room(len(piece))
                self._room -= len(piece)
                body += piece
        except BaseException:  # the wait is cancelled when the time is over or the client goes away
            self.release(body)
            raise
        return bytes(body)

    def _require_room(self, size: int) -> None:
        if size > self._room:
            raise NoRoomError

"""What is used of the protocol object that granian gives with each request (RSGI 1.5); any thread may call it."""

from collections.abc import AsyncIterator
from typing import Protocol

Headers = list[tuple[str, str]]


class HTTPProtocol(Protocol):
    """The body of a request in pieces, then an empty one; and the ways to answer, of which the first one counts."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the pieces of the body, once."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with *body*."""

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        """Answer with what is in the file at that path, read no faster than the client takes it."""

"""What is used of the two objects that granian gives with each request (RSGI 1.5)."""

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

Headers = list[tuple[str, str]]


class RequestHeaders(Protocol):
    """The headers of a request; their names are in lower case."""

    def get(self, key: str, default: str) -> str:
        """Return the first value of a header."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return all headers, as they were sent."""


class Scope(Protocol):
    """The head of a request. ``client`` and ``server`` are addresses with ports; ``authority`` is that of HTTP/2."""

    http_version: str
    scheme: str
    method: str
    path: str
    query_string: str
    client: str
    server: str
    authority: str | None
    headers: RequestHeaders


class HTTPProtocol(Protocol):
    """The body of a request in pieces, then an empty one; and the ways to answer, of which the first one counts.

    Any thread may call it.
    """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the pieces of the body, once."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with *body*."""

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        """Answer with what is in the file at that path, read no faster than the client takes it."""

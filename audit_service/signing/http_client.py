"""One request to somebody outside: bounded in time and size, to the address that is named and to no other."""

import socket
import ssl
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from audit_service.errors import ProofError, PublishError
from audit_service.proofs.submission import LARGEST

TIME_LIMIT = 30.0  # seconds for all of it
_PATIENCE = 10.0  # seconds for each piece of it


class Answer(NamedTuple):
    """What was answered: media type in small letters without parameters; at most ``LARGEST`` bytes."""

    status: int
    media_type: str
    body: bytes

    def __str__(self) -> str:
        """Return status and the beginning of the body, for messages."""
        return f"{self.status} {self.body[:200].decode(errors='replace')!r}"


def check_url(url: str) -> str:
    """Return a URL without its last slash. Raises ``ProofError`` unless it is one that can be asked."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or parts.username is not None or parts.query or parts.fragment:
        raise ProofError(f"a URL to be asked is 'https://HOST[:PORT][/PATH]', not {url[:80]!r}")
    return url.removesuffix("/")


def post(url: str, body: bytes, media_type: str) -> Answer:
    """Send a POST request, and return the answer, a redirection, too. Raises ``PublishError``."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, str(parts.hostname), parts.port)
    is_late = threading.Event()

    def give_up() -> None:
        is_late.set()
        if connection.sock:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TIME_LIMIT, give_up)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", parts.path, body, {"Content-Type": media_type})
        response = connection.getresponse()
        content = response.read(LARGEST + 1)
        answered = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    except (OSError, HTTPException, ValueError) as error:
        why = f"no whole answer within {TIME_LIMIT:g} s" if is_late.is_set() else str(error) or type(error).__name__
        raise PublishError(f"{url} cannot be asked: {why}") from None
    finally:
        timer.cancel()
        connection.close()
    if is_late.is_set():
        raise PublishError(f"{url} cannot be asked: no whole answer within {TIME_LIMIT:g} s")
    if len(content) > LARGEST:
        raise PublishError(f"{url} has answered with more than {LARGEST} bytes")
    return Answer(response.status, answered, content)


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "https":
        return HTTPSConnection(host, port, timeout=_PATIENCE, context=ssl.create_default_context())
    return HTTPConnection(host, port, timeout=_PATIENCE)

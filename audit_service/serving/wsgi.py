"""One request, answered by a WSGI app (PEP 3333)."""

import io
import sys
from collections.abc import Callable, Iterable
from itertools import chain, islice
from types import TracebackType
from typing import Any

from audit_service.serving.protocol import Headers, HTTPProtocol, Scope
from audit_service.serving.streams import send

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

_ENVIRON = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
_UNPREFIXED = ("CONTENT_TYPE", "CONTENT_LENGTH")


def answer(application: Application, scope: Scope, protocol: HTTPProtocol, body: bytes) -> None:
    """Let *application* answer, and send what it says: whole if it names its length, else as the client takes it.

    ``close`` of its result is always called. Raises what it raises.
    """
    head = _Head()
    result = application(environ_of(scope, body), head.start)
    try:
        chunks = iter(result)
        first = list(islice(chunks, 1))  # a generator names its status when it is asked for its first chunk
        head.is_sent = True
        chunks = chain(head.written, first, chunks)
        if any(name.lower() == "content-length" for name, _ in head.headers):
            protocol.response_bytes(head.status, head.headers, b"".join(chunks))
        else:
            send(protocol, head.status, head.headers, chunks)
    finally:
        if hasattr(result, "close"):
            result.close()


def environ_of(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the environ of a request.

    A header with an underscore in its name is dropped, as nginx does: it would pass for the one with hyphens, which a
    proxy may have set. So is one whose value is not ASCII.
    """
    client, client_port = _address(scope.client)
    server, server_port = _address(scope.server)
    environ = {
        **_ENVIRON,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": "HTTP/1.0" if scope.http_version == "1" else f"HTTP/{scope.http_version}",
        "SERVER_NAME": server,
        "SERVER_PORT": server_port,
        "REMOTE_ADDR": client,
        "REMOTE_PORT": client_port,
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key in _UNPREFIXED:
            environ.setdefault(key, value)
        else:
            key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ.setdefault("HTTP_HOST", scope.authority or "")
    return environ


class _Head:
    """What an app says before its body."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.written: list[bytes] = []
        self.is_sent = False

    def start(self, status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Callable[[bytes], None]:
        """The ``start_response`` of PEP 3333. With *exc_info* it takes back what was said, unless that is sent."""
        if exc_info and self.is_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        self.status, self.headers = int(status[:3]), headers
        return self.written.append


def _address(text: str) -> tuple[str, str]:
    """Split ``192.0.2.7:80`` and ``[2001:db8::7]:80``."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port

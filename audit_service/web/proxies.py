"""What proxies in front of the service say of the client: believed for as many of them as the settings name.

Each proxy adds the address that it saw to the end of ``X-Forwarded-For`` and ``X-Forwarded-Proto``; what stands before
was sent by the client, and may be anything.
"""

from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class TrustedProxies:
    """WSGI middleware that puts the address before the last *hops* proxies into the environment, as it was sent.

    The address is checked where it is read. A header with fewer values than proxies did not pass all of them, and says
    nothing. ``ProxyFix`` of Werkzeug reads the headers as quoted lists: one quotation mark hides all that follows.
    """

    def __init__(self, application: Application, hops: int) -> None:
        """Put it before *application*."""
        self._application = application
        self._hops = hops

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if address := self._value(environ, "HTTP_X_FORWARDED_FOR"):
            environ["REMOTE_ADDR"] = address
        if (scheme := self._value(environ, "HTTP_X_FORWARDED_PROTO")) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        return self._application(environ, start_response)

    def _value(self, environ: dict[str, Any], name: str) -> str | None:
        values = environ.get(name, "").split(",")
        return values[-self._hops].strip() if len(values) >= self._hops else None

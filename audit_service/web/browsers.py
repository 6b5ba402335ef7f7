"""What browsers are told, and which of their requests are refused: those that another site made them send."""

from urllib.parse import urlsplit

from flask import Flask, Response
from werkzeug.exceptions import Forbidden

from audit_service.events.request_info import real_request

_SAFE = ("GET", "HEAD", "OPTIONS")

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",  # of static files Flask says otherwise
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with "no-referrer" browsers send our own forms with "Origin: null"
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}
_TRANSPORT_SECURITY = "max-age=31536000"  # seconds; RFC 6797


def protect(app: Flask) -> None:
    """Put the protection around every route of *app*."""
    app.before_request(forbid_other_sites)
    app.after_request(add_headers)


def forbid_other_sites() -> None:
    """Raise ``Forbidden`` (403) for an unsafe request that a browser sends for another site.

    As Go's ``http.CrossOriginProtection`` does: by Fetch Metadata (``Sec-Fetch-Site``), and for browsers that do not
    send it by comparing ``Origin`` (RFC 6454) with ``Host``. A client that sends neither is no browser, and needs no
    token.
    """
    current = real_request()
    if current.method in _SAFE:
        return
    site = current.headers.get("Sec-Fetch-Site")
    if site in ("same-origin", "none"):
        return
    origin = current.headers.get("Origin")
    if not site and (not origin or _host(origin) == current.headers.get("Host")):
        return
    raise Forbidden("this request was made by another site, so it is refused")


def add_headers(response: Response) -> Response:
    """Add the headers that every answer has; one that has its own keeps it."""
    own = {name.lower() for name, _ in response.headers}
    ours = {**_HEADERS, "Strict-Transport-Security": _TRANSPORT_SECURITY} if real_request().is_secure else _HEADERS
    response.headers.extend({name: value for name, value in ours.items() if name.lower() not in own})
    return response


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None

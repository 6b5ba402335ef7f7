"""What the current request says of its sender: cleaned, capped, and null where it says nothing.

Every function also works outside a request and then answers with null.
"""

import ipaddress
import re
import uuid

from flask import has_request_context, request, session

from audit_service.text import clean

USERNAME_LIMIT = 255
USER_AGENT_LIMIT = 512
PATH_LIMIT = 2048
_REQUEST_ID_KEY = "audit_service.request_id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")


def parse_address(text: str | None) -> str | None:
    """Return the canonical text of an IP address (RFC 5952), IPv4-mapped IPv6 as IPv4, null for anything else."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        if address.scope_id:  # a zone id means something on this machine only (RFC 4007)
            return str(ipaddress.IPv6Address(int(address)))
    return str(address)


def remote_addr() -> str | None:
    """Return the address that the request came from."""
    return parse_address(request.remote_addr) if has_request_context() else None


def user_agent() -> str | None:
    """Return the User-Agent header, at most 512 characters."""
    text = request.headers.get("User-Agent") if has_request_context() else None
    return clean(text, USER_AGENT_LIMIT) if text else None


def request_id() -> str | None:
    """Return the request's X-Request-ID if it is a sane one, else an id made for this request: one id per request."""
    if not has_request_context():
        return None
    if _REQUEST_ID_KEY not in request.environ:
        sent = request.headers.get("X-Request-ID", "")
        request.environ[_REQUEST_ID_KEY] = sent if _REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())
    return str(request.environ[_REQUEST_ID_KEY])


def http_method() -> str | None:
    """Return the request's method."""
    return clean(request.method, 16) if has_request_context() else None


def path() -> str | None:
    """Return the request's path without the query string, at most 2048 characters."""
    return clean(request.path, PATH_LIMIT) if has_request_context() else None


def endpoint() -> str | None:
    """Return the name of the view that Flask chose."""
    return clean(request.endpoint, 255) if has_request_context() and request.endpoint else None


def session_username() -> str | None:
    """Return the ``username`` that the login view left in Flask's session, without asking a database."""
    name = session.get("username") if has_request_context() else None
    return clean(name, USERNAME_LIMIT) if isinstance(name, str) else None

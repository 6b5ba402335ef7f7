"""What the current request says of its client: cleaned, capped, and None where it says nothing.

Outside a request everything is None.
"""

import ipaddress
import re
from functools import lru_cache

import msgspec
from flask import Request, has_request_context, request
from flask.globals import request_ctx
from flask.sessions import SessionMixin
from uuid_utils import uuid4

from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.values.typed import Nearly

_REQUEST_ID_KEY = "audit_service.request_id"
REQUEST_ID = rf"^[A-Za-z0-9][A-Za-z0-9._:/+=-]{{0,{limits.REQUEST_ID - 1}}}\Z"  # a pattern
_REQUEST_ID = re.compile(REQUEST_ID)


_MAPPED_BITS = 96  # of an IPv4-mapped IPv6 address, before the IPv4 address
_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([^:]*):[0-9]{1,5}")


@lru_cache(maxsize=1024)
def parse_address(text: str | None) -> str | None:
    """Return the canonical text of an IP address (RFC 5952), IPv4-mapped IPv6 as IPv4, None for anything else.

    Proxies put a port behind it (``192.0.2.1:80``, ``[2001:db8::1]:80``), or brackets around it: they are left out.
    """
    match = _PORT.fullmatch(text or "")
    bare = (match[1] or match[2]) if match else text
    try:
        address = ipaddress.ip_address(bare or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        if address.scope_id:  # a zone id means something on this machine only (RFC 4007)
            return str(ipaddress.IPv6Address(int(address)))
    return str(address)


@lru_cache(maxsize=1024)
def network_of(address: str | None) -> str | None:
    """Return the network of one customer that an address is in, as far as can be told: its /24, of IPv6 its /64."""
    if address is None:
        return None
    prefix = 64 if ":" in address else 24
    return str(ipaddress.ip_network((address, prefix), strict=False))


def parse_network(text: str) -> str:
    """Return the canonical text of an IP address, or of a network (RFC 4632) if there is a prefix length behind it.

    Raises ``ValueError`` for anything else; for a network with bits beyond its prefix ``Nearly``, with the one without.
    """
    address = parse_address(text)
    if address is not None and text.count("/") == 0:
        return address
    if "%" in text:  # a zone id means something on one machine only
        raise ValueError(text)
    network = ipaddress.ip_network(text, strict=False)
    if network.network_address != ipaddress.ip_address(text.partition("/")[0]):
        raise Nearly(_canonical(network))
    return _canonical(network)


def _canonical(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped and network.prefixlen >= _MAPPED_BITS:
        return str(ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS)))
    return str(network)


class Client(msgspec.Struct, frozen=True):
    """What every event says of the request that it happened in."""

    remote_addr: str | None = None
    request_id: str | None = None
    user_agent: str | None = None


class Target(msgspec.Struct, frozen=True):
    """What an error says of the request that it happened in, besides."""

    http_method: str | None = None
    path: str | None = None
    endpoint: str | None = None
    username: str | None = None


def client() -> Client:
    """Describe the client of the current request: its address, its User-Agent, and one id for the whole request.

    The id is the request's X-Request-ID if it is a sane one, else one that is made.
    """
    if not has_request_context():
        return Client()
    current = real_request()
    environ = current.environ
    if _REQUEST_ID_KEY not in environ:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        environ[_REQUEST_ID_KEY] = sent if _REQUEST_ID.match(sent) else str(uuid4())
    agent = environ.get("HTTP_USER_AGENT")
    return Client(
        remote_addr=parse_address(current.remote_addr),
        request_id=environ[_REQUEST_ID_KEY],
        user_agent=clean(agent, limits.USER_AGENT) if agent else None,
    )


def target() -> Target:
    """Describe what the current request was for, without its query string, and whose session it had.

    The username is the one that the login view left in Flask's session: no database is asked.
    """
    if not has_request_context():
        return Target()
    name = _session_username()
    return Target(
        http_method=clean(request.method, limits.HTTP_METHOD),
        path=clean(request.path, limits.PATH),
        endpoint=clean(request.endpoint, limits.ENDPOINT) if request.endpoint else None,
        username=clean(name, limits.USERNAME) if isinstance(name, str) else None,
    )


def _session_username() -> object:
    return read_session().get("username")


def read_session() -> dict[str, object]:
    """Return what the session has, without a trace: Flask adds ``Vary`` to answers that have read it."""
    context = vars(request_ctx._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    session: SessionMixin | None = context.get("_session") or context.get("session")  # before Flask 3.1.3
    if not session:
        return {}
    was_accessed = session.accessed
    found = dict(session)
    session.accessed = was_accessed
    return found


def real_request() -> Request:
    """Return the request itself: each look through Flask's proxy costs about a microsecond."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    return current

"""Arbitrary requests: forms, JSON, bytes and headers that a client could send, and many that none would."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

from audit_service.vocabulary import Outcome, Reason
from tests.security.ground import GONE, T
from tests.support.accounts import PASSWORD


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire. ``@session@`` and the like stand for secrets, see ``Secrets``."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def on_the_wire(self) -> bytes:
        head = [self.method.encode() + b" " + self.target + b" HTTP/1.1", *(b": ".join(pair) for pair in self.headers)]
        return b"\r\n".join([*head, b"", self.body])

    def has_whole_body(self) -> bool:
        lengths = [value for name, value in self.headers if name.lower() == b"content-length"]
        framed = any(name.lower() == b"transfer-encoding" for name, _ in self.headers)
        return lengths in ([], [str(len(self.body)).encode()]) and bool(lengths) >= bool(self.body) and not framed


@dataclass(frozen=True)
class Answer:
    """What came back; a status of 0 stands for a connection that was closed without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


def _bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # surrogates and control characters too
LONG = st.builds(lambda unit, n: unit * n, st.sampled_from(["a", "\0", "\u00e9", "\U0001f600", "'", "%", "\ud800"]),
                 st.integers(0, 6000))  # fmt: skip
KNOWN = st.sampled_from(
    ["", " ", "\0", "\r\n", "*", "***", "hash:0", "user", "USER", "u\u0301ser", "admin", GONE, PASSWORD, "\ud800",
     "\u202eresu", "\ufeff", "1e400", "NaN", "null", "-1", "0", "99999999999999999999", "'; DROP TABLE trail_head; --",
     "${7*7}", "{{7*7}}", "<script>alert(1)</script>", "../../etc/passwd", "%00", "%s%s%n", "/", "//host", "\\",
     "\u2028"]
)  # fmt: skip
VALUE = st.one_of(KNOWN, TEXT, LONG)


def mostly(usual: st.SearchStrategy[T], *odd: st.SearchStrategy[T], share: float = 0.8) -> st.SearchStrategy[T]:
    """The *usual* with this share of the draws; ``one_of`` gives each of its strategies the same share."""
    copies = round(share / (1 - share) * len(odd))
    return st.sampled_from([*[usual] * copies, *odd]).flatmap(lambda chosen: chosen)


# What a header can carry: any byte but those that end it.
ODD = st.one_of(
    st.binary(max_size=60).map(lambda value: re.sub(rb"[\r\n\0]", b"", value)),
    VALUE.map(lambda value: re.sub(rb"[\r\n\0]", b"", _bytes(value))),
)
TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=20).map(str.encode)
ADDRESS = st.one_of(
    st.integers(0, 40).map(lambda n: f"203.0.{n}.7".encode()),
    st.sampled_from([b"::1", b"[2001:db8::1]:443", b"fe80::1%eth0", b"::ffff:192.0.2.1", b"256.0.0.1", b"1.2.3.4, 5"]),
    ODD,
)


def either(marker: str) -> st.SearchStrategy[bytes]:
    """The secret itself, or with one byte changed."""
    changed = st.builds(lambda place, byte: f"@{marker}:{place}:{byte}@".encode(), st.integers(0, 400),
                        st.integers(33, 126))  # fmt: skip
    return mostly(st.just(f"@{marker}@".encode()), changed)


def _prefixed(prefix: bytes, values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return values.map(lambda value: prefix + value)


COOKIE = st.one_of(
    ODD,
    _prefixed(b"audit_session=", st.one_of(ODD, either("session"))),
    _prefixed(b"__Host-audit_session=", st.one_of(ODD, either("session"))),
    _prefixed(b'x="\\303; audit_session=', either("session")),
    _prefixed(b"remember_token=", ODD),
)
AUTHORIZATION = st.one_of(
    ODD,
    _prefixed(b"Bearer ", st.one_of(ODD, either("read"), either("report"))),
    _prefixed(b"Basic ", st.one_of(ODD, ODD.map(base64.b64encode))),
    _prefixed(b"Digest ", ODD),
)
HEADERS: dict[bytes, st.SearchStrategy[bytes]] = {
    b"User-Agent": ODD,
    b"X-Request-ID": st.one_of(ODD, TOKEN),
    b"X-Forwarded-For": ADDRESS,
    b"X-Forwarded-Proto": st.one_of(st.sampled_from([b"http", b"https"]), ODD),
    b"Cookie": COOKIE,
    b"Authorization": AUTHORIZATION,
    b"Accept": st.one_of(st.sampled_from([b"text/html", b"*/*", b"text/html;q=nan", b"text/html;q=1e999"]), ODD),
    b"Accept-Language": ODD,
    b"Accept-Encoding": ODD,
    b"Referer": ODD,
    b"Range": st.one_of(st.just(b"bytes=0-1,5-"), ODD),
    b"If-None-Match": ODD,
    b"If-Modified-Since": ODD,
    b"Content-Encoding": st.one_of(st.just(b"gzip"), ODD),
    b"Content-Disposition": ODD,
}
BROWSER_HEADERS: dict[bytes, st.SearchStrategy[bytes]] = {
    b"Origin": st.one_of(st.sampled_from([b"http://x", b"http://x", b"null", b"http://[", b"//"]), ODD),
    b"Sec-Fetch-Site": st.one_of(st.sampled_from([b"same-origin", b"none", b"", b"cross-site"]), ODD),
}
_USUAL = [st.tuples(st.just(name), values) for name, values in HEADERS.items()]
_REFUSED = [st.tuples(st.just(name), values) for name, values in BROWSER_HEADERS.items()]  # with most of their values
HEADER = mostly(st.one_of(*_USUAL), st.one_of(*_REFUSED), st.tuples(TOKEN, ODD))
HOST = mostly(st.just(b"x"), ODD)

_FIELD = st.one_of(st.sampled_from(["username", "password", "current_password", "new_password", "next"]), VALUE)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), VALUE),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(VALUE, inner, max_size=3)),
    max_leaves=4,
)
NAME = mostly(VALUE.map(lambda value: f"n{value}"), VALUE)  # most are not empty
_LOGIN = st.fixed_dictionaries({"username": NAME, "password": VALUE})
_CHANGE = st.fixed_dictionaries(
    {"current_password": st.one_of(st.just(PASSWORD), VALUE), "new_password": st.one_of(VALUE, st.just("x" * 20))}
)
_REPORT = st.fixed_dictionaries(
    {"username": NAME, "outcome": mostly(st.sampled_from(list(Outcome)), _JSON)},
    optional={
        "reason": st.one_of(st.sampled_from(list(Reason)), _JSON),
        "remote_addr": st.one_of(ADDRESS.map(lambda address: address.decode("latin-1")), _JSON),
        "user_agent": VALUE,
        "timestamp": st.one_of(st.datetimes().map(lambda when: f"{when.isoformat()}Z"), _JSON),
        "app": VALUE,
        "id": st.one_of(st.uuids(version=4).map(str), st.just("01900000-0000-7000-8000-000000000001"), _JSON),
        "extra": _JSON,
    },
)


def _as_form(pairs: Iterable[tuple[str, Any]]) -> bytes:
    return b"&".join(b"=".join(quote_from_bytes(_bytes(part)).encode() for part in pair) for pair in pairs)


def _as_json(value: object, is_ascii: bool) -> bytes:
    return _bytes(json.dumps(value, ensure_ascii=is_ascii))


def _as_parts(pairs: Iterable[tuple[str, Any]], header: bytes) -> bytes:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="' + _bytes(name) + b'"' + header + b"\r\n\r\n" + _bytes(value)
        for name, value in pairs
    ]
    return b"\r\n".join([*parts, b"--b--\r\n"])


def bodies(fields: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Content types with bodies: *fields* as they should be sent, other fields, and no fields at all."""
    pairs = mostly(fields.map(lambda found: list(found.items())), st.lists(st.tuples(_FIELD, VALUE), max_size=5))
    part_header = st.sampled_from(
        [b"", b'; filename="x"', b"\r\nContent-Type: text/plain; charset=utf-16", b"\r\nContent-Length: -1"]
    )
    nested = st.sampled_from([b"[" * 9000, b'{"a":' * 9000, b'{"username": ' + b"9" * 5000 + b"}", b"{", b"\xff\xfe{"])
    as_json = st.builds(_as_json, mostly(fields, _JSON, st.lists(_REPORT, max_size=3)), st.booleans())
    form_type, json_type = b"application/x-www-form-urlencoded", b"application/json"
    odd_type = st.sampled_from(
        [b"", b"text/plain", b"application/problem+json; charset=utf-7", b"multipart/form-data",
         b"application/json; charset=\xff", b"multipart/form-data; boundary=" + b"b" * 300]
    )  # fmt: skip
    return mostly(
        st.one_of(
            st.tuples(st.just(form_type), pairs.map(_as_form)),
            st.tuples(st.just(json_type), as_json),
            st.tuples(st.just(b"multipart/form-data; boundary=b"), st.builds(_as_parts, pairs, part_header)),
        ),
        st.tuples(st.sampled_from([form_type, json_type, b"multipart/form-data; boundary=b"]), st.binary(max_size=300)),
        st.tuples(st.just(json_type), nested),
        st.tuples(st.one_of(odd_type, ODD), st.one_of(st.binary(max_size=300), pairs.map(_as_form))),
    )


@st.composite
def requests(draw: st.DrawFn, method: str, target: st.SearchStrategy[bytes],
             content: st.SearchStrategy[tuple[bytes, bytes]] | None,
             more: st.SearchStrategy[list[tuple[bytes, bytes]]]) -> Sent:  # fmt: skip
    """A request with odd headers, and sometimes one whose body is not as long as it says."""
    headers = [(b"Host", draw(HOST)), (b"Connection", b"close"), *draw(more), *draw(st.lists(HEADER, max_size=4))]
    body = b""
    if content is not None:
        kind, body = draw(content)
        right = str(len(body)).encode()
        wrong = st.one_of(st.sampled_from([b"", b"-1", b"0", b"1", b"99999", b"9" * 30, b"1e3", b"\xb2"]), ODD)
        length = draw(mostly(st.just(right), wrong, share=0.95))
        headers += [(b"Content-Type", kind), (b"Content-Length", length)]
        if draw(st.integers(0, 30)) == 17:
            headers.append((b"Transfer-Encoding", draw(st.one_of(st.just(b"chunked"), ODD))))
    return Sent(method, draw(target), headers, body)


_NOTHING: st.SearchStrategy[list[tuple[bytes, bytes]]] = st.just([])
_QUERY_NAME = st.one_of(
    st.sampled_from(["username", "outcome", "since", "until", "limit", "cursor", "actor", "action", "target", "next"]),
    VALUE,
)
_QUERY_VALUE = st.one_of(
    VALUE,
    st.sampled_from(["success", "failure", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00+23:59", "1", "1000", "1.0",
                     "9999-12-31T23:59:59.999999-23:59", "2026-01-31T12:00:60Z", "@cursor@", "@cursor:9:65@"]),
    st.datetimes().map(lambda when: f"{when.isoformat()}+00:00"),
)  # fmt: skip
QUERY = st.one_of(
    st.just(b""),
    st.lists(st.tuples(_QUERY_NAME, _QUERY_VALUE), max_size=3).map(
        lambda pairs: b"?" + _as_form(pairs).replace(b"%40", b"@").replace(b"%3A", b":")
    ),
    _prefixed(b"?", st.binary(max_size=40).map(lambda value: re.sub(rb"[^!-~]|#", b"%", value))),
)
_SEGMENT = st.one_of(VALUE.map(lambda value: quote_from_bytes(_bytes(value[:300]), safe="").encode()), TOKEN)
_EVENT = st.one_of(st.just(b"@id@"), st.uuids().map(lambda made: str(made).encode()), _SEGMENT)
_LIST = st.sampled_from([b"/api/logins", b"/api/errors", b"/api/admin-events"])


def _joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


_BEARER = st.one_of(either("report")).map(lambda token: [(b"Authorization", b"Bearer " + token)])
_SESSION = either("session").map(lambda cookie: [(b"Cookie", b"audit_session=" + cookie)])
_READER = st.one_of(
    st.just([(b"Authorization", b"Bearer @read@")]), st.just([(b"Cookie", b"audit_session=@session@")]), _NOTHING
)
_NEXT = _joined(st.just(b"/login/"), QUERY)
_REPORTS = st.tuples(
    st.just(b"application/json"),
    st.builds(_as_json, st.one_of(_REPORT, st.lists(_REPORT, max_size=3)), st.booleans()),
)
LOGINS = mostly(
    requests("POST", _NEXT, bodies(_LOGIN), st.one_of(_NOTHING, _SESSION)),
    requests("POST", _NEXT, mostly(_REPORTS, bodies(_REPORT)), _BEARER),
)
_METHOD = st.sampled_from(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
OTHERS = st.one_of(
    requests("POST", st.just(b"/logout/"), bodies(_LOGIN), _SESSION),
    requests("POST", st.just(b"/account/password/"), bodies(_CHANGE), _SESSION),
    requests("GET", _joined(_LIST, QUERY), None, _READER),
    requests("GET", _joined(_LIST, st.just(b"/"), _EVENT, st.one_of(st.just(b""), QUERY)), None, _READER),
    _METHOD.flatmap(
        lambda method: requests(
            method,
            st.one_of(
                st.sampled_from([b"/", b"/login/", b"/account/password/", b"/healthz", b"/readyz", b"/login"]),
                _joined(_LIST, st.just(b"/"), _SEGMENT),
                _joined(st.just(b"/"), _SEGMENT),
                _joined(st.just(b"/static/audit/"), _SEGMENT),
            ),
            None,
            _READER,
        )
    ),
)  # fmt: skip

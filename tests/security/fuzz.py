"""Proof 1: no arbitrary login is answered by a fault."""

import contextlib
import http.client
import io
import json
import re
import socket
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask, session
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import run_wsgi_app

from audit_service.access.accounts import get_account, set_password
from audit_service.context import read_session
from audit_service.login.sessions import start_session
from audit_service.storage.models import ErrorEvent, LoginEvent
from tests.faults import Progress
from tests.security.ground import SHOWN, Tokens, app_of, engine_of, no_progress, populate, settings
from tests.security.requests import LOGINS, OTHERS, Answer, Sent
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.fault_tools import assert_nothing_lost, wait_for_empty_spool
from tests.support.server import started_service


def _plain(method: str, target: bytes, *headers: tuple[bytes, bytes], body: bytes = b"", host: bytes = b"x") -> Sent:
    length = (b"Content-Length", str(len(body)).encode())
    return Sent(method, target, [(b"Host", host), (b"Connection", b"close"), *headers, length], body)


_FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
# What was wrong once, or is too rare to be met in a short run.
ALWAYS = [
    _plain("GET", b"/login/", (b"Accept", b"text/html"), host=b"a..b"),
    _plain("GET", b"/login/", (b"Accept", b"text/html"), host=b"a" * 64),
    _plain("POST", b"/login/", (b"Accept", b"text/html"), _FORM, body=b"username=a&password=b", host=b"a..b"),
    _plain("GET", b"/nowhere", (b"Accept", b"text/html"), host=b"a..b"),
    _plain("POST", b"/login/", (b"Authorization", b"Basic \xff"), _FORM, body=b"username=a&password=b"),
    _plain("GET", b"/api/logins", (b"Authorization", b"Basic \xff")),
    _plain("GET", b"/api/logins", (b"Authorization", b"Digest \xff=\xff, a")),
    _plain("GET", b"/", (b"Cookie", b'audit_session="\\303\\251"; remember_token="1|\\303\\251"')),
    _plain("POST", b"/login/", (b"Content-Type", b"application/json"), body=b"[" * 60_000),
    _plain("POST", b"/login/", _FORM, body=b"username=" + b"x" * 100_000),
]


@dataclass
class Secrets:
    """What the markers in a request stand for: they work, so that the requests get far."""

    app: Flask
    database_url: str
    tokens: Tokens
    values: dict[str, str] = field(default_factory=dict)
    uses: int = 0

    EVERY = 25  # requests, after which a session and a password that were ended or changed are made anew

    def put_into(self, sent: Sent) -> Sent:
        if self.uses % self.EVERY == 0:
            self.renew()
        self.uses += 1
        headers = [(name, self._replace(value)) for name, value in sent.headers]
        return Sent(sent.method, self._replace(sent.target), headers, sent.body)

    def _replace(self, data: bytes) -> bytes:
        return re.sub(rb"@([a-z]+)(?::(\d+):(\d+))?@", self._secret, data) if b"@" in data else data

    def _secret(self, match: re.Match[bytes]) -> bytes:
        value = self.values.get(match[1].decode(), "").encode()
        if match[2] is None or not value:
            return value
        place = int(match[2]) % len(value)
        return value[:place] + bytes([int(match[3]) % 256]) + value[place + 1 :]

    def renew(self) -> None:
        with engine_of(self.database_url) as engine, Session(engine) as database, database.begin():
            account = get_account(database, "user")
            if self.values.get("hash", account.password_hash) != account.password_hash:
                set_password(database, account, PASSWORD, by=ACTOR)
            self.values["hash"] = account.password_hash
            event = database.scalar(select(LoginEvent.id).limit(1))
        self.values |= {"read": self.tokens.read, "report": self.tokens.report, "id": str(event)}
        self.values["session"] = session_cookie(self.app, "user")
        if "cursor" not in self.values:
            listed = self.app.test_client().get("/api/admin-events?limit=1", headers=self.tokens.reader()).get_json()
            self.values["cursor"] = listed["next"]


def session_cookie(app: Flask, username: str) -> str:
    """The cookie of a new session."""
    with app.test_request_context():
        start_session(get_account(read_session(), username))
        answer = app.make_response("")
        app.session_interface.save_session(app, session, answer)
    return answer.headers["Set-Cookie"].split(";")[0].partition("=")[2]


def by_wsgi(app: Flask, sent: Sent) -> Answer:
    """Give the request to the app as a WSGI server does."""
    path, _, query = sent.target.partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": sent.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(sent.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in sent.headers:
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        shown = value.decode("latin-1").strip(" \t")
        environ[key] = f"{environ[key]},{shown}" if key in environ else shown
    try:
        body, status, headers = run_wsgi_app(app, environ, buffered=True)
    except Exception:  # noqa: BLE001 - what leaves the app is a 500 of the server
        return Answer(500, {}, traceback.format_exc().encode())
    return Answer(int(status.split(" ")[0]), _titled(headers.items()), b"".join(body))


def _titled(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header names as they are written here: servers differ."""
    return {name.title(): value for name, value in headers}


def by_http(url: str, sent: Sent) -> Answer:
    """Send the request's bytes to a started service."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        try:
            connection.sendall(sent.on_the_wire())
            if not sent.has_whole_body():  # who waits for more of it shall know that there is none
                with contextlib.suppress(OSError):  # who has answered already may be gone
                    connection.shutdown(socket.SHUT_WR)
            with http.client.HTTPResponse(connection, method=sent.method) as answer:
                answer.begin()
                return Answer(answer.status, _titled(answer.headers.items()), answer.read())
        except http.client.IncompleteRead as error:
            # Who says that nothing more comes, amidst a request, may be left alone.
            status = answer.status if sent.has_whole_body() or answer.status >= 500 else 0
            return Answer(status, _titled(answer.headers.items()), error.partial, is_cut=bool(status))
        except (http.client.BadStatusLine, ConnectionError):
            return Answer(0, {}, b"")


OWN_WORDS = (400, 404, 405, 411, 413, 414, 417, 431)  # what the HTTP server says by itself of what is no request


def what_is_wrong(sent: Sent, answer: Answer, *, is_ours: bool = True) -> Iterator[str]:
    """Why the answer is not a well-formed one. One that is not *is_ours* is the HTTP server's own."""
    if answer.status >= 500 or answer.is_cut:
        last = answer.body.decode("utf-8", "replace").strip().rpartition("\n")[2]
        yield f"status {answer.status}{', cut' * answer.is_cut}: {last[:200]}"
    elif answer.status == 0:
        if sent.has_whole_body():
            yield "no answer"
    elif not is_ours:
        if answer.status not in OWN_WORDS:
            yield f"status {answer.status}, bare"
    else:
        yield from _what_is_wrong_with_headers(sent, answer)
        kind = answer.headers.get("Content-Type", "")
        is_empty = sent.method in ("HEAD", "OPTIONS") or answer.status == 303
        if kind == "text/html; charset=utf-8":
            if b"</html>" not in answer.body and not is_empty:
                yield f"{answer.status} is no page"
        elif not is_empty and (problem := _what_is_wrong_with_json(answer, kind)):
            yield problem


def _what_is_wrong_with_headers(sent: Sent, answer: Answer) -> Iterator[str]:
    if missing := {"X-Content-Type-Options", "Content-Security-Policy", "X-Frame-Options"} - answer.headers.keys():
        yield f"{answer.status} without {sorted(missing)}"
    if any(re.search(r"[\r\n\0]", value) for value in answer.headers.values()):
        yield "a line break in a header"
    if (place := answer.headers.get("Location")) and not re.match(r"/(?!/)", place):
        yield f"a redirect to {place[:100]}"


def _what_is_wrong_with_json(answer: Answer, kind: str) -> str | None:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return f"{answer.status} {kind} is no JSON"
    if answer.status < 400:
        return None if kind == "application/json" else f"{answer.status} is {kind}"
    if kind != "application/problem+json":
        return f"{answer.status} is {kind}"
    shapes = {"title": str, "status": int, "detail": str, "type": str, "parameter": str}
    has_shape = set(body) <= set(shapes) and {"title", "status", "detail"} <= set(body)
    if not has_shape or any(type(value) is not shapes[name] for name, value in body.items()):
        return f"{answer.status} is no problem: {sorted(body)}"
    return None if body["status"] == answer.status else f"{answer.status} says {body['status']}"


@dataclass
class Fuzzing:
    """Sends requests, counts the answers, and keeps what is wrong with them."""

    secrets: Secrets
    progress: Progress
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: dict[str, Sent] = field(default_factory=dict)

    def run(self, times: int, send: Callable[[Sent], tuple[Answer, bool]]) -> None:
        """Send *times* logins, and about as many other requests."""
        left = times
        for sent in ALWAYS:
            self._send(sent, send)

        @hypothesis_settings(
            max_examples=times, phases=[Phase.generate], database=None, deadline=None, print_blob=False,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(LOGINS, st.one_of(st.none(), OTHERS))
        def send_both(login: Sent, other: Sent | None) -> None:
            nonlocal left
            if left > 0:
                left -= 1
                self._send(login, send)
                if other is not None:
                    self._send(other, send)
                self.progress(1)

        while left > 0:
            send_both()

    def check(self) -> None:
        """No answer was wrong, and no exception is in the trail."""
        with engine_of(self.secrets.database_url) as engine, engine.connect() as connection:
            errors = connection.execute(select(ErrorEvent.message, ErrorEvent.traceback)).all()
        shown = "".join(f"\n{what}: {str(sent)[:2000]}" for what, sent in list(self.wrong.items())[:SHOWN])
        crashes = "".join(
            f"\n{found}" for found in list({row.message: row.traceback for row in errors}.values())[:SHOWN]
        )
        assert not self.wrong, f"{len(self.wrong)} kinds of bad answers:{shown}{crashes}"
        assert not errors, crashes

    def _send(self, sent: Sent, send: Callable[[Sent], tuple[Answer, bool]]) -> None:
        sent = self.secrets.put_into(sent)
        answer, is_ours = send(sent)
        self.statuses[answer.status] += 1
        for problem in what_is_wrong(sent, answer, is_ours=is_ours):
            route = "/".join(sent.target.partition(b"?")[0].decode().split("/")[:3])
            self.wrong.setdefault(f"{sent.method} {route}: {problem}", sent)


def fuzz(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Send arbitrary logins, and other requests beside them: in process, and a tenth over HTTP."""
    tokens = populate(database_url)
    throttled = {
        "AUDIT_THROTTLE_NAME_LIMIT": 1, "AUDIT_THROTTLE_NETWORK_LIMIT": 2, "AUDIT_THROTTLE_WINDOW": 86400,
        "AUDIT_TRUSTED_PROXIES": 1,
    }  # fmt: skip
    hashing = {"AUDIT_THROTTLE": "off", "AUDIT_UNKNOWN_USERNAMES": "hash"}  # every attempt is checked by argon2
    by_network, unthrottled = max(1, times // 10), max(1, times // 10)
    with app_of(database_url, folder, **throttled) as app:
        fuzzing = Fuzzing(Secrets(app, database_url, tokens), progress)
        fuzzing.run(times - by_network - unthrottled, lambda sent: (by_wsgi(app, sent), True))
        with app_of(database_url, folder, **hashing) as other:
            fuzzing.run(unthrottled, lambda sent: (by_wsgi(other, sent), True))
        with started_service(settings(database_url, folder, **throttled)) as service:
            fuzzing.run(by_network, lambda sent: _over_http(service.url, sent))
            fuzzing.check()
    wait_for_empty_spool(folder / "spool.db")
    trail = assert_nothing_lost(database_url, [])
    counts = ", ".join(f"{count} x {status or 'closed'}" for status, count in sorted(fuzzing.statuses.items()))
    return f"{fuzzing.statuses.total()} requests ({counts}), {trail.size} events, `seq` is 1…n"


def _over_http(url: str, sent: Sent) -> tuple[Answer, bool]:
    answer = by_http(url, sent)
    return answer, "X-Content-Type-Options" in answer.headers

"""Proof 2: SQL in any parameter, field, header or path is text."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask
from sqlalchemy import inspect, select, text

from audit_service.storage.database import Base
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent
from audit_service.values import limits
from audit_service.values.text import clean, fit
from tests.faults import Progress
from tests.security.fuzz import session_cookie
from tests.security.ground import SHOWN, Tokens, app_of, engine_of, no_progress, populate
from tests.support.accounts import PASSWORD
from tests.support.fault_tools import assert_nothing_lost

PAYLOADS = [
    "' OR '1'='1", "' OR 1=1 --", "' OR 1=1 #", "' OR 1=1/*", "') OR ('1'='1", "')) OR 1=1 --", '" OR ""="',
    '" OR 1=1 --', "admin' --", "admin'/*", "user' AND '1'='1", "1 OR 1=1", "1' OR '1' = '1' LIMIT 1 --",
    "'; DROP TABLE login_events; --", "'; DROP TABLE audit_accounts CASCADE; --", "1; DROP TABLE trail_head",
    "'; DELETE FROM admin_events; --", "'; UPDATE audit_accounts SET role='admin'; --", "x'; TRUNCATE error_events; --",
    "' UNION SELECT NULL --", "' UNION SELECT password_hash FROM audit_accounts --",
    "' UNION ALL SELECT token_hash,2,3,4,5,6,7,8,9,10,11,12,13,14,15 FROM audit_tokens --",
    "' UNION SELECT sql FROM sqlite_master --", "' UNION SELECT version() --", "'||(SELECT version())||'",
    "'||pg_sleep(10)--", "'; SELECT pg_sleep(10); --", "1 AND 1=(SELECT 1 FROM pg_sleep(10))",
    "' AND 1=LIKE('A',UPPER(HEX(RANDOMBLOB(1000000000)))) --", "' AND extractvalue(1, 'x') --",
    "'; COPY audit_accounts TO PROGRAM 'id'; --", "'; ATTACH DATABASE '/tmp/x' AS x; --", "' OR username LIKE '%",
    "%", "_", "%' OR 'x'='x", "\\' OR 1=1 --", "''", "'", '"', "`", "$$; DROP TABLE login_events; $$",
    "%(username)s", ":username", "?", "{0}", "' OR ''='\u02bc", "\uff07 OR 1=1 --", "admin'\u00a0OR\u00a01=1--",
    "' ORDER BY 99 --", "' HAVING 1=1 --", "' GROUP BY 1 --", "0x27 OR 1=1",
    "x' AND (SELECT count(*) FROM audit_tokens) > 0 --", "' OR seq IS NOT NULL OR '", "(SELECT 1)", "NULL", "1e1",
]  # fmt: skip
SLOW = 5.0  # seconds: what sleeps in the database for ten is found


@dataclass
class Injection:
    """One database, one app, and clients that send payloads where texts are expected."""

    app: Flask
    database_url: str
    tokens: Tokens
    requests: int = 0

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self.client.set_cookie("audit_session", session_cookie(self.app, "user"))
        self.anonymous = self.app.test_client(use_cookies=False)

    def expect(self, status: int, method: str, path: str, **more: Any) -> Any:
        """Send it; return the JSON of the answer, whose status must be this one."""
        client = self.client if more.pop("in_session", False) else self.anonymous
        started = time.monotonic()
        answer = client.open(path, method=method, **more)
        assert time.monotonic() - started < SLOW, (method, path, more)
        assert answer.status_code == status, (answer.status_code, answer.text[:300], method, path, more)
        self.requests += 1
        return answer.get_json(silent=True)

    def rows(self, column: Any) -> list[str]:
        """All values of a column, for Python to compare: no condition is given to the database."""
        with engine_of(self.database_url) as engine, engine.connect() as connection:
            return list(connection.execute(select(column)).scalars())

    def newest_login(self) -> Any:
        with engine_of(self.database_url) as engine, engine.connect() as connection:
            return connection.execute(select(LoginEvent.__table__).order_by(LoginEvent.seq.desc()).limit(1)).one()

    def tables(self) -> dict[str, int]:
        """The tables that are there, and the rows of those that no request may change."""
        with engine_of(self.database_url) as engine, engine.connect() as connection:
            names = inspect(connection).get_table_names()
            fixed = ("audit_accounts", "audit_tokens", "trail_head", "audit_alembic_version")
            return {
                name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() if name in fixed else -1
                for name in names
            }

    def roles(self) -> list[tuple[str, str]]:
        with engine_of(self.database_url) as engine, engine.connect() as connection:
            found = connection.execute(text("SELECT username, role FROM audit_accounts ORDER BY id")).all()
            return [(row.username, row.role) for row in found]

    def inject(self, payload: str) -> None:
        """Put *payload* everywhere."""
        self.into_logins(payload)
        self.into_reports(payload)
        self.into_queries(payload)
        self.into_paths(payload)
        self.into_headers(payload)
        self.into_a_change_of_password(payload)

    def logins_more(self, count: int, then: Callable[[], object]) -> None:
        before = len(self.rows(LoginEvent.id))
        then()
        assert len(self.rows(LoginEvent.id)) == before + count

    def into_logins(self, payload: str) -> None:
        for fields in ({"username": payload, "password": PASSWORD}, {"username": "user", "password": payload}):
            for kind in ("data", "json"):
                self.logins_more(1, partial(self.expect, 401, "POST", "/login/", **{kind: fields}))
                assert self.newest_login().username == clean(fields["username"].strip(" "), 255)
        name = {payload: "x", "password": "x"}
        self.logins_more(0, partial(self.expect, 400, "POST", "/login/", data=name))
        self.logins_more(0, partial(self.expect, 400, "POST", "/login/", json=name))
        self.logins_more(0, partial(self.expect, 415, "POST", "/login/", data=payload, content_type="text/plain"))
        right = {"username": "user", "password": PASSWORD}
        self.logins_more(1, partial(self.expect, 200, "POST", f"/login/?next={quote(payload)}", data=right))

    def into_reports(self, payload: str) -> None:
        headers = self.tokens.reporter()
        report = {"username": payload, "outcome": "success", "app": payload[:64], "user_agent": payload}
        self.logins_more(1, partial(self.expect, 200, "POST", "/login/", json=report, headers=headers))
        stored = self.newest_login()
        assert (stored.username, stored.app, stored.user_agent) == (payload, payload[:64], payload)
        for name in ("outcome", "reason", "remote_addr", "timestamp", "id"):
            bad = {"username": "x", "outcome": "failure", name: payload}
            self.logins_more(0, partial(self.expect, 422, "POST", "/login/", json=[bad], headers=headers))
        bad = {"username": "x", "outcome": "failure", payload: "x"}
        self.logins_more(0, partial(self.expect, 422, "POST", "/login/", json=bad, headers=headers))

    def into_queries(self, payload: str) -> None:
        headers, asked = self.tokens.reader(), quote(payload, safe="")
        for path, name, column in (
            ("logins", "username", LoginEvent.username),
            ("errors", "username", ErrorEvent.username),
            ("admin-events", "actor", AdminEvent.actor),
            ("admin-events", "target", AdminEvent.target),
        ):
            items = self.expect(200, "GET", f"/api/{path}?limit=1000&{name}={asked}", headers=headers)["items"]
            literal = sum(value == payload for value in self.rows(column))
            assert len(items) == literal, (payload, path, name)
        for path, names in {
            "logins": ("outcome", "since", "until", "limit", "cursor", payload),
            "errors": ("since", "until", "limit", "cursor", payload),
            "admin-events": ("action", "since", "until", "limit", "cursor", payload),
        }.items():
            for name in names:
                problem = self.expect(400, "GET", f"/api/{path}?{quote(name, safe='')}={asked}", headers=headers)
                assert problem["parameter"] == name[:64]
        own = self.expect(200, "GET", f"/api/logins?limit=1000&username={asked}", in_session=True)["items"]
        assert own == []  # a user sees no name but its own

    def into_paths(self, payload: str) -> None:
        headers, asked = self.tokens.reader(), quote(payload, safe="")
        for folder in ("/api/logins/", "/api/errors/", "/api/admin-events/", "/api/", "/", "/static/audit/", "/login/"):
            self.expect(404, "GET", folder + asked, headers=headers)

    def into_headers(self, payload: str) -> None:
        value = payload.encode().decode("latin-1")
        odd = {"X-Request-ID": value, "User-Agent": value, "X-Forwarded-For": value, "Accept": value, "Referer": value,
               "If-None-Match": value, "X-Forwarded-Proto": value, "Accept-Language": value}  # fmt: skip
        cookies = {"Cookie": f"audit_session={value}; remember_token={value}"}
        everything = len(self.rows(LoginEvent.id))
        listed = self.expect(200, "GET", "/api/logins?limit=1000", headers={**self.tokens.reader(), **odd, **cookies})
        assert len(listed["items"]) == min(1000, everything)
        self.expect(401, "GET", "/api/logins", headers={"Authorization": f"Bearer {value}"})
        self.expect(401, "GET", "/api/logins", headers={"Authorization": value})
        self.expect(401, "GET", "/api/logins", headers=cookies)
        self.expect(401, "POST", "/login/", headers={"Authorization": f"Bearer {value}"}, json={})
        wrong = {"username": "user", "password": "wrong"}
        for name in ("Origin", "Sec-Fetch-Site"):
            self.logins_more(0, partial(self.expect, 403, "POST", "/login/", headers={name: value}, data=wrong))
        self.logins_more(1, partial(self.expect, 401, "POST", "/login/", headers={**odd, **cookies}, data=wrong))
        assert self.newest_login().user_agent == clean(value, 512)

    def into_a_change_of_password(self, payload: str) -> None:
        change = {"current_password": payload, "new_password": "another good password"}
        self.logins_more(1, partial(self.expect, 401, "POST", "/account/password/", json=change, in_session=True))
        change = {"current_password": PASSWORD, "new_password": payload}
        is_fit = limits.PASSWORD_MIN <= len(payload) <= limits.PASSWORD_MAX
        self.expect(200 if is_fit else 400, "POST", "/account/password/", json=change, in_session=True)
        if is_fit:  # then it is the password, literally
            back = {"current_password": payload, "new_password": PASSWORD}
            self.expect(200, "POST", "/account/password/", json=back, in_session=True)


def inject(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Put SQL into every parameter, field, header and segment of a path."""
    tokens = populate(database_url)
    chosen = [PAYLOADS[n * len(PAYLOADS) // times] for n in range(times)] if times < len(PAYLOADS) else PAYLOADS
    with app_of(database_url, folder, AUDIT_THROTTLE="off") as app:
        injection = Injection(app, database_url, tokens)
        before, roles = injection.tables(), injection.roles()
        for payload in chosen:
            assert fit(payload, 255) == payload, payload
            injection.inject(payload)
            assert (injection.tables(), injection.roles()) == (before, roles), payload
            progress(1)
        errors = injection.rows(ErrorEvent.traceback)
    assert not errors, errors[:SHOWN]
    assert set(Base.metadata.tables) <= set(before)
    trail = assert_nothing_lost(database_url, [])
    return f"{len(chosen)} payloads, {injection.requests} requests, rows as the literal text, {trail.size} events"

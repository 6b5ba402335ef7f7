"""What browsers are told, and which of their requests are refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import audit_service
from audit_service.vocabulary import Role
from tests.support.accounts import PASSWORD
from tests.support.logins import BROWSER, log_in, logins

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # what a browser sends is judged before a database is asked

HTTPS = "https://localhost"
NEW_PASSWORD = "another horse, another battery"

SAME, NONE, CROSS, SITE = "same-origin", "none", "cross-site", "same-site"
OURS, OTHER = "http://localhost", "http://evil.example"

Sent = tuple[str | None, str | None]  # Sec-Fetch-Site and Origin

# As Go 1.25's http.CrossOriginProtection.
PASSED: list[Sent] = [
    (None, None),  # no browser
    (SAME, None),
    (SAME, OURS),
    (SAME, "null"),
    (SAME, OTHER),  # what the browser says comes first
    (NONE, None),
    (NONE, "null"),
    ("", None),
    ("", OURS),
    (None, OURS),
    (None, "https://localhost"),  # the scheme is not compared: a proxy may have taken off the TLS
]
REFUSED: list[Sent] = [
    (CROSS, None),
    (CROSS, OTHER),
    (CROSS, OURS),
    (SITE, None),
    (SITE, OURS),
    ("junk", None),
    ("junk", OURS),
    ("Same-Origin", OURS),
    ("same-origin, cross-site", OURS),
    (None, OTHER),
    ("", OTHER),
    (None, "null"),
    (None, "http://localhost:8000"),
    (None, "http://localhost.evil.example"),
    (None, "http://evil.localhost"),
    (None, "http://localhost@evil.example"),
    (None, "http://evil.example/localhost"),
    (None, "http://evil.example#localhost"),
    (None, "http://127.0.0.1"),
    (None, "http://["),
    (None, "http://]"),
    (None, "http://"),
    (None, "//"),
    (None, "localhost"),
    (None, "junk"),
    (None, "\u00ff"),
    (None, "a" * 5000),
]


def headers_of(sent: Sent, *more: dict[str, str]) -> dict[str, str]:
    names = ("Sec-Fetch-Site", "Origin")
    merged = {name: value for name, value in zip(names, sent, strict=True) if value is not None}
    for each in more:
        merged |= each
    return merged


@pytest.fixture
def production(app: Flask, accounts: dict[Role, str]) -> Flask:
    """The service with accounts, and a view that fails as in production."""

    def fail() -> str:
        raise ValueError

    app.add_url_rule("/fail", view_func=fail)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture
def make_app(accounts: dict[Role, str], make_app: Callable[..., Flask]) -> Callable[..., Flask]:
    """With the accounts on their database."""
    return make_app


@pytest.mark.parametrize("accept", [{}, BROWSER], ids=["JSON", "browser"])
@pytest.mark.parametrize("path", ["/login/", "/logout/", "/account/password/"])
def test_what_another_site_sends_changes_nothing(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], path: str, accept: dict[str, str]
) -> None:
    fields = {"username": "auditor", "password": PASSWORD, "current_password": PASSWORD, "new_password": NEW_PASSWORD}
    log_in(client)
    for sent in REFUSED:
        for body in ({"json": fields}, {"data": fields}):
            answer = client.post(path, headers=headers_of(sent, accept), **body)
            assert (sent, answer.status_code) == (sent, 403)
            assert (answer.mimetype == "text/html") == bool(accept)
            assert "this request was made by another site" in answer.text
            assert "Set-Cookie" not in answer.headers
    assert client.get("/").get_json()["username"] == "user"
    assert len(logins(app)) == 1
    assert log_in(app.test_client()).status_code == 200


@pytest.mark.parametrize("body", ["data", "json"])
@pytest.mark.parametrize("accept", [{}, BROWSER], ids=["JSON", "browser"])
def test_what_our_own_pages_send_is_done(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], body: str, accept: dict[str, str]
) -> None:
    login = {"username": "user", "password": PASSWORD}
    for sent in PASSED:
        headers = headers_of(sent, accept)
        in_, out = client.post("/login/", headers=headers, **{body: login}), client.post("/logout/", headers=headers)
        assert (sent, in_.status_code, out.status_code) == (sent, *([303] * 2 if accept else [200] * 2))
    log_in(client)
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    changed = client.post("/account/password/", headers=headers_of((SAME, OURS), accept), **{body: change})
    assert changed.status_code == (303 if accept else 200)
    assert len(logins(app)) == 2 * len(PASSED) + 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_looking_is_no_change(client: FlaskClient, accounts: dict[Role, str], method: str) -> None:
    log_in(client)
    for sent in [*PASSED, *REFUSED]:
        for path in ("/", "/login/", "/api/logins"):
            assert client.open(path, method=method, headers=headers_of(sent)).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "JUNK"])
@pytest.mark.parametrize("path", ["/", "/api/logins", "/nowhere", "/healthz"])
def test_every_route_is_protected(client: FlaskClient, path: str, method: str) -> None:
    assert client.open(path, method=method, headers=headers_of((CROSS, OURS))).status_code == 403
    assert client.open(path, method=method).status_code in (404, 405)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("audit.example:8443", "https://audit.example:8443", 200),
        ("audit.example:8443", "https://audit.example", 403),
        ("audit.example", "https://audit.example:8443", 403),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("[::1]:8000", "http://[::1]", 403),
        ("[::1]:8000", "http://[::2]:8000", 403),
    ],
)
def test_the_host_is_compared_with_its_port(
    client: FlaskClient, accounts: dict[Role, str], host: str, origin: str, status: int
) -> None:
    assert log_in(client, headers={"Host": host, "Origin": origin}).status_code == status


def test_a_host_that_a_proxy_does_not_vouch_for_is_not_believed(client: FlaskClient, accounts: dict[Role, str]) -> None:
    answer = log_in(client, headers={"X-Forwarded-Host": "evil.example", "Origin": OTHER})
    assert answer.status_code == 403


def test_a_report_from_another_site_is_refused_too(client: FlaskClient) -> None:
    headers = headers_of((CROSS, OTHER), {"Authorization": "Bearer x"})
    assert client.post("/login/", json={"username": "ada", "outcome": "success"}, headers=headers).status_code == 403


def directives(answer: TestResponse) -> dict[str, list[str]]:
    (policy,) = answer.headers.getlist("Content-Security-Policy")
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def every_kind_of_answer(app: Flask, **more: Any) -> dict[str, TestResponse]:
    """One answer of each kind, from a service whose AUDIT_THROTTLE_NAME_LIMIT is 1."""

    def fail() -> str:
        raise ValueError

    app.add_url_rule("/fail", view_func=fail)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    nobody, somebody = app.test_client(), app.test_client()
    browser = {"headers": BROWSER, **more}
    answers = {
        "200 login page": nobody.get("/login/", **browser),
        "200 logged in": log_in(somebody, **more),
        "200 index page": somebody.get("/", **browser),
        "200 password page": somebody.get("/account/password/", **browser),
        "200 JSON": somebody.get("/", **more),
        "200 API": somebody.get("/api/logins", **more),
        "200 HEAD": somebody.head("/api/logins", **more),
        "200 health": nobody.get("/healthz", **more),
        "200 css": nobody.get("/static/audit/audit.css", buffered=True, **more),
        "200 logged out": app.test_client().post("/logout/", **more),
        "303 logged in": log_in(app.test_client(), **browser),
        "303 logged out": app.test_client().post("/logout/", **browser),
        "303 to the login": nobody.get("/", **browser),
        "303 to the login for the password": nobody.get("/account/password/", **browser),
        "200 no slash": nobody.get("/login", **more),
        "400 JSON": nobody.post("/login/", json=1, **more),
        "400 page": nobody.post("/login/", data={}, **browser),
        "401 API": nobody.get("/api/logins", **more),
        "403 JSON": somebody.get("/api/errors", **more),
        "403 page": nobody.post("/login/", **{**more, "headers": {**BROWSER, "Sec-Fetch-Site": "cross-site"}}),
        "404 JSON": nobody.get("/nowhere", **more),
        "404 page": nobody.get("/nowhere", **browser),
        "404 API": nobody.get("/api/nowhere", **more),
        "404 css": nobody.get("/static/audit/nowhere.css", **more),
        "405 JSON": nobody.post("/", **more),
        "405 page": nobody.post("/", **browser),
        "405 API": nobody.post("/api/logins", **more),
        "413 JSON": nobody.post("/login/", json={"username": "x" * 100_000}, **more),
        "413 page": nobody.post("/login/", data={"username": "x" * 100_000}, **browser),
        "415 JSON": nobody.post("/login/", data="<x/>", content_type="application/xml", **more),
        "401 JSON": log_in(nobody, "nobody", **more),
        "429 JSON": log_in(nobody, "nobody", **more),
        "401 page": log_in(nobody, "nemo", **browser),
        "429 page": log_in(nobody, "nemo", **browser),
        "500 JSON": nobody.get("/fail", **more),
        "500 page": nobody.get("/fail", **browser),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {name: int(name[:3]) for name in answers}
    return answers


@pytest.mark.parametrize("base_url", ["http://localhost", HTTPS])
def test_the_headers_of_every_answer(make_app: Callable[..., Flask], base_url: str) -> None:
    for name, answer in every_kind_of_answer(make_app(AUDIT_THROTTLE_NAME_LIMIT=1), base_url=base_url).items():
        policy = directives(answer)
        assert (name, policy["default-src"], policy["frame-ancestors"]) == (name, ["'none'"], ["'none'"])
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"} & {
            value for values in policy.values() for value in values
        }
        assert policy["script-src"] == ["'self'"]
        assert (policy["base-uri"], policy["form-action"]) == (["'none'"], ["'self'"])
        got = {header: answer.headers.getlist(header) for header in ("X-Content-Type-Options", "Referrer-Policy")}
        # "no-referrer" would make browsers send our own forms with "Origin: null"
        assert (name, got) == (name, {"X-Content-Type-Options": ["nosniff"], "Referrer-Policy": ["same-origin"]})
        assert answer.headers["X-Frame-Options"] == "DENY"
        security = answer.headers.get("Strict-Transport-Security", "")
        assert (name, security.startswith("max-age=")) == (name, base_url == HTTPS)


def test_nothing_personal_stays_in_a_cache(make_app: Callable[..., Flask]) -> None:
    answers = every_kind_of_answer(make_app(AUDIT_THROTTLE_NAME_LIMIT=1))
    impersonal = {"200 css"}
    got = {name: answer.headers.get("Cache-Control") for name, answer in answers.items() if name not in impersonal}
    assert got == dict.fromkeys(got, "no-store")


def test_what_has_its_own_header_keeps_it(production: Flask) -> None:
    def own() -> tuple[str, dict[str, str]]:
        return "", {"Referrer-Policy": "no-referrer"}

    production.add_url_rule("/own", view_func=own)
    assert production.test_client().get("/own").headers.getlist("Referrer-Policy") == ["no-referrer"]


INLINE = re.compile(
    r"""<script(?! src="/)|<style|<iframe|<object|<embed|<base\b|javascript:|\sstyle\s*=|\son[a-z]+\s*=""",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"""\s(?:href|src|action|formaction|poster|data|srcset)="([^"]*)\"""", re.IGNORECASE)


def pages(app: Flask) -> dict[str, TestResponse]:
    """The rendered ones; redirects have a page, too, that Werkzeug makes and nobody sees."""
    answers = every_kind_of_answer(app).items()
    return {name: each for name, each in answers if each.mimetype == "text/html" and not name.startswith("3")}


def test_the_pages_obey_the_policy(make_app: Callable[..., Flask]) -> None:
    shown = pages(make_app(AUDIT_THROTTLE_NAME_LIMIT=1))
    assert len(shown) > 8
    for name, answer in shown.items():
        assert (name, INLINE.findall(answer.text)) == (name, [])
        addresses = ADDRESS.findall(answer.text)
        assert "/static/audit/audit.css" in addresses
        foreign = [each for each in addresses if each != "#main" and not re.match(r"/(?!/)", each)]
        assert (name, foreign) == (name, [])
    css = (Path(audit_service.__file__).parent / "web" / "static" / "audit.css").read_text()
    assert not re.search(r"url\(|@import|expression\(|//", css)


def test_what_users_type_is_no_markup(client: FlaskClient, accounts: dict[Role, str]) -> None:
    hostile = '"><script>alert(1)</script><p style="x" onload=\'y\'>'
    answers = [
        log_in(client, hostile, "wrong", headers=BROWSER),
        client.get("/login/", query_string={"next": hostile}, headers=BROWSER),
        client.get(f"/{hostile}", headers=BROWSER),
        client.post("/login/", query_string={"next": hostile}, headers=BROWSER),
    ]
    for answer in answers:
        assert answer.mimetype == "text/html"
        assert "<script>" not in answer.text
        assert 'style="x"' not in answer.text
    assert "&lt;script&gt;" in answers[0].text


def test_an_unchecked_name_is_no_markup(make_app: Callable[..., Flask]) -> None:
    client = make_app(AUDIT_LOGIN="passwordless").test_client()
    log_in(client, "<b onclick='x'>", headers=BROWSER)
    page = client.get("/", headers=BROWSER).text
    assert "&lt;b onclick=" in page
    assert "<b " not in page


KEPT = [
    "/",
    "/ok/path?x=1",
    "/ok/path?x=1&y=2#z",
    "/account/password/",
    "/api/logins?username=ada",
    "/%09/evil.example",  # a path of ours, whose name is odd
    "/a//evil.example",
    "/.//evil.example",
    "/ok?u=http://evil.example",
]
NOT_OURS = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/ok\\evil",
    "http://evil.example",
    "HTTPS://evil.example",
    "http:evil.example",
    "http:/evil.example",
    "evil.example",
    "evil.example/",
    "@evil.example",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "?x=1",
    "#x",
    ".",
    "..",
    "",
    " /ok",
    " //evil.example",
    "/ ok",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "/ok\r\nSet-Cookie: a=b",
    "/ok\n",
    "/\x00/evil.example",
    "/\x1f/evil.example",
    "/\x7f/evil.example",
    "/\u2028/evil.example",
    "/\u00a0/evil.example",
    "/\u3002evil.example",
    "/\uff0f/evil.example",
    "\uff0f\uff0fevil.example",
]


def location_after_login(client: FlaskClient, query: str) -> str | None:
    answer = client.post(f"/login/?{query}", data={"username": "user", "password": PASSWORD}, headers=BROWSER)
    assert answer.status_code == 303
    assert len(answer.headers.getlist("Set-Cookie")) == 1
    location: str | None = answer.headers["Location"]
    return location


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def test_the_login_leads_nowhere_else(client: FlaskClient, accounts: dict[Role, str]) -> None:
    for path in KEPT:
        assert (path, location_after_login(client, f"next={quoted(path)}")) == (path, path)
    for path in NOT_OURS:
        assert (path, location_after_login(client, f"next={quoted(path)}")) == (path, "/")


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("", "/"),
        ("next", "/"),
        ("next=/ok", "/ok"),
        ("next=/%09/evil.example", "/"),
        ("next=%09//evil.example", "/"),
        ("next=/%0d%0aLocation:%20http://evil.example", "/"),
        ("next=%2f%2fevil.example", "/"),
        ("next=%2f%5cevil.example", "/"),
        ("next=/%252fevil.example", "/%2fevil.example"),
        ("next=%ff", "/"),
        ("next=/%ff", "/%FF"),
        ("next=/%ed%a0%80", "/%ED%A0%80"),
        ("next=/ok&next=//evil.example", "/ok"),
        ("next=//evil.example&next=/ok", "/"),
        ("Next=//evil.example", "/"),
    ],
)
def test_the_query_as_it_is_on_the_wire(
    client: FlaskClient, accounts: dict[Role, str], query: str, location: str
) -> None:
    assert location_after_login(client, query) == location


def test_the_form_keeps_where_to_go(client: FlaskClient, accounts: dict[Role, str]) -> None:
    target = "/api/logins?username=ada&limit=1"
    shown = client.get("/login/", query_string={"next": target}, headers=BROWSER)
    for page in (shown, client.post("/login/", query_string={"next": target}, headers=BROWSER)):
        (action,) = re.findall(r'action="([^"]*/login/[^"]*)"', page.text)
        answer = client.post(action, data={"username": "user", "password": PASSWORD}, headers=BROWSER)
        assert answer.headers["Location"] == target

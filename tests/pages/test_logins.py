"""The table of logins: its links, its columns, its size, and the rows that are new."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from audit_service.context import EXTENSION
from audit_service.vocabulary import Role
from tests.factories import LoginFactory
from tests.support.logins import BROWSER, log_in

Get = Callable[..., TestResponse]
NOW = datetime.now(UTC)


@pytest.fixture
def get(client: FlaskClient, accounts: dict[Role, str]) -> Get:
    log_in(client, "auditor")

    def get_page(path: str = "/logins/", **query: Any) -> TestResponse:
        return client.get(path, query_string=query or None, headers=BROWSER)

    return get_page


def table(page: str) -> str:
    return page[page.index('id="events"') :].partition("</table>")[0]


def links(page: str) -> set[str]:
    return {html.unescape(link) for link in re.findall(r'href="(\?[^"]*)"', table(page))}


def test_values_lead_to_those_that_have_them_too(get: Get) -> None:
    LoginFactory(username="a b&c", remote_addr="192.0.2.7", failed=True)
    assert links(get(outcome="failure").text) == {
        "?outcome=failure&action=login",
        "?outcome=failure&reason=bad_password",
        "?outcome=failure&username=a+b%26c",
        "?outcome=failure&remote_addr=192.0.2.7",
    }
    network = links(get(outcome="failure", column="network,app").text)
    assert network == {
        "?outcome=failure&column=app,network&remote_addr=192.0.2.0/24",
        "?outcome=failure&column=app,network&app=tests",
    }


def test_what_changes_nothing_is_not_in_links(get: Get) -> None:
    LoginFactory(username="bob")
    usual = ["timestamp", "action", "outcome", "reason", "username", "remote_addr", "method"]
    assert links(get(limit=100, column=usual, username="bob").text) == links(get(username="bob").text)
    assert all("column=username,method" in link for link in links(get(column=["method", "username"]).text))


def test_a_bad_filter_says_why_and_the_rest_is_kept(get: Get) -> None:
    answer = get(since="nonsense", username="bob", limit=25, column="username")
    assert answer.status_code == 400
    page = answer.text
    field = page[page.index('name="since"') :]
    assert "since must be" in field[: field.index("until")]
    assert 'name="username" value="bob"' in page
    assert "<option selected>25</option>" in page
    assert page.count("checked") == 1


def test_the_size_of_a_hundred_rows(get: Get) -> None:
    for minutes in range(110):
        LoginFactory(
            timestamp=NOW - timedelta(minutes=minutes), username="bob", failed=minutes % 3 == 0, method="password"
        )
    for page in (get(), get(username="bob"), get(since="30d")):
        assert table(page.text).count("<tr>") == 101
        assert len(page.data) <= 60_000


def test_new_rows(get: Get) -> None:
    LoginFactory(username="early", failed=True)
    page = get(outcome="failure", column="timestamp,username").text
    url = html.unescape(re.search(r'data-live="([^"]+)"', page)[1])  # type: ignore[index]
    LoginFactory(username="<i>", failed=True)
    LoginFactory(username="last", failed=True, timestamp=NOW - timedelta(days=400))
    LoginFactory(username="succeeded")
    rows = get(url).text
    assert re.findall(r"username=[^>]*>([^<]*)", rows) == ["last", "&lt;i&gt;"]
    after = html.unescape(re.search(r'data-next="([^"]+)"', rows)[1])  # type: ignore[index]
    assert "<tr>" not in get(after).text
    assert "<tr>" not in get("/logins/new").text
    assert get(url.replace("outcome=failure", "outcome=success")).status_code == 400  # the cursor is of its question


def test_users_see_no_new_rows(client: FlaskClient, accounts: dict[Role, str]) -> None:
    log_in(client, "user")
    assert client.get("/logins/new", headers=BROWSER).status_code == 403


def test_a_page_asks_the_database_one_thing_more_than_the_api_at_most(app: Flask, get: Get) -> None:
    LoginFactory(failed=True)
    statements: list[str] = []

    def hear(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        statements.append(statement)

    def count(*paths: str) -> int:
        statements.clear()
        for path in paths:
            assert get(path).status_code == 200
        return sum("login_events" in statement for statement in statements)

    summaries = [f"/api/logins/summary?by={by}" for by in ("outcome", "username", "network", "reason")]
    event.listen(app.extensions[EXTENSION].reader, "before_cursor_execute", hear)
    assert 0 < count("/logins/") <= count("/api/logins", *summaries) + 1


@pytest.mark.parametrize("backend", ["sqlite"])  # no database is asked what a text is
@pytest.mark.parametrize(
    ("text", "leads_to"),
    [
        (" ada ", "/logins/?username=ada"),
        ("2001:DB8::7", "/logins/?remote_addr=2001:DB8::7"),
        ("10.0.0.1/8", "/logins/?remote_addr=10.0.0.1/8"),  # the field there says which network was meant
        ("10.0.0", "/logins/?username=10.0.0"),
        ("", "/logins/"),
    ],
)
def test_what_is_looked_for_is_a_name_or_an_address(
    client: FlaskClient, accounts: dict[Role, str], text: str, leads_to: str
) -> None:
    log_in(client, "auditor")
    answer = client.get("/find/", query_string={"q": text}, headers=BROWSER)
    assert (answer.status_code, unquote(answer.location)) == (303, leads_to)
    log_in(client, "user")
    assert client.get("/find/", query_string={"q": text}, headers=BROWSER).status_code == 403

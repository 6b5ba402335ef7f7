"""Admin events as sentences."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from audit_service.pages.sentences import SENTENCES
from audit_service.vocabulary import AdminAction, Role
from tests.factories import AdminFactory
from tests.support.logins import BROWSER, log_in

Get = Callable[..., TestResponse]


@pytest.fixture
def get(client: FlaskClient, accounts: dict[Role, str]) -> Get:
    log_in(client, "auditor")

    def get_page(path: str = "/changes/", **query: Any) -> TestResponse:
        return client.get(path, query_string=query, headers=BROWSER)

    return get_page


def sentences(page: str) -> list[str]:
    cells = re.findall(r'<td class="w">(.*?)</td>', page, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells]


def test_every_action_has_a_sentence() -> None:
    assert set(SENTENCES) == set(AdminAction)


def test_sentences(get: Get) -> None:
    AdminFactory(actor="ada", action=AdminAction.ROLE_CHANGED, target="bob", details={"from": "user", "to": "auditor"})
    AdminFactory(actor="ada", action=AdminAction.PASSWORD_CHANGED, target="ada")
    AdminFactory(actor="cli:root", action=AdminAction.TOKEN_ADDED, target="ci", details={"scope": "read"})
    AdminFactory(actor="token:ci", action=AdminAction.HISTORY_READ, target="/x", details={"username": ["bob", "eve"]})
    AdminFactory(actor="ada", action=AdminAction.EVENTS_IMPORTED, target="old.csv", details={"events": 7})
    AdminFactory(actor="<i>", action=AdminAction.ACCOUNT_ADDED, target="\u05d0", details={"role": "<b>"})
    page = get().text
    assert sentences(page)[:6] == [
        "<i> added the account \u05d0 with the role <b>",
        "ada imported 7 events from old.csv",
        "the token ci read /xusername: bob, eve",
        "root (command line) added the token ci with the scope read",
        "ada changed their own password",
        "ada gave bob the role auditor instead of user",
    ]
    assert "<bdi>\u05d0</bdi>" in page
    assert 'href="/changes/?actor=token%3Aci"' in page
    assert 'href="/logins/?username=bob"' in page


def test_an_action_whose_details_are_missing(get: Get) -> None:
    for action in AdminAction:
        AdminFactory(actor="ada", action=action, target=None)
    assert len(sentences(get(actor="ada").text)) == len(AdminAction)


def test_filters(get: Get) -> None:
    AdminFactory(actor="ada", action=AdminAction.ACCOUNT_ENABLED, target="bob")
    AdminFactory(actor="eve", action=AdminAction.ACCOUNT_DISABLED, target="bob")
    assert sentences(get(target="bob").text) == ["eve disabled the account bob", "ada enabled the account bob"]
    assert sentences(get(target="bob", action=["account_enabled", "role_changed"]).text) == [
        "ada enabled the account bob"
    ]
    page = get(actor="nobody").text
    assert "Nothing matches these filters: by whom: nobody" in re.sub(r"<[^>]+>", "", page)


def test_users_see_no_changes(client: FlaskClient, accounts: dict[Role, str]) -> None:
    log_in(client, "user")
    assert client.get("/changes/", headers=BROWSER).status_code == 403


def test_a_look_with_made_up_filters_breaks_no_page(get: Get) -> None:
    """Anybody who may read the history writes such names into it, and others read them."""
    made_up = "username" + 2000 * "!"
    assert get(**{made_up: "1"}).status_code == 400
    page = get()
    assert page.status_code == 200
    assert f"{made_up}: 1" in page.text
    get(**{"target!": "ada"})
    assert "of whom or what is not: ada" in get().text

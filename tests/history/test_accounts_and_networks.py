"""The last login of every account, and names from new networks: by the API and on the command line."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from audit_service.vocabulary import Role
from tests.factories import LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.commands import succeed
from tests.support.reader import Reader

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPAN = {"since": "2026-01-31T00:00:00Z", "until": "2026-02-01T00:00:00Z"}


@pytest.fixture(autouse=True)
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


def test_the_last_login_of_every_account(reader: Reader, accounts: dict[Role, str]) -> None:
    now = datetime.now(UTC)
    old = LoginFactory(username=accounts[Role.USER], timestamp=now - timedelta(days=100), remote_addr="192.0.2.1")
    LoginFactory(username=accounts[Role.USER], timestamp=now - timedelta(days=200))
    LoginFactory(username=accounts[Role.USER], timestamp=now, failed=True)  # none that succeeded
    LoginFactory(username=accounts[Role.USER], timestamp=now, logout=True)
    LoginFactory(username=accounts[Role.ADMIN], timestamp=now - timedelta(days=1))
    LoginFactory(username="no account", timestamp=now)
    found = reader.get("/api/accounts/last-logins").get_json()
    assert (found["total"], found["items"][0]["username"]) == (len(accounts), accounts[Role.USER])
    first = found["items"][0]
    assert (first["last_login_id"], first["remote_addr"], first["role"]) == (str(old.id), "192.0.2.1", "user")
    by_name = {item["username"]: item["last_login_at"] for item in found["items"]}
    assert by_name[accounts[Role.AUDITOR]] is None
    assert list(by_name)[1] == accounts[Role.ADMIN]  # the auditor's account was made just now

    away = reader.get("/api/accounts/last-logins", days=90).get_json()
    assert (away["total"], away["items"]) == (1, [first])
    assert reader.get("/api/accounts/last-logins", days=101).get_json() == {"total": 0, "items": []}
    few = reader.get("/api/accounts/last-logins", limit=1).get_json()
    assert (few["total"], few["items"]) == (len(accounts), [first])
    assert json.loads(succeed("history", "last-logins", "--days", "90")) == away


def test_names_from_new_networks(reader: Reader) -> None:
    def login(name: str, address: str | None, hours: float, **more: Any) -> None:
        LoginFactory(username=name, remote_addr=address, timestamp=NOON + timedelta(hours=hours), **more)

    login("ada", "192.0.2.1", -24)
    login("ada", "192.0.2.200", 0)  # the same network
    login("ada", "203.0.113.1", 1)
    login("ada", "203.0.113.2", 2)
    login("bob", "192.0.2.1", 3)  # new to bob
    login("cyd", "198.51.100.1", -24, failed=True)  # did not come in
    login("cyd", "198.51.100.1", 4)
    login("dan", "2001:db8::1", 5, failed=True)
    login("eve", None, 6)
    login("fay", "192.0.2.9", 24)  # later
    found = reader.get("/api/logins/first-seen", **SPAN).get_json()
    assert (found["since"], found["until"]) == (SPAN["since"], SPAN["until"])
    seen = [(item["username"], item["network"], item["count"], item["is_new"]) for item in found["items"]]
    assert seen == [
        ("cyd", "198.51.100.0/24", 1, True),
        ("bob", "192.0.2.0/24", 1, True),
        ("ada", "203.0.113.0/24", 2, False),
    ]
    assert found["items"][2]["first"] == "2026-01-31T13:00:00Z"
    assert reader.get("/api/logins/first-seen", limit=1, **SPAN).get_json()["items"] == found["items"][:1]
    assert json.loads(succeed("history", "first-seen", "--since", "2026-01-31", "--until", "2026-02-01")) == found


def test_users_see_their_own_networks(client: FlaskClient, accounts: dict[Role, str]) -> None:
    LoginFactory(username="other", remote_addr="192.0.2.1")
    client.post("/login/", data={"username": accounts[Role.USER], "password": PASSWORD})
    items = client.get("/api/logins/first-seen").get_json()["items"]
    assert {item["username"] for item in items} == {accounts[Role.USER]}
    assert client.get("/api/accounts/last-logins").status_code == 403

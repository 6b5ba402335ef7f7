"""Counts, groups of errors, and the last logins of a name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.context import read_session
from audit_service.history.last import last_successes
from audit_service.values import limits
from audit_service.vocabulary import Role
from tests.factories import ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPAN = {"since": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"}


@pytest.fixture
def ask(client: FlaskClient, token: dict[str, str]) -> Any:
    def get(path: str, **query: Any) -> Any:
        answer = client.get(path, query_string=query, headers=token)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    return get


def counts(summary: Any) -> list[tuple[str | None, int, int]]:
    return [(item["key"], item["count"], item["failures"]) for item in summary["items"]]


def test_by_hour_and_day(ask: Any) -> None:
    for minutes in (0, 14, 59, 60, 24 * 60):
        LoginFactory(timestamp=NOON + timedelta(minutes=minutes))
    LoginFactory(timestamp=NOON, failed=True)
    assert counts(ask("/api/logins/summary", by="hour", **SPAN)) == [
        ("2026-01-31T12:00:00+00:00", 4, 1),
        ("2026-01-31T13:00:00+00:00", 1, 0),
        ("2026-02-01T12:00:00+00:00", 1, 0),
    ]
    assert counts(ask("/api/logins/summary", by="day", **SPAN)) == [
        ("2026-01-31T00:00:00+00:00", 5, 1),
        ("2026-02-01T00:00:00+00:00", 1, 0),
    ]


@pytest.mark.parametrize(
    ("zone", "happened", "hour", "day"),
    [
        ("Europe/Berlin", "2026-01-31T23:30:00+00:00", "2026-02-01T00:00:00+01:00", "2026-02-01T00:00:00+01:00"),
        ("Asia/Kathmandu", "2026-01-31T18:20:00+00:00", "2026-02-01T00:00:00+05:45", "2026-02-01T00:00:00+05:45"),
        ("America/New_York", "2026-02-01T04:59:59+00:00", "2026-01-31T23:00:00-05:00", "2026-01-31T00:00:00-05:00"),
        # the hour that comes twice when clocks are set back, and the day that has 25 of them
        ("Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-25T02:00:00+02:00", "2026-10-25T00:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T01:30:00+00:00", "2026-10-25T02:00:00+01:00", "2026-10-25T00:00:00+02:00"),
    ],
)
def test_hours_and_days_of_a_zone(ask: Any, zone: str, happened: str, hour: str, day: str) -> None:
    LoginFactory(timestamp=datetime.fromisoformat(happened))
    assert counts(ask("/api/logins/summary", by="hour", tz=zone, **SPAN)) == [(hour, 1, 0)]
    assert counts(ask("/api/logins/summary", by="day", tz=zone, **SPAN)) == [(day, 1, 0)]


def test_two_hours_of_the_same_name_are_two(ask: Any) -> None:
    for happened in ("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"):
        LoginFactory(timestamp=datetime.fromisoformat(happened))
    assert len(ask("/api/logins/summary", by="hour", tz="Europe/Berlin", **SPAN)["items"]) == 2
    assert len(ask("/api/logins/summary", by="day", tz="Europe/Berlin", **SPAN)["items"]) == 1


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("username", [("ada", 3, 1), ("bob", 1, 1)]),
        ("remote_addr", [("192.0.2.7", 3, 1), ("2001:db8::1", 1, 1)]),
        ("network", [("192.0.2.0/24", 3, 1), ("2001:db8::/64", 1, 1)]),
        ("outcome", [("failure", 2, 2), ("success", 2, 0)]),
        ("reason", [("bad_password", 2, 2), (None, 2, 0)]),
        ("app", [("shop", 3, 1), ("tests", 1, 1)]),
        ("method", [("password", 3, 1), (None, 1, 1)]),
    ],
)
def test_by_a_field(ask: Any, by: str, keys: list[tuple[str | None, int, int]]) -> None:
    ada = {"username": "ada", "remote_addr": "192.0.2.7", "timestamp": NOON, "app": "shop", "method": "password"}
    for failed in (False, False, True):
        LoginFactory(**ada, failed=failed)
    LoginFactory(username="bob", remote_addr="2001:db8::1", timestamp=NOON, failed=True)
    found = counts(ask("/api/logins/summary", by=by, **SPAN))
    assert sorted(found, key=str) == sorted(keys, key=str)
    assert [count for _, count, _ in found] == sorted((count for _, count, _ in keys), reverse=True)
    assert counts(ask("/api/logins/summary", by=by, top=1, **SPAN)) == found[:1]
    assert counts(ask("/api/logins/summary", by=by, username="bob", **SPAN))[0][1] == 1


def test_what_it_covers_is_said(ask: Any) -> None:
    now = datetime.now(UTC)
    LoginFactory(timestamp=now - timedelta(days=31))
    LoginFactory(timestamp=now - timedelta(days=29))
    summary = ask("/api/logins/summary", by="outcome")
    assert counts(summary) == [("success", 1, 0)]
    since, until = (datetime.fromisoformat(summary[name]) for name in ("since", "until"))
    assert until - since == timedelta(days=30)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({}, "by"),
        ({"by": "colour"}, "by"),
        ({"by": "day", "tz": "Mars/Olympus"}, "tz"),
        ({"by": "day", "tz": "../../etc/passwd"}, "tz"),
        ({"by": "username", "top": "0"}, "top"),
        ({"by": "username", "limit": "1"}, "limit"),
        ({"by": "username", "order": "oldest"}, "order"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_bad_parameters(client: FlaskClient, token: dict[str, str], query: dict[str, str], parameter: str) -> None:
    answer = client.get("/api/logins/summary", query_string=query, headers=token)
    assert (answer.status_code, answer.get_json()["parameter"]) == (400, parameter)


def test_a_user_counts_their_own(client: FlaskClient, accounts: dict[Role, str]) -> None:
    LoginFactory(username="somebody")
    client.post("/login/", data={"username": "user", "password": PASSWORD})
    assert counts(client.get("/api/logins/summary?by=username").get_json()) == [("user", 1, 0)]
    last = client.get("/api/logins/last?username=somebody").get_json()
    assert last == {"username": "somebody", "last_success": None, "last_failure": None, "failures_since": 0}
    assert client.get("/api/errors/groups").status_code == 403


def test_the_last_logins_of_a_name(ask: Any) -> None:
    assert ask("/api/logins/last", username="ada")["last_success"] is None
    for minute, kind in enumerate(["failed", "ok", "failed", "failed", "logout"]):
        traits = {} if kind == "ok" else {kind: True}
        made = LoginFactory(username="ada", timestamp=NOON + timedelta(minutes=minute), **traits)
        if kind == "ok":
            success = made
        if kind == "failed":
            failure = made
    LoginFactory(username="bob", failed=True)
    last = ask("/api/logins/last", username="ada")
    assert last["last_success"]["id"] == str(success.id)
    assert last["last_failure"]["id"] == str(failure.id)
    assert last["failures_since"] == 2


def test_errors_by_fingerprint(ask: Any) -> None:
    for minute, (fingerprint, app) in enumerate([("v1:a", "x"), ("v1:b", "x"), ("v1:a", "y"), ("v1:a", "x")]):
        made = ErrorFactory(fingerprint=fingerprint, app=app, timestamp=NOON + timedelta(minutes=minute))
    first, second = ask("/api/errors/groups", **SPAN)["items"]
    assert (first["fingerprint"], first["count"], first["newest"]["id"]) == ("v1:a", 3, str(made.id))
    assert (first["first"], first["last"]) == ("2026-01-31T12:00:00Z", "2026-01-31T12:03:00Z")
    assert (second["fingerprint"], second["count"]) == ("v1:b", 1)
    assert len(ask("/api/errors/groups", limit=1, **SPAN)["items"]) == 1
    (only,) = ask("/api/errors/groups", app="y", **SPAN)["items"]
    assert only["count"] == 1


@pytest.mark.parametrize("by", ["hour", "day", "username"])
@pytest.mark.parametrize("query", [{"until": "0002-01-01T00:00:00Z"}, {"since": "0002-01-01T00:00:00Z"}])
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_the_edges_of_the_calendar(ask: Any, by: str, query: dict[str, str], zone: str) -> None:
    for year in (1, 9999):
        LoginFactory(timestamp=datetime(year, 12, 31, 23, tzinfo=UTC))
    assert ask("/api/logins/summary", by=by, tz=zone, **query)["items"] == []
    assert ask("/api/errors/groups", **query)["items"] == []


def test_hours_before_1970(ask: Any) -> None:
    LoginFactory(timestamp=datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC))
    summary = ask("/api/logins/summary", by="hour", since="1969-01-01T00:00:00Z", until="1971-01-01T00:00:00Z")
    assert counts(summary) == [("1969-12-31T23:00:00+00:00", 1, 0)]


def test_logins_at_the_same_microsecond(ask: Any) -> None:
    LoginFactory(username="ada", timestamp=NOON)
    for _ in range(2):
        LoginFactory(username="ada", timestamp=NOON, failed=True)
    assert ask("/api/logins/last", username="ada")["failures_since"] == 2


def test_the_newest_of_a_group_is_the_last_that_happened(ask: Any) -> None:
    for minutes in (0, 2, 1):  # the last one waited in a spool
        ErrorFactory(timestamp=NOON + timedelta(minutes=minutes), fingerprint="v1:same")
    (group,) = ask("/api/errors/groups", **SPAN)["items"]
    assert group["newest"]["timestamp"] == group["last"] == "2026-01-31T12:02:00Z"


def test_the_last_login_of_each_account(app: Flask, accounts: dict[Role, str]) -> None:
    for minutes in (0, 5, 3):
        LoginFactory(username="user", timestamp=NOON + timedelta(minutes=minutes))
    LoginFactory(username="user", timestamp=NOON + timedelta(minutes=9), failed=True)
    LoginFactory(username="auditor", timestamp=NOON, action="logout")
    LoginFactory(username="nobody", timestamp=NOON)
    with app.app_context():
        found = last_successes(read_session(), ["user", "auditor", "nobody"])
    assert found == {"user": NOON + timedelta(minutes=5)}


@pytest.mark.parametrize(
    ("by", "zone", "keys"),
    [
        ("hour_of_day", "UTC", ["00", "12", "13", "23"]),
        ("hour_of_day", "Asia/Kathmandu", ["04", "05", "17", "18"]),
        ("weekday", "UTC", ["monday", "saturday", "sunday"]),
        ("weekday", "Asia/Kathmandu", ["monday", "saturday", "sunday"]),
    ],
)
def test_by_hour_of_the_day_and_weekday(ask: Any, by: str, zone: str, keys: list[str]) -> None:
    """Noon is on a Saturday; the last is on the Monday after the next one."""
    for hours in (0, 1, 11, 24, 24 * 8 + 12):
        LoginFactory(timestamp=NOON + timedelta(hours=hours), failed=hours == 24)
    summary = ask("/api/logins/summary", by=by, tz=zone, **SPAN)
    assert [item["key"] for item in summary["items"]] == keys
    assert sum(item["count"] for item in summary["items"]) == 5
    assert sum(item["failures"] for item in summary["items"]) == 1
    assert (summary["then"], summary["items"][0]["distinct"], summary["items"][0]["parts"]) == (None, None, None)


@pytest.fixture
def sprayed(ask: Any) -> None:
    """One network that tries twelve names, one where two people work, and refused attempts that were counted."""
    for n in range(12):
        LoginFactory(username=f"name{n:02}", remote_addr=f"203.0.113.{n}", timestamp=NOON, failed=True)
    for n in range(20):
        LoginFactory(username="ada" if n % 4 else "bob", remote_addr="192.0.2.7", timestamp=NOON)
    LoginFactory(username="name03", remote_addr="203.0.113.9", timestamp=NOON)
    LoginFactory(username="name03", remote_addr=None, timestamp=NOON + timedelta(days=1))


@pytest.mark.usefixtures("sprayed")
def test_by_two_fields(ask: Any) -> None:
    summary = ask("/api/logins/summary", by="network", then="username", **SPAN)
    assert (summary["by"], summary["then"]) == ("network", "username")
    spray, office, nowhere = summary["items"]
    assert (spray["key"], spray["count"], spray["failures"], spray["distinct"]) == ("203.0.113.0/24", 13, 12, 12)
    assert len(spray["parts"]) == 10
    assert spray["parts"][0] == {"key": "name03", "count": 2, "failures": 1}
    assert [part["key"] for part in spray["parts"][1:3]] == ["name00", "name01"]
    assert (office["key"], office["count"], office["failures"], office["distinct"]) == ("192.0.2.0/24", 20, 0, 2)
    assert [(part["key"], part["count"]) for part in office["parts"]] == [("ada", 15), ("bob", 5)]
    assert (nowhere["key"], nowhere["distinct"]) == (None, 1)
    assert ask("/api/logins/summary", by="network", then="username", top=1, **SPAN)["items"] == [spray]
    by_name = ask("/api/logins/summary", by="username", then="reason", username="name03", **SPAN)["items"]
    parts = [{"key": None, "count": 2, "failures": 0}, {"key": "bad_password", "count": 1, "failures": 1}]
    assert by_name == [{"key": "name03", "count": 3, "failures": 1, "distinct": 1, "parts": parts}]


@pytest.mark.usefixtures("sprayed")
def test_by_a_time_and_a_field(ask: Any, client: FlaskClient, token: dict[str, str], monkeypatch: Any) -> None:
    first, second = ask("/api/logins/summary", by="day", then="network", **SPAN)["items"]
    assert (first["key"], first["count"], first["failures"], first["distinct"]) == (
        "2026-01-31T00:00:00+00:00",
        33,
        12,
        2,
    )
    assert [(part["key"], part["count"]) for part in first["parts"]] == [("192.0.2.0/24", 20), ("203.0.113.0/24", 13)]
    assert (second["count"], second["distinct"], second["parts"]) == (
        1,
        0,
        [{"key": None, "count": 1, "failures": 0}],
    )
    monkeypatch.setattr(limits, "CELLS", 2)
    asked = {"by": "weekday", "then": "network", **SPAN}
    answer = client.get("/api/logins/summary", query_string=asked, headers=token)
    assert (answer.status_code, answer.get_json()["parameter"]) == (400, "then")
    assert "ask for less" in answer.get_json()["detail"]


def test_a_summary_of_nothing_says_which_time_it_looked_at(ask: Any) -> None:
    for query in ({"by": "day"}, {"by": "network", "then": "username"}, {"by": "weekday", "then": "app"}):
        summary = ask("/api/logins/summary", **query, **SPAN)
        assert (summary["items"], summary["since"], summary["until"]) == ([], SPAN["since"], SPAN["until"])

"""Logins that another app has checked, and reports with a token."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from uuid_utils.compat import uuid7

from audit_service.access.tokens import revoke_token
from audit_service.context import write_session
from audit_service.vocabulary import Role, Scope
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.logins import ADA, by_seq, logins, new_token, report

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def shop(app: Flask) -> dict[str, str]:
    """The headers of an app that may report."""
    return new_token(app, "shop")


def test_one_login(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    before = datetime.now(UTC)
    answer = report(client, shop, {**ADA, "remote_addr": "192.0.2.7", "user_agent": "Firefox"})
    (item,) = logins(app)
    assert answer.status_code == 200
    assert answer.get_json() == {"message": "recorded", "events": [str(item.id)]}
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert before <= item.timestamp <= datetime.now(UTC)
    assert {name: getattr(item, name) for name in ("username", "action", "outcome", "reason", "method", "app")} == {
        "username": "ada",
        "action": "login",
        "outcome": "success",
        "reason": None,
        "method": "reported",
        "app": "shop",
    }
    assert (item.remote_addr, item.network, item.user_agent) == ("192.0.2.7", "192.0.2.0/24", "Firefox")
    assert item.details == {"token": "shop"}


def test_all_that_a_report_can_say(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    event_id = uuid7()
    said = {
        "id": str(event_id).upper(),
        "username": "Ame\u0301lie",
        "outcome": "failure",
        "reason": "bad_otp",
        "remote_addr": "[2001:DB8::7]:443",
        "user_agent": "u" * 600,
        "timestamp": "2026-01-31T13:00:00.123456+01:00",
        "app": "till",
    }
    assert report(client, shop, said).get_json()["events"] == [str(event_id)]
    (item,) = logins(app)
    assert (item.id, item.username, item.outcome, item.reason) == (event_id, "Am\u00e9lie", "failure", "bad_otp")
    assert (item.remote_addr, item.network, item.user_agent) == ("2001:db8::7", "2001:db8::/64", "u" * 512)
    assert (item.timestamp, item.app) == (NOON + timedelta(microseconds=123456), "till")
    assert item.details == {"token": "shop"}


def test_what_our_own_views_can_say_too(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    facts = {"action": "logout", "method": "sso", "request_id": "r1:a/b", "details": {"provider": "x\x00", "n": [1.5]}}
    assert report(client, shop, {**ADA, **facts}).status_code == 200
    assert report(client, shop, {**ADA, "method": "m\n" + "x" * 600, "request_id": "x" * 128}).status_code == 200
    first, second = by_seq(app)
    assert (first.action, first.outcome, first.reason) == ("logout", "success", None)
    assert (first.method, first.request_id) == ("sso", "r1:a/b")
    assert first.details == {"n": [1.5], "token": "shop", "provider": "x\ufffd"}
    assert (second.action, second.method, second.request_id) == ("login", "m\ufffd" + "x" * 30, "x" * 128)


@pytest.mark.parametrize(
    ("member", "value", "other"),
    [
        ("action", "logout", "login"),
        ("method", "sso", "password"),
        ("details", {"a": 1}, {"a": 2}),
        ("request_id", "r1", "r2"),
    ],
)
def test_the_same_again_is_the_same_in_all_members(
    app: Flask, client: FlaskClient, shop: dict[str, str], *, member: str, value: object, other: object
) -> None:
    item = {**ADA, "id": str(uuid7()), member: value}
    answers = [report(client, shop, each) for each in (item, item, {**item, member: other}, {**item, member: None})]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 409]
    assert len(by_seq(app)) == 1


def test_null_is_as_good_as_nothing(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    optional = (
        "action",
        "reason",
        "remote_addr",
        "user_agent",
        "timestamp",
        "app",
        "method",
        "details",
        "request_id",
        "id",
    )
    assert report(client, shop, {**ADA, **dict.fromkeys(optional)}).status_code == 200
    (item,) = logins(app)
    assert (item.reason, item.remote_addr, item.network, item.user_agent, item.app) == (None, None, None, None, "shop")


def test_the_address_of_a_report_is_not_its_senders(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    client.post(
        "/login/", json=ADA, headers={**shop, "User-Agent": "the shop's client", "X-Forwarded-For": "192.0.2.9"}
    )
    (item,) = logins(app)
    assert (item.remote_addr, item.network, item.user_agent) == (None, None, None)


def test_a_failure_has_a_reason(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    reasons = ["bad_password", "inactive", "throttled", "expired", "mfa_required", "denied", "provider_error", None]
    items = [{"username": "ada", "outcome": "failure", "reason": reason} for reason in reasons]
    assert report(client, shop, items).status_code == 200
    assert [item.reason for item in by_seq(app)] == [*reasons[:-1], "other"]


def test_a_list_is_stored_in_its_order(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    """As many as a list may have, at times in another order than the list's."""
    names = [f"u{n:03}" for n in range(500)]
    items = [
        {"username": name, "outcome": "success", "timestamp": (NOON - timedelta(seconds=n)).isoformat()}
        for n, name in enumerate(names)
    ]
    answer = report(client, shop, items)
    assert answer.status_code == 200
    headers = new_token(app, "reader", Scope.READ)
    read = client.get("/api/logins?limit=1000", headers=headers).get_json()["items"]
    read.sort(key=lambda item: item["seq"])
    assert [item["username"] for item in read] == names
    assert [item["id"] for item in read] == answer.get_json()["events"]
    first = read[0]["seq"]
    assert [item["seq"] for item in read] == list(range(first, first + 500))


def test_the_same_again_changes_nothing(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    ids = [str(uuid7()) for _ in range(4)]

    def item(n: int, name: str) -> dict[str, str]:
        return {"id": ids[n], "username": name, "outcome": "success"}

    first, second, third, fourth = (item(n, name) for n, name in enumerate(["first", "second", "third", "fourth"]))
    lists: list[Any] = [
        first,
        first,
        [first, second],  # half of it is new
        [third, second, fourth, first],
        [fourth, third, second, first],
    ]
    answers = [report(client, shop, body) for body in lists]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert [answer.get_json()["events"] for answer in answers] == [
        [each["id"] for each in (body if isinstance(body, list) else [body])] for body in lists
    ]
    stored = by_seq(app)
    assert [(str(each.id), each.username) for each in stored] == list(
        zip(ids, ["first", "second", "third", "fourth"], strict=True)
    )
    assert [each.seq for each in stored] == list(range(stored[0].seq, stored[0].seq + 4))


def test_an_id_that_is_taken_is_told_and_all_else_is_recorded(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    taken, new = [{**ADA, "id": str(uuid7())} for _ in range(3)], [{**ADA, "id": str(uuid7())} for _ in range(2)]
    assert report(client, shop, taken).status_code == 200
    bob = [{**item, "username": "bob"} for item in taken]
    answer = report(client, shop, [new[0], bob[0], taken[1], bob[2], new[1]])
    problem = answer.get_json()
    assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    assert (problem["type"], problem["parameter"]) == ("/api/problems/id-taken", "/1/id")
    detail = "item 1: id is that of another event, as are those of 3; all other items are recorded"
    assert problem["detail"] == detail
    assert [str(item.id) for item in by_seq(app)] == [item["id"] for item in (*taken, *new)]
    assert {item.username for item in logins(app)} == {"ada"}
    assert report(client, shop, bob[0]).get_json()["parameter"] == "/0/id"


def test_a_reporter_does_not_suppress_the_events_of_another(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    """Whoever knows an id in advance could else report something under it first."""
    item = {**ADA, "id": str(uuid7()), "app": "the same"}
    assert report(client, shop, item).status_code == 200
    answer = report(client, new_token(app, "till"), item)
    assert (answer.status_code, answer.get_json()["parameter"]) == (409, "/0/id")
    assert [item.details for item in logins(app)] == [{"token": "shop"}]


def test_the_time_in_the_id_is_the_time_of_the_event(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    """So that a report that comes again later is the same event."""
    early = "019c13ec-9e00-7000-8000-000000000001"
    with time_machine.travel(NOON, tick=False) as clock:
        assert report(client, shop, {**ADA, "id": early}).status_code == 200
        clock.shift(60)
        assert report(client, shop, {**ADA, "id": early}).status_code == 200
    (item,) = logins(app)
    assert item.timestamp == NOON


def id_of(time: datetime) -> str:
    return str(UUID(int=int(time.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62))


def test_an_id_of_the_future_needs_a_timestamp(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    limit = NOON + timedelta(minutes=5)
    late = id_of(limit + timedelta(milliseconds=1))
    last = "ffffffff-ffff-7000-8000-000000000001"  # of the year 10889
    with time_machine.travel(NOON, tick=False):
        assert report(client, shop, {**ADA, "id": id_of(limit)}).status_code == 200
        for event_id in (late, last):
            answer = report(client, shop, [ADA, {**ADA, "id": event_id}])
            assert (answer.status_code, answer.get_json()["parameter"]) == (422, "/1/id")
            assert "give a timestamp" in answer.get_json()["detail"]
            assert report(client, shop, {**ADA, "id": event_id, "timestamp": NOON.isoformat()}).status_code == 200
    assert [item.timestamp for item in by_seq(app)] == [limit, NOON, NOON]


def item_with(**fields: object) -> dict[str, object]:
    return {**ADA, **fields}


FUTURE = (datetime.now(UTC) + timedelta(days=1)).isoformat()
DEEP: object = json.loads("[" * 500 + "]" * 500)


def bad_values(field: str, values: list[object], **more: object) -> list[tuple[object, str]]:
    """An item for each of the bad *values* of the field."""
    return [(item_with(**{**more, field: value}), f"/{field}") for value in values]


BAD: list[tuple[object, str]] = [
    # what is no object
    (None, ""),
    (1, ""),
    ("ada", ""),
    ([], ""),
    ([ADA], ""),
    (True, ""),
    (DEEP, ""),
    # fields
    ({}, "/username"),
    ({"outcome": "success"}, "/username"),
    ({"username": "ada"}, "/outcome"),
    (item_with(password="hunter2"), "/password"),
    (item_with(Username="ada"), "/Username"),
    (item_with(seq=1), "/seq"),
    (item_with(network="192.0.2.0/24"), "/network"),
    (item_with(**{"": 1}), "/"),
    (item_with(**{"a/b~c": 1}), "/a~1b~0c"),
    (item_with(**{"a\x00": 1}), "/a\ufffd"),
    (item_with(**{"\ud800": 1}), "/\ufffd"),
    # types
    *bad_values("username", [None, "", 1, True, ["ada"], {"ada": 1}, DEEP]),
    *bad_values("outcome", [None, "", "Success", "maybe", 1, True, ["success"], {}]),
    *bad_values("reason", ["", "made up", "BAD_PASSWORD", 1, []], outcome="failure"),
    *bad_values("user_agent", [1, False, ["Firefox"], {}]),
    *bad_values("app", ["", "x" * 65, 1, ["shop"]]),
    *bad_values("action", ["", "Login", "password_changed", 1, True, ["login"]]),
    *bad_values("method", ["", 1, True, ["password"], {}]),
    *bad_values("request_id", ["", "-1", "a b", "a\x00", "a\n", "\u00e9", "x" * 129, "x" * 5000, 1, True, ["r1"], {}]),
    *bad_values(
        "details",
        [
            "",
            "{}",
            1,
            True,
            [],
            [["a", 1]],
            DEEP,
            {"a": DEEP},
            {"token": "another"},
            {"token": None},
            {"a": "x" * 4096},
            {"a": "x" * 4080},  # with the token it is too much
            {"a": 2**53 + 1},
            {"a": float("nan")},
            {"a": 1e400},
            {"a\x00": 1, "a\x01": 2},
        ],
    ),
    # a logout does not fail
    ({"username": "ada", "outcome": "failure", "action": "logout"}, "/outcome"),
    # a reason is for failures
    (item_with(reason="bad_password"), "/reason"),
    (item_with(reason="other"), "/reason"),
    # addresses
    *bad_values(
        "remote_addr",
        [
            "",
            "junk",
            "192.0.2.300",
            "010.0.0.1",
            " 192.0.2.1",
            "192.0.2.0/24",
            "a" * 5000,
            "192.0.2.1\x00",
            1,
        ],
    ),
    # times
    *bad_values(
        "timestamp",
        [
            "",
            "yesterday",
            "2026-01-31",
            "2026-01-31T12:00:00",  # naive
            "2026-01-31 12:00:00",
            "2026-02-30T12:00:00Z",
            "2026-01-31T25:00:00Z",
            FUTURE,
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-14:00",
            "10000-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            1769860800,
            1e300,
            True,
            [],
        ],
    ),
    # ids
    *bad_values(
        "id",
        [
            "",
            "1",
            str(uuid4()),
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "01900000-0000-7000-c000-000000000001",  # version 7 of a variant that is not RFC 9562's
            "{01900000-0000-7000-8000-000000000001}",
            "01900000-0000-7000-8000-000000000001\x00",
            1,
            [],
        ],
    ),
]


def test_of_a_list_with_a_bad_item_nothing_is_stored(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    for place in (0, 2):
        for bad, pointer in BAD:
            items: list[object] = [ADA, ADA, ADA, ADA]
            items[place] = bad
            answer = report(client, shop, items)
            problem = answer.get_json()
            got = (answer.status_code, answer.content_type, problem.get("parameter"))
            assert (str(bad)[:200], *got) == (str(bad)[:200], 422, "application/problem+json", f"/{place}{pointer}")
            assert f"item {place}" in problem["detail"]
            assert len(problem["detail"]) < 500
    assert logins(app) == []


def test_a_bad_report_alone(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    for bad, pointer in BAD:
        if isinstance(bad, dict):
            answer = report(client, shop, bad)
            assert (str(bad)[:200], answer.status_code) == (str(bad)[:200], 422)
            assert answer.get_json()["parameter"] == f"/0{pointer}"
    assert logins(app) == []


def test_two_equal_ids_in_one_list(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    event_id = uuid7()
    items = [ADA, item_with(id=str(event_id)), ADA, item_with(id=str(event_id).upper())]
    answer = report(client, shop, items)
    assert (answer.status_code, answer.get_json()["parameter"]) == (422, "/3/id")
    assert "item 1" in answer.get_json()["detail"]
    assert logins(app) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("null", 400),
        ("1", 400),
        ('"ada"', 400),
        ("true", 400),
        ("{", 400),
        ("[{}", 400),
        ("NaN", 400),
        (b"\xff\xfe", 400),
        ("[" * 100_000, 400),
        ('{"username":' * 50_000, 400),
        (json.dumps([ADA] * 501), 413),
        (json.dumps([{**ADA, "user_agent": "x" * 1_100_000}]), 413),
        (" " * (1024 * 1024) + json.dumps(ADA), 413),
    ],
    ids=lambda value: str(value)[:12],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_bodies_that_are_no_reports(
    app: Flask, client: FlaskClient, shop: dict[str, str], body: str | bytes, status: int
) -> None:
    answer = client.post("/login/", data=body, content_type="application/json", headers=shop)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert logins(app) == []


def test_a_body_may_be_larger_than_a_login(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    spaces = " " * (1024 * 1024 - 1000)
    answer = client.post("/login/", data=json.dumps([ADA]) + spaces, content_type="application/json", headers=shop)
    assert answer.status_code == 200
    assert client.post("/login/", data=spaces, content_type="application/json").status_code == 413
    assert len(logins(app)) == 1


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_reports_are_json(app: Flask, client: FlaskClient, shop: dict[str, str], content_type: str) -> None:
    more = {"content_type": content_type} if content_type else {}
    answer = client.post("/login/", data=json.dumps(ADA), headers=shop, **more)
    assert (answer.status_code, answer.content_type) == (415, "application/problem+json")
    assert logins(app) == []


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.shop+json"])
def test_json_has_other_names(app: Flask, client: FlaskClient, shop: dict[str, str], content_type: str) -> None:
    assert client.post("/login/", data=json.dumps(ADA), headers=shop, content_type=content_type).status_code == 200


def test_text_is_cleaned(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    names = {
        "a\x00b": "a\ufffdb",
        "\ud800": "\ufffd",
        "a\r\nb": "a\ufffd\ufffdb",
        "a\u202eb": "a\ufffdb",
        "x" * 5000: "x" * 255,
        "\U0001f600": "\U0001f600",
        "' OR 1=1 --": "' OR 1=1 --",
        " ada ": " ada ",
    }
    items = [{"username": name, "outcome": "success", "user_agent": name, "app": name[:64]} for name in names]
    assert report(client, shop, items).status_code == 200
    stored = by_seq(app)
    assert [item.username for item in stored] == list(names.values())
    assert [item.app for item in stored] == [name[:64] for name in names.values()]
    assert "\x00" not in f"{stored}"


def test_clocks_may_differ_a_little(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    with time_machine.travel(NOON, tick=False):
        statuses = [
            report(client, shop, item_with(timestamp=(NOON + ahead).isoformat())).status_code
            for ahead in (timedelta(minutes=5), timedelta(minutes=5, microseconds=1), timedelta(days=-20_000))
        ]
    assert statuses == [200, 422, 200]
    assert [item.timestamp for item in logins(app)] == [NOON + timedelta(minutes=5), NOON - timedelta(days=20_000)]


def test_the_oldest_time_that_can_be_written(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    assert report(client, shop, item_with(timestamp="0001-01-01T00:00:00Z")).status_code == 200
    assert [item.timestamp.year for item in logins(app)] == [1]


def test_only_a_valid_report_token_reports(app: Flask, client: FlaskClient, accounts: dict[Role, str]) -> None:
    revoked = new_token(app, "revoked")
    with app.app_context(), write_session() as session:
        revoke_token(session, "revoked", by=ACTOR)
    expired = new_token(app, "expired", expires_at=datetime.now(UTC) + timedelta(hours=1))
    refused: dict[str, dict[str, str]] = {
        "read": new_token(app, "read", Scope.READ),
        "revoked": revoked,
        "expired": expired,
        **{sent: {"Authorization": sent} for sent in ("Bearer", "Bearer ", "Bearer x", "bearer aud_x", "Bearer a=b")},
    }
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        for name, headers in refused.items():
            for body in ({"json": ADA}, {"data": {"username": "user", "password": PASSWORD}}):
                answer = client.post("/login/", headers=headers, **body)
                assert (name, answer.status_code) == (name, 401)
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="audit history", error=invalid_token'
                assert "--scope report" in answer.get_json()["detail"]
                assert "Set-Cookie" not in answer.headers
    assert logins(app) == []


def test_a_session_does_not_report(app: Flask, client: FlaskClient, accounts: dict[Role, str]) -> None:
    client.post("/login/", json={"username": "admin", "password": PASSWORD})
    assert client.post("/login/", json=ADA).status_code == 401
    assert [item.method for item in logins(app)] == ["password", "password"]


def test_a_report_leaves_the_session_alone(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], shop: dict[str, str]
) -> None:
    client.post("/login/", json={"username": "user", "password": PASSWORD})
    assert "Set-Cookie" not in report(client, shop, ADA).headers
    assert client.get("/").get_json()["username"] == "user"


@pytest.mark.parametrize("sent", ["Basic dXNlcjp4", "Basic", "Digest username=x", "nonsense", ""])
def test_the_login_form_ignores_other_authorization(
    app: Flask, client: FlaskClient, accounts: dict[Role, str], sent: str
) -> None:
    fields = {"username": "user", "password": PASSWORD}
    assert client.post("/login/", data=fields, headers={"Authorization": sent}).status_code == 200
    assert [(item.username, item.method) for item in logins(app)] == [("user", "password")]


@pytest.mark.parametrize("policy", ["keep", "hash", "mask"])
def test_names_that_match_no_account_obey_the_setting(make_app: Callable[..., Flask], policy: str) -> None:
    app = make_app(AUDIT_UNKNOWN_USERNAMES=policy)
    failed = {"username": "my secret password", "outcome": "failure"}
    items = [
        {**failed, "reason": "unknown_user"},
        {**failed, "reason": "unknown_user"},
        {**failed, "reason": "bad_password"},
    ]
    assert report(app.test_client(), new_token(app, "shop"), items).status_code == 200
    one, two, known = (item.username or "" for item in by_seq(app))
    assert one == two
    assert known == "my secret password"
    if policy == "hash":
        assert one.startswith("hash:")
        assert "secret" not in one
    else:
        assert one == {"keep": "my secret password", "mask": "***"}[policy]


RESERVED = ["*", "***", "hash:0123", "cli:root", "token:shop", "network:192.0.2.0/24", "hash:" + "x" * 5000]


@pytest.mark.parametrize("name", RESERVED)
def test_a_name_that_stands_for_others_is_not_reported(
    app: Flask, client: FlaskClient, shop: dict[str, str], name: str
) -> None:
    """Such an event could pass for one of ours that tells of many attempts."""
    for item in ({**ADA, "username": name}, {"username": name, "outcome": "failure", "reason": "throttled"}):
        answer = report(client, shop, [ADA, item])
        assert (answer.status_code, answer.get_json()["parameter"]) == (422, "/1/username")
        assert "reason unknown_user" in answer.get_json()["detail"]
        assert len(answer.get_json()["detail"]) < 500
    assert logins(app) == []


def test_a_name_that_stands_for_others_is_marked_when_it_has_no_account(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    items = [{"username": name, "outcome": "failure", "reason": "unknown_user"} for name in RESERVED]
    assert report(client, shop, items).status_code == 200
    assert [item.username for item in by_seq(app)] == [f"\ufffd{name}"[:255] for name in RESERVED]


def test_a_report_in_the_name_of_this_service_is_refused(make_app: Callable[..., Flask]) -> None:
    app = make_app(AUDIT_APP_NAME="door")
    shop, door = new_token(app, "shop"), new_token(app, "door")
    client = app.test_client()
    for headers, item in ((shop, {**ADA, "app": "door"}), (door, ADA), (door, {**ADA, "app": "door"})):
        answer = report(client, headers, [{**ADA, "app": "till"}, item])
        assert (answer.status_code, answer.get_json()["parameter"]) == (422, "/1/app")
    assert logins(app) == []
    assert report(client, door, {**ADA, "app": "shop"}).status_code == 200


def test_reported_failures_do_not_throttle(make_app: Callable[..., Flask]) -> None:
    """Who may report could else lock out whom it likes."""
    app = make_app(AUDIT_THROTTLE_NAME_LIMIT=1, AUDIT_THROTTLE_NETWORK_LIMIT=1)
    item = {"username": "user", "outcome": "failure", "reason": "bad_password", "remote_addr": "127.0.0.1"}
    client = app.test_client()
    assert report(client, new_token(app, "shop"), [item] * 20).status_code == 200
    assert client.post("/login/", data={"username": "user", "password": "wrong"}).status_code == 401


def test_reporting_needs_room_in_the_queue(make_app: Callable[..., Flask]) -> None:
    app = make_app(AUDIT_QUEUE_LIMIT=10)
    answer = report(app.test_client(), new_token(app, "shop"), [ADA] * 11)
    assert (answer.status_code, logins(app)) == (413, [])
    assert "a list may have 10 items" in answer.get_json()["detail"]


def test_ids_of_answers_are_of_version_7(client: FlaskClient, shop: dict[str, str]) -> None:
    events = report(client, shop, [ADA] * 3).get_json()["events"]
    assert [UUID(event).version for event in events] == [7] * 3
    assert len(set(events)) == 3

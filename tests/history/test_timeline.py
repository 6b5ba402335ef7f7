"""The timeline: all kinds of events in one order, next to the lists of each kind."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.context import context_of
from audit_service.vocabulary import Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader, ordered

LONG_AGO = datetime(2020, 1, 31, 12, tzinfo=UTC)
BOUND = "2021-01-01T00:00:00Z"  # looks at the history are events, too, but later ones
COLLECTIONS = {"logins": "login", "errors": "error", "admin-events": "admin"}
ORDERS = ["newest", "oldest", "arrival"]


@pytest.fixture
def everything(app: Flask, reader: Reader) -> list[dict[str, Any]]:
    """What the lists of the kinds have: in batches and times that are mixed, several at one microsecond."""
    chance = random.Random(5)
    for n in range(45):
        made = chance.choice([LoginFactory, LoginFactory, ErrorFactory, AdminFactory])
        names: dict[str, Any] = {"username": chance.choice(["ada", "bob"])}
        if made is AdminFactory:
            names = {"actor": chance.choice(["ada", "bob"]), "target": chance.choice(["ada", "bob", None])}
        time = LONG_AGO + timedelta(seconds=n * 17 % 45 // 4)
        event = made.build(app=chance.choice(["shop", "portal"]), timestamp=time, **names)
        context_of(app).recorder.record(event)
    return [
        {"kind": kind, **item}
        for collection, kind in COLLECTIONS.items()
        for item in reader.get(f"/api/{collection}", until=BOUND, limit=1000).get_json()["items"]
    ]


def is_about(item: dict[str, Any], name: str) -> bool:
    return name in (item.get("username"), item.get("actor"), item.get("target"))


@pytest.mark.parametrize("order", ORDERS)
def test_the_timeline_is_all_lists_in_one_order(reader: Reader, everything: list[dict[str, Any]], order: str) -> None:
    assert len(everything) == 45
    questions: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({}, everything),
        ({"kind": ["login", "error"]}, [item for item in everything if item["kind"] != "admin"]),
        ({"username": "ada"}, [item for item in everything if is_about(item, "ada")]),
        ({"app!": "shop"}, [item for item in everything if item["app"] != "shop"]),
        ({"username": "nobody"}, []),
    ]
    for question, expected in questions:
        for limit in (1, 7, 45, 1000):
            asked = {**question, "order": order, "limit": limit, "until": BOUND}
            seen: list[dict[str, Any]] = []
            while True:
                page = reader.get("/api/events", **asked).get_json()
                assert len(page["items"]) <= limit
                seen += page["items"]
                if page["next"] is None or page["next"] == asked.get("cursor"):
                    break
                asked["cursor"] = page["next"]
                if order == "arrival" and len(seen) >= len(expected) and not page["items"]:
                    break
            assert seen == ordered(expected, order), (question, limit)


def test_arrivals_come_once_however_they_are_mixed(app: Flask, reader: Reader) -> None:
    asked: dict[str, Any] = {"order": "arrival", "limit": 3, "app": "shop"}
    chance, seen, stored = random.Random(6), [], []
    for _ in range(40):
        events = [
            chance.choice([LoginFactory, ErrorFactory, AdminFactory]).build(app="shop")
            for _ in range(chance.randrange(4))
        ]
        context_of(app).recorder.record_all(events)
        stored += [str(event.id) for event in events]
        page = reader.get("/api/events", **asked).get_json()
        seen += page["items"]
        asked["cursor"] = page["next"]
    while len(seen) < len(stored):
        page = reader.get("/api/events", **asked).get_json()
        assert page["next"] != asked["cursor"]
        seen += page["items"]
        asked["cursor"] = page["next"]
    assert sorted(item["id"] for item in seen) == sorted(stored)
    assert [item["seq"] for item in seen] == sorted(item["seq"] for item in seen)


def test_a_cursor_of_the_timeline_is_none_of_a_list(reader: Reader, everything: list[dict[str, Any]]) -> None:
    cursor = reader.get("/api/events", limit=1).get_json()["next"]
    for path, query in [("/api/logins", {}), ("/api/events", {"kind": "login"}), ("/api/events", {"order": "oldest"})]:
        assert reader.get(path, cursor=cursor, **query).get_json()["parameter"] == "cursor"


def test_users_see_no_timeline(client: FlaskClient, accounts: dict[Role, str]) -> None:
    client.post("/login/", data={"username": accounts[Role.USER], "password": PASSWORD})
    assert client.get("/api/events").status_code == 403

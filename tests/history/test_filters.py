"""Filters of the API, next to a naive filter in Python over the same events."""

import gc
import ipaddress
import json
import random
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.context import context_of
from audit_service.events.base import NewEvent
from audit_service.events.request_info import network_of
from audit_service.history import query
from audit_service.vocabulary import Action, AdminAction, Outcome, Reason, Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader, ordered

LONG_AGO = datetime(2020, 1, 31, 12, tzinfo=UTC)
BOUND = "2021-01-01T00:00:00Z"  # looks at the history are events, too, but later ones
ADDRESSES = [
    *("0.0.0.0", "9.255.255.255", "10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.1.0", "10.0.255.9", "10.255.255.255"),
    *("11.0.0.0", "192.0.2.7", "255.255.255.255", "::", "::1", "::1:2", "2001:db8::", "2001:db8::1", "2001:db8:0:1::9"),
    *("2001:dbf:ffff:ffff:ffff:ffff:ffff:ffff", "2001:dc0::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]
APPS, NAMES = (
    ("shop", "portal", "Shop", "shop/eu"),
    ("ada", "Ada", "corp/ada", "李雷", "o'hara", "a%b", "a_b", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
)
# For each collection the values of each filter: first those that events have, then one that none has.
VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "logins": {
        "app": (*APPS, "nowhere"),
        "request_id": ("r1", "r2", "r3", "r9"),
        "username": (*NAMES, "nobody"),
        "action": tuple(Action),
        "outcome": tuple(Outcome),
        "reason": tuple(Reason),
        "method": ("password", "passkey", "none"),
    },
    "errors": {
        "app": (*APPS, "nowhere"),
        "request_id": ("r1", "r2", "r3", "r9"),
        "username": (*NAMES, "nobody"),
        "exception_type": ("ValueError", "shop.Sold", "KeyError"),
        "fingerprint": ("v1:a", "v1:b", "v1:c"),
        "endpoint": ("pay", "audit.show", "none"),
        "http_method": ("GET", "POST", "PUT"),
    },
    "admin-events": {
        "app": (*APPS, "nowhere"),
        "request_id": ("r1", "r2", "r3", "r9"),
        "actor": (*NAMES, "nobody"),
        "action": tuple(AdminAction),
        "target": ("ada", "/api/logins", "nothing"),
    },
}
OTHERS: dict[str, dict[str, tuple[Any, ...]]] = {  # with operators: what is found, and what is not
    "logins": {
        **{f"{name}!": values for name, values in VALUES["logins"].items() if name != "request_id"},
        "remote_addr!": ("10.0.0.0/8", "::1", "192.0.2.0/24"),
        "username:i": ("ADA", "aDa", "O'Hara", "A_B", "*", "ad", "\N{LATIN CAPITAL LETTER E WITH ACUTE}"),
        "username:prefix": ("a", "AD", "CORP/", "a%", "李", "*", "o'hara", "nobody", "adab"),
        "user_agent:contains": ("firefox", "ON L", "100%", "_", "*", "Chrome"),
        "details": ("provider=github", "provider=GitHub", "n=3", "n=3.0", "b=true", "a.b=x=y", "n=", 'q"=1', "no=1"),
    },
    "errors": {
        **{f"{name}!": values for name, values in VALUES["errors"].items() if name != "request_id"},
        "username:i": ("ADA", "aDa", "nobody"),
    },
    "admin-events": {
        **{f"{name}!": values for name, values in VALUES["admin-events"].items() if name != "request_id"},
        "details": ("provider=github", "provider=GitHub", "n=3", "b=false", "no=1"),
    },
}
AGENTS = ("Mozilla Firefox/1", "FIREFOX on Linux", "100%_*", None)
DETAILS = (
    {"provider": "github", "n": 3},
    {"provider": "GitHub", "b": True, "n": None},
    {"a.b": "x=y", "n": "3", 'q"': 1},
    {"provider": ["github"], "b": "true", "n": ""},
    {"n": 3.0, "b": False},
    None,
)
FACTORIES = {"logins": LoginFactory, "errors": ErrorFactory, "admin-events": AdminFactory}
MAY_BE_NULL = {
    "logins": ("request_id", "reason", "method", "remote_addr"),
    "errors": ("request_id", "username", "endpoint", "http_method", "remote_addr"),
    "admin-events": ("request_id", "target", "remote_addr"),
}


def made(collection: str, count: int, chance: random.Random) -> list[NewEvent]:
    """Events whose order of arrival is not that of time; several have the same microsecond."""
    events = []
    for n in range(count):
        fields = {name: chance.choice(values[:-1]) for name, values in VALUES[collection].items()}
        fields["remote_addr"] = ADDRESSES[n % len(ADDRESSES)]
        fields.update({name: None for name in MAY_BE_NULL[collection] if chance.random() < 0.2})
        if collection != "errors":
            fields["details"] = chance.choice(DETAILS)
        if collection == "logins":
            fields["user_agent"] = chance.choice(AGENTS)
            fields["network"] = network_of(fields["remote_addr"])
        timestamp = LONG_AGO + timedelta(hours=chance.randrange(count // 3), microseconds=chance.randrange(2))
        events.append(FACTORIES[collection].build(timestamp=timestamp, **fields))
    return events


def small(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def compares(item: dict[str, Any], name: str, values: list[str]) -> bool:
    field, _, operator = name.partition(":")
    if field == "details":
        asked: dict[str, set[str]] = {}
        for key, _, value in (text.partition("=") for text in values):
            asked.setdefault(key, set()).add(value)
        found = item[field] or {}
        return all(any(means(found.get(key), value) for value in meant) for key, meant in asked.items())
    text = None if item[field] is None else small(item[field])
    if text is None:
        return False
    parts = {"i": [text], "prefix": [text[:end] for end in range(len(text) + 1)]}.get(operator)
    return any(small(value) in (text if parts is None else parts) for value in values)


def means(found: Any, value: str) -> bool:
    if isinstance(found, bool):
        return value == json.dumps(found)
    if isinstance(found, int | float):
        return value in ("3", "3.0", "1") and float(value) == found
    return isinstance(found, str) and found == value


def fits(item: dict[str, Any], query: dict[str, Any]) -> bool:
    with_operators = {name: value for name, value in query.items() if ":" in name or name == "details"}
    if not all(compares(item, name, value) for name, value in with_operators.items()):
        return False
    for name, value in ((name, value) for name, value in query.items() if name not in with_operators):
        if name.endswith("!"):
            if fits(item, {name.removesuffix("!"): value}):
                return False
        elif name in ("since", "until"):
            is_before = datetime.fromisoformat(item["timestamp"]) < datetime.fromisoformat(value)
            if is_before != (name == "until"):
                return False
        elif name == "remote_addr":
            address = ipaddress.ip_address(item[name]) if item[name] else None
            if not any(address is not None and address in ipaddress.ip_network(each) for each in value):
                return False
        elif item[name] not in value:
            return False
    return True


def time(hours: float) -> str:
    return (LONG_AGO + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def queries(collection: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    every = VALUES[collection] | OTHERS[collection]
    for name, values in every.items():
        for value in values:
            yield {name: [value]}
        yield {name: list(values[:2])}
        yield {name: [values[-1], values[0], values[0]]}
        yield {name: list(values)}
    for span in ({"since": time(3)}, {"until": time(3)}, {"since": time(2), "until": time(2)}):
        yield {**span}
    for count in (2, 2, 3, 3, 4) * 4:
        names = chance.sample(sorted(every), count)
        query = {name: chance.sample(every[name], chance.choice((1, 2, 2))) for name in names}
        yield {**query, **chance.choice([{}, {}, {"since": time(2)}, {"remote_addr": ["10.0.0.0/8", "::/0"]}])}


class Asker:
    """Asks for events of long ago, and compares with what the naive filter finds."""

    def __init__(self, client: FlaskClient, headers: dict[str, str], collection: str) -> None:
        self.client, self.headers, self.path = client, headers, f"/api/{collection}"
        self.all = self.items({"limit": 1000})

    def items(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.client.get(self.path, query_string={"until": BOUND, **query}, headers=self.headers)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.get_json()["items"]
        return items

    def compare(self, query: dict[str, Any], order: str) -> int:
        found = self.items({**query, "limit": 1000, "order": order})
        expected = ordered([item for item in self.all if fits(item, query)], order)
        assert found == expected, (query, order, [item["seq"] for item in found], [item["seq"] for item in expected])
        return len(found)


@pytest.mark.parametrize("collection", VALUES)
def test_every_filter_finds_what_a_naive_one_finds(
    app: Flask, client: FlaskClient, token: dict[str, str], collection: str
) -> None:
    chance = random.Random(7)
    events = made(collection, 60, chance)
    context_of(app).recorder.record_all(events)
    asker = Asker(client, token, collection)
    assert {item["id"] for item in asker.all} == {str(event.id) for event in events}
    sizes = [
        asker.compare(query, ("newest", "oldest", "arrival")[n % 3])
        for n, query in enumerate(queries(collection, chance))
    ]
    assert len(sizes) > 50
    assert sum(0 < size < 60 for size in sizes) > 30  # else the queries are bad, and prove nothing


def networks_of(address: str, prefixes: range | tuple[int, ...]) -> list[str]:
    return [str(ipaddress.ip_network((address, prefix), strict=False)) for prefix in prefixes]


NETWORKS = [
    *networks_of("10.0.0.1", range(33)),
    *networks_of("255.255.255.255", (1, 8, 16, 23, 24, 25, 32)),
    *networks_of("2001:db8::1", (0, 1, 16, 28, 29, 32, 47, 48, 63, 64, 65, 112, 127, 128)),
    *networks_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", (1, 63, 64, 128)),
]
SEVERAL = [
    *(["10.0.0.0/24", "10.0.1.0/24"], ["10.0.0.0/16", "10.0.0.0/24"], ["::/0", "0.0.0.0/0"], ["10.0.0.1", "::1"]),
    *(["10.0.0.0/8", "192.0.2.7"], ["10.0.0.1", "10.0.0.0/30", "2001:db8::/64"], ["198.51.100.0/24", "2001:db8::1"]),
]


@pytest.mark.parametrize("collection", VALUES)
def test_addresses_and_networks_of_all_sizes(
    app: Flask, client: FlaskClient, token: dict[str, str], collection: str
) -> None:
    chance = random.Random(8)
    context_of(app).recorder.record_all(made(collection, 3 * len(ADDRESSES), chance))
    asker = Asker(client, token, collection)
    queries = [*SEVERAL, *([each] for each in NETWORKS)] if collection == "logins" else [*SEVERAL, ["0.0.0.0/0"]]
    for n, networks in enumerate([*queries, *([address] for address in ADDRESSES)]):
        asker.compare({"remote_addr": networks}, ("newest", "oldest", "arrival")[n % 3])
    asker.compare({"remote_addr": ["10.0.0.0/8"], "app": ["shop"], "request_id": ["r1", "r2"]}, "newest")
    for written, meant in [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.0/255.255.255.0", "10.0.0.0/24"),
        ("2001:0db8:0000::/32", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ]:
        assert asker.items({"remote_addr": written}) == asker.items({"remote_addr": meant}), written
    for bad in (
        "",
        "10.0.0",
        "10.0.0.1/24",
        "10.0.0.0/33",
        "fe80::%eth0/10",
        "::/129",
        "2001:db8::1/64",
        "/8",
        "10.0.0.0/-1",
        "a",
        "1" * 65,
    ):
        answer = client.get(asker.path, query_string={"remote_addr": ["10.0.0.1", bad]}, headers=token)
        assert (answer.status_code, answer.get_json()["parameter"]) == (400, "remote_addr"), bad
        assert "must be an IP address, or a network such as 10.0.0.0/8" in answer.get_json()["detail"]
    for bad, meant in [
        ("10.0.0.1/24", "10.0.0.0/24"),
        ("10.0.0.1/255.0.0.0", "10.0.0.0/8"),
        ("2001:DB8::1/64", "2001:db8::/64"),
        ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
    ]:
        answer = client.get(asker.path, query_string={"remote_addr": ["10.0.0.1", bad]}, headers=token)
        assert answer.get_json()["detail"].endswith(f"; {meant} is probably meant")


@pytest.mark.parametrize("order", ["newest", "oldest", "arrival"])
@pytest.mark.parametrize("limit", [1, 1000])
def test_counted_refusals_are_in_what_their_network_is_in(
    app: Flask, client: FlaskClient, token: dict[str, str], order: str, limit: int
) -> None:
    networks = ["10.77.1.0/24", "10.77.2.0/24", "10.78.1.0/24", "2001:db8:1:2::/64"]
    events = [LoginFactory.build(remote_addr=None, network=network, failed=True) for network in networks]
    events.append(LoginFactory.build(remote_addr="10.77.1.5", network="10.77.1.0/24"))
    context_of(app).recorder.record_all(events)

    def found(*given: str) -> list[str]:
        seen: list[str] = []
        query: dict[str, Any] = {"remote_addr": given, "order": order, "limit": limit}
        while True:
            page = client.get("/api/logins", query_string=query, headers=token).get_json()
            seen += [item["network"] for item in page["items"]]
            if not page["next"] or (order == "arrival" and page["next"] == query.get("cursor")):
                return sorted(seen)
            query["cursor"] = page["next"]

    assert found("10.77.1.0/24") == ["10.77.1.0/24"] * 2
    assert found("10.77.1.0/25") == ["10.77.1.0/24"]  # that of the address; where the others came from nobody knows
    assert found("10.77.0.0/16") == ["10.77.1.0/24", "10.77.1.0/24", "10.77.2.0/24"]
    assert found("10.78.0.0/15", "2001:db8::/32") == ["10.78.1.0/24", "2001:db8:1:2::/64"]
    lines = client.get("/api/logins.ndjson?remote_addr=10.77.0.0/16", headers=token)
    assert len(lines.text.splitlines()) == int(lines.headers["Event-Count"]) == 3


def test_too_many_values_of_a_filter_are_refused(client: FlaskClient, token: dict[str, str]) -> None:
    networks = [f"{n}.0.0.0/8" for n in range(101)]
    assert client.get("/api/logins", query_string={"remote_addr": networks[1:]}, headers=token).status_code == 200
    answer = client.get("/api/logins", query_string={"remote_addr": networks}, headers=token)
    assert (answer.status_code, answer.get_json()["detail"]) == (400, "remote_addr may be given 100 times at most")


def test_questions_with_many_values_leave_no_memory_taken(client: FlaskClient, token: dict[str, str]) -> None:
    """Each one is made in another way than all before, so that SQLAlchemy would keep its parts for the next."""

    def ask(number: int) -> None:
        names = [f"abcdefgh{place}" for place in range(number)]
        query = {"username:prefix": names, "username:i": names, "details": [f"{name}=1" for name in names]}
        for form in ("", ".csv"):
            answer = client.get(f"/api/logins{form}", query_string={**query, "app!": names}, headers=token)
            assert answer.status_code == 200

    ask(20)
    tracemalloc.start()
    try:
        ask(21)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for number in (22, 23):
            ask(number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 256 * 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [("username:prefix", value) for value in ("name1", "NAME", "bob", "x")]
    + [("username:i", value) for value in ("NAME150", "nAme7")],
)
def test_names_by_the_page_and_beyond_the_look(
    app: Flask, reader: Reader, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Few names are looked up one by one, many as a range; here the look at the newest events finds neither."""
    monkeypatch.setattr(query, "LOOK_FOR_NAMES", 1)
    monkeypatch.setattr(query, "NAMES", 120)
    spelt = [f"Name{n}" if n % 2 else f"NAME{n}" for n in range(300)] + ["bob"]
    times = [LONG_AGO + timedelta(seconds=n * 37 % 400) for n in range(602)]
    events = [LoginFactory.build(username=spelt[n % 301], timestamp=time) for n, time in enumerate(times)]
    context_of(app).recorder.record_all(events)
    asker = Asker(reader.client, reader.headers, "logins")
    for order in ("newest", "oldest"):
        asker.compare({name: [value]}, order)
        asked: dict[str, Any] = {name: value, "order": order, "limit": 7, "until": BOUND}
        seen: list[Any] = []
        while True:
            page = reader.get("/api/logins", **asked).get_json()
            seen += page["items"]
            if not page["next"]:
                break
            asked["cursor"] = page["next"]
        assert seen == asker.items({name: value, "order": order, "limit": 1000})


def test_operators_in_exports_counts_and_for_users(
    app: Flask, client: FlaskClient, token: dict[str, str], accounts: dict[Role, str]
) -> None:
    ada, other = (LoginFactory(username=name, user_agent="Firefox", details={"n": 1}) for name in ("ADA", "User"))
    asked = {"username:i": ["ada", "user"], "user_agent:contains": "fire", "details": "n=1", "reason!": "denied"}
    lines = client.get("/api/logins.ndjson", query_string=asked, headers=token).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(other.id), str(ada.id)]
    counted = client.get("/api/logins/summary", query_string={**asked, "by": "username"}, headers=token).get_json()
    assert {item["key"] for item in counted["items"]} == {"ADA", "User"}
    client.post("/login/", data={"username": "user", "password": PASSWORD})
    for query_string in ({"username:prefix": "u"}, {"username:i": "USER"}, {"username!": "ADA"}, {"reason!": "denied"}):
        found = client.get("/api/logins", query_string=query_string).get_json()["items"]
        assert [item["username"] for item in found] == ["user"]


@pytest.mark.parametrize(
    ("asked", "parameter", "message"),
    [
        ({"details": "provider"}, "details", "must be a key and its value, such as provider=github"),
        ({"details": "=x"}, "details", "must be a key and its value"),
        ({"username:prefix": ""}, "username:prefix", "username:prefix must be a text of 1 to 255 characters"),
        ({"reason!": "no"}, "reason!", "reason! must be `unknown_user`"),
        ({"remote_addr!": "10.0.0.1/8"}, "remote_addr!", "10.0.0.0/8 is probably meant"),
        ({"username_not": "ada"}, "username_not", "username_not is not a parameter here"),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_bad_values_of_operators(
    client: FlaskClient, token: dict[str, str], asked: dict[str, str], parameter: str, message: str
) -> None:
    answer = client.get("/api/logins", query_string=asked, headers=token)
    assert (answer.status_code, answer.get_json()["parameter"]) == (400, parameter)
    assert message in answer.get_json()["detail"]

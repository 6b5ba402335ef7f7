"""Exports by HTTP: the same events as the JSON has, as CSV and NDJSON."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError

from audit_service.context import context_of
from audit_service.storage.models import AdminEvent
from audit_service.vocabulary import AdminAction, Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader

NOON = datetime(2020, 1, 31, 12, tzinfo=UTC)
LONG_AGO = {"until": "2021-01-01T00:00:00Z"}  # looks are events, too, but later ones
DETAILS = {"a": [1, 2.5, None, True, {"b": 'say "hi",\n李'}], "é": "=1+1"}
NASTY = ('Zoë "the, one"', "李雷", "o'hara", "x;y\\z", "NULL", "null", "\N{SEE-NO-EVIL MONKEY}", "<b>", "%s :x", " a ")


@pytest.fixture
def filled(app: Flask) -> None:
    """Events of all kinds that are hard to write down: nulls, quotes, commas, line feeds, nearly every alphabet."""
    lines = 'Traceback:\n  File "x.py", line 1, in <module>\n\n    f(a, "b")\nValueError: 1,2'
    events: list[Any] = []
    for n, name in enumerate(NASTY):
        timestamp = NOON + timedelta(seconds=n % 4, microseconds=(0, 1, 120_000)[n % 3])
        address = (None, "192.0.2.7", "2001:db8::1", "::1")[n % 4]
        common = {"timestamp": timestamp, "remote_addr": address, "request_id": f"r,{n}" if n % 2 else None}
        events += [
            LoginFactory.build(username=name, details=DETAILS if n % 2 else None, failed=n % 3 == 0, **common),
            ErrorFactory.build(
                username=name if n % 2 else None, message=lines, traceback=lines, path="/a,b?", **common
            ),
            AdminFactory.build(actor=name, target=None, details=DETAILS if n % 2 else None, **common),
        ]
    context_of(app).recorder.record_all(events)


def as_cells(item: dict[str, Any]) -> dict[str, str]:
    """What a cell must be for a value of the JSON; details are compared as values."""
    return {name: "" if value is None else str(value) for name, value in item.items() if name != "details"}


def read_csv(data: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("collection", ["logins", "errors", "admin-events"])
def test_exports_are_what_the_json_is(reader: Reader, collection: str) -> None:
    path = f"/api/{collection}"
    for query in ({}, {"order": "oldest"}, {"order": "arrival"}, {"since": "2020-01-31T12:00:02Z"}, {"app": "nowhere"}):
        asked = {**LONG_AGO, **query}
        items = reader.get(path, limit=1000, **asked).get_json()["items"]
        assert bool(items) == (query != {"app": "nowhere"})
        by_path = [reader.get(f"{path}.{form}", **asked) for form in ("ndjson", "csv")]
        data = [answer.data for answer in by_path]  # read, they make room for others
        by_accept = [
            reader.client.get(path, query_string=asked, headers={**reader.headers, "Accept": accept})
            for accept in ("application/x-ndjson, application/json;q=0.5", "text/csv")
        ]
        assert data == [answer.data for answer in by_accept]
        for answer, form, kind in zip(
            by_path, ("ndjson", "csv"), ("application/x-ndjson", "text/csv; charset=utf-8; header=present"), strict=True
        ):
            assert (answer.status_code, answer.content_type) == (200, kind)
            named = rf'attachment; filename="{collection}-\d{{8}}T\d{{6}}Z\.{form}"'
            assert re.fullmatch(named, answer.headers["Content-Disposition"])
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Accept" in answer.headers["Vary"]
        lines = by_path[0].data.splitlines(keepends=True)
        assert all(line.endswith(b"}\n") for line in lines)
        assert [json.loads(line) for line in lines] == items
        rows = read_csv(by_path[1].data)
        assert [as_cells(row) for row in rows] == [as_cells(item) for item in items]
        if collection != "errors":
            details = [json.loads(row["details"]) if row["details"] else None for row in rows]
            assert details == [item["details"] for item in items]
        assert by_path[1].data.endswith(b"\r\n")
        heading = by_path[1].data.split(b"\r\n")[0].decode().split(",")
        assert set(heading) >= {"id", "seq", "timestamp", "recorded_at", "app"}  # of an empty export, too
        assert all(list(item) == heading for item in items)


def test_cells_that_a_spreadsheet_would_run(reader: Reader) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "a=1", "=cmd|' /C calc'!A0"]
    for name in names:
        LoginFactory(username=name)
    rows = read_csv(reader.get("/api/logins.csv", order="arrival").data)
    assert [row["username"] for row in rows] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "'=1",
        "a=1",
        "'=cmd|' /C calc'!A0",
    ]
    lines = reader.get("/api/logins.ndjson", order="arrival").data.splitlines()
    assert [json.loads(line)["username"] for line in lines] == names


def test_formulas_where_a_spreadsheet_splits_cells(reader: Reader) -> None:
    """At semicolons in many countries, at tabs and bars by choice; and then quotes do not keep a line feed."""
    message = 'x;=1|+1\n-1\n@a;"=1,"";""-1;\'=1; a;b=1|b|ends;'
    details = {"a;=1": ["x|@y", "z;\N{FULLWIDTH EQUALS SIGN}1", ";", "=1"]}
    ErrorFactory(message=message)
    LoginFactory(details=details)
    (error,) = read_csv(reader.get("/api/errors.csv").data)
    assert error["message"] == "x;'=1|'+1\n'-1\n'@a;\"'=1,\"\";\"\"'-1;'=1; a;b=1|b|ends;"
    data = reader.get("/api/logins.csv").data
    (login,) = read_csv(data)
    assert json.loads(login["details"]) == {"a;'=1": ["x|'@y", "z;'\N{FULLWIDTH EQUALS SIGN}1", ";", "=1"]}
    for separator in ";|\t\n":
        cells = data.decode().replace('"', "").split(separator)
        assert [cell for cell in cells if cell.startswith(tuple("=+-@\N{FULLWIDTH EQUALS SIGN}"))] == []
    assert json.loads(reader.get("/api/errors.ndjson").data)["message"] == message
    assert json.loads(reader.get("/api/logins.ndjson").data)["details"] == details
    assert reader.get("/api/logins").get_json()["items"][0]["details"] == details


@pytest.mark.parametrize("backend", ["sqlite"])
def test_leading_tabs_and_returns(reader: Reader, engine: Engine) -> None:
    """The recorder lets none in; a host may have written its own rows."""
    ErrorFactory(message="x")
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER error_events_no_update"))
    for lead in ("\t", "\r"):
        with engine.begin() as connection:
            connection.execute(text("UPDATE error_events SET message = :text").bindparams(text=f"{lead}=1"))
        (row,) = read_csv(reader.get("/api/errors.csv").data)
        assert row["message"] == f"'{lead}'=1"
        assert json.loads(reader.get("/api/errors.ndjson").data)["message"] == f"{lead}=1"


@pytest.mark.parametrize("path", ["/api/logins.csv", "/api/errors.ndjson", "/api/admin-events.csv"])
def test_what_is_wrong_is_said_before_the_file_begins(reader: Reader, path: str, engine: Engine) -> None:
    for query in ({"limit": "10"}, {"cursor": "x"}, {"since": "x"}, {"remote_addr": "x"}, {"x": "1"}, {"order": "up"}):
        answer = reader.get(path, **query)
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
        assert answer.get_json()["parameter"] == next(iter(query))
        assert "Content-Disposition" not in answer.headers
    assert reader.client.get(path).status_code == 401
    answer = reader.client.get(path.partition(".")[0] + "?limit=1", headers={**reader.headers, "Accept": "text/csv"})
    assert answer.get_json()["parameter"] == "limit"
    with engine.begin() as connection:
        table = path[5:].partition(".")[0].replace("-", "_").replace("logins", "login_events")
        table = table.replace("errors", "error_events")
        connection.execute(text(f"ALTER TABLE {table} RENAME COLUMN app TO application"))
    reader.client.application.testing = False
    answer = reader.get(path)
    assert answer.status_code in (500, 503)
    assert answer.content_type == "application/problem+json"


def test_an_export_is_recorded_with_its_reader(reader: Reader, engine: Engine) -> None:
    reader.get("/api/logins.csv", username=["ada", "bob"])
    with engine.connect() as connection:
        query = select(AdminEvent).where(AdminEvent.action == AdminAction.HISTORY_EXPORTED)
        (event,) = connection.execute(query)
    assert (event.actor, event.target) == ("token:test", "/api/logins.csv")
    assert event.details == {"username": ["ada", "bob"]}


@pytest.mark.usefixtures("accounts")
def test_users_export_their_own_logins(client: FlaskClient, engine: Engine) -> None:
    for name in ("user", "somebody"):
        LoginFactory(username=name)
        ErrorFactory(username=name)
    client.post("/login/", data={"username": Role.USER.value, "password": PASSWORD})
    for path in ("/api/logins.ndjson", "/api/logins.ndjson?username=user&username=somebody"):
        lines = client.get(path).data.splitlines()
        assert [json.loads(line)["username"] for line in lines] == ["user", "user"]
    assert client.get("/api/logins.ndjson?username=somebody").data == b""
    assert len(read_csv(client.get("/api/logins", headers={"Accept": "text/csv"}).data)) == 2
    for path in ("/api/errors.csv", "/api/admin-events.ndjson"):
        answer = client.get(path)
        assert (answer.status_code, answer.content_type) == (403, "application/problem+json")
    with engine.connect() as connection:
        actions = set(connection.scalars(select(AdminEvent.action)))
    assert AdminAction.HISTORY_EXPORTED not in actions  # of one's own nothing is recorded


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_export_that_breaks_off_has_fewer_events_than_it_said(app: Flask, reader: Reader, engine: Engine) -> None:
    """SQLite has no server that could go away."""
    for _ in range(6):
        context_of(app).recorder.record_all(LoginFactory.copies(1000))
    answer = reader.get("/api/logins.ndjson")
    read: list[bytes] = []
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND state = 'idle in transaction' AND pid <> pg_backend_pid()"))
    with pytest.raises(OperationalError):
        read.extend(answer.iter_encoded())
    lines = b"".join(read).count(b"\n")
    assert 0 < lines < int(answer.headers["Event-Count"]) == 6000
    assert len(reader.get("/api/logins.ndjson").text.splitlines()) == 6000

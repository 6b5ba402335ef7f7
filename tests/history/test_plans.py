"""How the databases read: through an index, in its order. The statements are those that the API really sends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, text

from audit_service.app import db
from audit_service.history import query
from audit_service.storage.database import Base
from audit_service.storage.models import NULLS_FIRST
from tests.support.reader import Reader

LIMIT = 20
LOGINS = "/api/logins"
ROWS = 6000  # of 100 days
COLUMNS = (
    "id, seq, timestamp, recorded_at, app, remote_addr, network, request_id, action, outcome, reason, username, method"
)
FILL = {
    "postgresql": f"""
        INSERT INTO login_events ({COLUMNS})
        SELECT gen_random_uuid(), n, time, time, 'app' || n % 9, cast(net || n / 20 % 2 AS inet), net || '0/24',
            'request-' || n, CASE WHEN n % 8 = 1 THEN 'logout' ELSE 'login' END,
            CASE WHEN n % 10 = 0 THEN 'failure' ELSE 'success' END, CASE WHEN n % 10 = 0 THEN 'denied' END,
            'user' || n % 50, 'method' || n % 6
        FROM generate_series(1, {ROWS}) AS n,
            LATERAL (
                SELECT timestamptz '2026-01-01Z' + n * interval '24 minutes', '10.' || n % 5 || '.' || n % 20 || '.'
            ) AS made (time, net)""",
    "sqlite": f"""
        INSERT INTO login_events ({COLUMNS})
        WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {ROWS}),
        made AS (
            SELECT n, strftime('%Y-%m-%d %H:%M:%f000', '2026-01-01', (n * 24) || ' minutes') AS time,
                '10.' || (n % 5) || '.' || (n % 20) || '.' AS net FROM series
        )
        SELECT printf('%032x', n), n, time, time, 'app' || (n % 9), net || (n / 20 % 2), net || '0/24', 'request-' || n,
            CASE WHEN n % 8 = 1 THEN 'logout' ELSE 'login' END, CASE WHEN n % 10 = 0 THEN 'failure' ELSE 'success' END,
            CASE WHEN n % 10 = 0 THEN 'denied' END, 'user' || (n % 50), 'method' || (n % 6)
        FROM made""",
}
MONTH = {"since": "2026-02-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}
# One value: an index has the page as it is.
PLAIN: list[tuple[str, dict[str, Any]]] = [
    (LOGINS, {}),
    (LOGINS, {"order": "oldest"}),
    (LOGINS, {"order": "arrival"}),
    (LOGINS, {"username": "user7"}),
    (LOGINS, {"username": "user7", "order": "oldest"}),
    (LOGINS, {"username": "nobody"}),
    (LOGINS, {"remote_addr": "10.1.1.1"}),
    (LOGINS, {"remote_addr": "10.1.1.0/24"}),
    (LOGINS, {"outcome": "failure"}),
    (LOGINS, {"outcome": "failure", "since": "2026-03-30T00:00:00Z"}),
    (LOGINS, {"since": "2026-02-01T00:00:00Z", "until": "2026-02-08T00:00:00Z"}),
    (LOGINS, {"reason": "denied"}),
    (LOGINS, {"app": "app3"}),
    (LOGINS, {"method": "method2"}),
    (LOGINS, {"action": "logout"}),
    (LOGINS, {"username": "user7", "reason!": "denied"}),
]
# Several values, a hash index, or so few that sorting is cheaper: what is sorted is no more than a few pages.
SORTED: list[tuple[str, dict[str, Any]]] = [
    (LOGINS, {"remote_addr": "10.1.0.0/16"}),
    (LOGINS, {"remote_addr": "10.2.0.0/16", "order": "oldest"}),
    (LOGINS, {"username": [f"user{n}" for n in range(6)]}),
    (LOGINS, {"username": ["user1", "nobody"], "outcome": "failure"}),
    (LOGINS, {"remote_addr": ["10.1.1.1", "10.2.2.2"]}),
    (LOGINS, {"username": "user10", "outcome": "failure", **MONTH}),
    (LOGINS, {"request_id": "request-7"}),
    (LOGINS, {"username:i": "USER7"}),
    (LOGINS, {"username:i": ["User7", "user8", "nobody"], "order": "oldest"}),
    (LOGINS, {"username:prefix": "USER"}),
    (LOGINS, {"username:prefix": "User4", "until": "2026-02-01T00:00:00Z"}),
    (LOGINS, {"username:prefix": "nobody"}),
    (f"{LOGINS}/summary", {"by": "hour", "since": "2026-02-01T00:00:00Z", "until": "2026-02-02T00:00:00Z"}),
    (f"{LOGINS}/last", {"username": "user3"}),
    ("/api/events", {"limit": LIMIT}),
    ("/api/events", {"limit": LIMIT, "username": "user3", "order": "oldest"}),
]


@pytest.fixture
def reader(
    app: Flask, client: FlaskClient, token: dict[str, str], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Reader:
    """A reader of a few thousand logins, of which a look at the newest sees a part, as it does of millions."""
    monkeypatch.setattr(query, "LOOK_FOR_NAMES", query.LOOK)
    with engine.begin() as connection:
        connection.execute(text("UPDATE trail_head SET size = :rows + size").bindparams(rows=ROWS))
        connection.execute(text(FILL[engine.dialect.name].replace(":", "\\:")))
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    return Reader(client, token)


@contextmanager
def heard(app: Flask) -> Iterator[list[tuple[str, Any]]]:
    """The statements about logins that the app sends."""
    statements: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM login_events" in statement:
            statements.append((statement, parameters))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def asked(app: Flask, reader: Reader) -> Iterator[tuple[bool, Any, str, Any]]:
    """Ask everything; yield whether nothing may be sorted, the question, and each statement that it took."""
    limited = [(path, asked if path != LOGINS else {"limit": LIMIT, **asked}) for path, asked in PLAIN + SORTED]
    deep: dict[str, Any] = {"limit": 1000}
    for _ in range(4):
        deep["cursor"] = reader.get(LOGINS, **deep).get_json()["next"]
    event_id = reader.get(LOGINS, limit=1).get_json()["items"][0]["id"]
    limited[:0] = [(LOGINS, {**deep, "limit": LIMIT}), (f"{LOGINS}/{event_id}", {})]
    for place, (path, asked) in enumerate(limited):
        with heard(app) as statements:
            answer = reader.get(path, **asked)
        assert answer.status_code == 200, answer.text
        assert statements
        for statement, parameters in statements:
            yield place < len(PLAIN) + 2, (path, asked), statement, parameters


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_postgresql_reads_pages_from_indexes(app: Flask, reader: Reader, engine: Engine) -> None:
    everything = list(asked(app, reader))  # before: the connection below keeps other writers out of SQLite
    with engine.connect() as connection:
        for is_plain, question, statement, parameters in everything:
            explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            (whole,) = explained.scalar_one()
            shown = f"{question}\n{statement}\n{json.dumps(whole, indent=1)}"
            found = list(nodes(whole["Plan"]))
            assert not [
                node for node in found if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "login_events"
            ], shown
            sorts = [node for node in found if node["Node Type"] in ("Sort", "Incremental Sort")]
            assert not (is_plain and sorts), shown
            for node in sorts:
                taken = sum(child["Actual Rows"] * child["Actual Loops"] for child in node["Plans"])
                assert taken <= 4 * (LIMIT + 1), shown


@pytest.mark.parametrize("backend", ["sqlite"])
def test_sqlite_reads_pages_from_indexes(app: Flask, reader: Reader, engine: Engine) -> None:
    everything = list(asked(app, reader))  # before: the connection below keeps other writers out of SQLite
    with engine.connect() as connection:
        for is_plain, question, statement, parameters in everything:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            looks = [step for step in plan if "login_events" in step]
            assert looks, plan
            assert all("INDEX" in step for step in looks), (question, plan)
            assert not (is_plain and any("TEMP B-TREE" in step for step in plan)), (question, plan)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_indexes_of_filters_place_nulls_as_only_pages_ask_for(engine: Engine) -> None:
    marked = {
        index.name: bool(index.info.get(NULLS_FIRST))
        for table in Base.metadata.tables.values()
        for index in table.indexes
    }
    assert sum(marked.values()) == 13
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
        definitions = {row.indexname: row.indexdef for row in rows}
    for name, is_marked in marked.items():
        assert definitions[name].count("NULLS FIRST") == (2 if is_marked else 0), definitions[name]

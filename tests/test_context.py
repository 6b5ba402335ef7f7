"""What a request holds while its event is stored: nothing of the database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from audit_service.app import db
from audit_service.context import context_of, read_session
from audit_service.events.logins import NewLogin
from audit_service.signals import login_signal
from audit_service.vocabulary import Role, Scope
from tests.factories import LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.logins import ADA, new_token, report
from tests.support.waiting import PATIENCE, busy_writer, wait_until

LOOKED_AT: NewLogin = LoginFactory.build()
Sends = Callable[[FlaskClient, dict[str, str], dict[str, str]], object]
SENDS: dict[str, Sends] = {
    "a report": lambda client, shop, _: report(client, shop, ADA),
    "a list of reports": lambda client, shop, _: report(client, shop, [ADA, ADA]),
    "a look": lambda client, _, reader: client.get("/api/logins?app=shop", headers=reader),
    "a look at one": lambda client, _, reader: client.get(f"/api/logins/{LOOKED_AT.id}", headers=reader),
    "an export": lambda client, _, reader: client.get("/api/logins.csv", headers=reader).close(),
    "a refusal": lambda client, *_: client.get("/api/logins", headers={"Authorization": "Bearer x"}),
    "a failed login": lambda client, *_: client.post("/login/", data={"username": "user", "password": "x"}),
    "an error": lambda client, *_: client.get("/fails"),
    "a logout": lambda client, *_: client.post("/logout/"),
}


def test_no_connection_is_held_while_an_event_is_stored(
    app: Flask, client: FlaskClient, engine: Engine, accounts: dict[Role, str]
) -> None:
    """On SQLite it would keep the log (WAL) from being used again, for as long as somebody reports."""

    def fail() -> str:
        read_session()
        raise ZeroDivisionError

    app.add_url_rule("/fails", view_func=fail)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    recorder, pool = context_of(app).recorder, pool_of(app)
    recorder.timeout = PATIENCE
    shop, reader = new_token(app, "shop"), new_token(app, "reader", Scope.READ)
    client.post("/login/", data={"username": "user", "password": PASSWORD})
    report(client, shop, ADA)  # the use of the tokens is noted, which is a change
    client.get("/api/logins?limit=1", headers=reader)
    recorder.record(LOOKED_AT)
    held = {}
    with ThreadPoolExecutor(1) as threads:
        for name, send in SENDS.items():
            with busy_writer(recorder, engine):
                sent = threads.submit(send, client, shop, reader)
                wait_until(lambda: recorder.queue_length() > 0, f"{name}: nothing is recorded")
                held[name] = pool.checkedout()
            sent.result()
    assert held == dict.fromkeys(SENDS, 0)


def pool_of(app: Flask) -> QueuePool:
    with app.app_context():
        pool = db.engine.pool
    assert isinstance(pool, QueuePool)
    return pool


def test_a_signal_needs_no_app_context(app: Flask) -> None:
    """As a thread of the app's own may send it."""
    thread = threading.Thread(target=lambda: login_signal.send(app, username="ada"))
    thread.start()
    thread.join()
    assert context_of(app).recorder.counters.recorded == 1

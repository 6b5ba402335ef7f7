"""Proof 6: whoever knows the password, and changes it again and again, undoes nothing that an administrator does."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import httpx
from sqlalchemy.orm import Session

from audit_service.access import accounts as service
from audit_service.storage.models import Account
from audit_service.vocabulary import Role
from tests.faults import Progress
from tests.security.ground import engine_of, no_progress, populate, settings
from tests.support import plain_http
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.fault_tools import assert_nothing_lost
from tests.support.server import started_service

SET, STOLEN = "what the administrator set", (PASSWORD, "what the attacker likes better")
ATTEMPTS = 100  # of the attacker in one round, at most
Change = Callable[[Session, Account], None]


def _disable_and_enable(database: Session, account: Account) -> None:
    service.disable(database, account, by=ACTOR)
    service.enable(database, account, by=ACTOR)


CHANGES: dict[str, Change] = {
    "set-password": lambda database, account: service.set_password(database, account, SET, by=ACTOR),
    "disable and enable": _disable_and_enable,
    "set-role": lambda database, account: service.set_role(database, account, Role.USER, by=ACTOR),
}


class Attacker:
    """Has a session, and changes the password to and fro until the session is refused."""

    def __init__(self, url: str) -> None:
        self.client = plain_http.Client(base_url=url, timeout=20)
        self.has_begun = threading.Event()
        self.changes = 0

    def run(self) -> None:
        assert _log_in(self.client, STOLEN[0]) == 200
        for current, new in zip(cycle(STOLEN), cycle(STOLEN[::-1]), strict=False):
            fields = {"current_password": current, "new_password": new}
            answer = self.client.post("/account/password/", json=fields)
            self.has_begun.set()
            if answer.status_code == 401:
                return
            assert answer.status_code == 200, answer.text
            self.changes += 1
            assert self.changes < ATTEMPTS, "the session survives"

    def has_session(self) -> bool:
        return self.client.get("/").json()["username"] is not None


def race(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Let an administrator change an account while somebody who knows its password changes that without a pause."""
    populate(database_url)
    won: Counter[str] = Counter()
    attempts = 0
    with (
        started_service(settings(database_url, folder, AUDIT_THROTTLE="off")) as running,
        engine_of(database_url) as engine,
        ThreadPoolExecutor(1) as pool,
    ):

        def administer(change: Change) -> None:
            with Session(engine) as database, database.begin():
                change(database, service.get_account(database, "user"))

        for number, name in zip(range(times), cycle(CHANGES), strict=False):
            administer(lambda database, account: service.set_password(database, account, STOLEN[0], by=ACTOR))
            attacker = Attacker(running.url)
            with contextlib.closing(attacker.client):
                attack = pool.submit(attacker.run)
                assert attacker.has_begun.wait(20)
                threading.Event().wait(number % 10 / 50)  # so that each moment of an attempt is met
                administer(CHANGES[name])
                attack.result()
                assert not attacker.has_session(), f"a session survived {name}"
            if name == "set-password":
                with plain_http.Client(base_url=running.url, timeout=20) as owner:
                    statuses = [_log_in(owner, password) for password in (SET, *STOLEN)]
                assert statuses == [200, 401, 401], "the administrator's password was overwritten"
            won[name] += 1
            attempts += attacker.changes
            progress(1)
    assert_nothing_lost(database_url, [])
    rounds = ", ".join(f"{count} x {name}" for name, count in won.items())
    return f"{rounds}, against {attempts} changes of the password: the administrator's stayed, and no session survived"


def _log_in(client: httpx.Client, password: str) -> int:
    return client.post("/login/", data={"username": "user", "password": password}).status_code

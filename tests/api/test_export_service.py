"""Large exports from the real service: slow clients cost it little, and who goes away frees the connection."""

import http.client
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.api.places import AT_ONCE
from audit_service.vocabulary import Scope
from tests.support import plain_http
from tests.support.accounts import ACTOR
from tests.support.server import Service, started_service

ROWS = 200_000
GROWTH = 40.0  # MB that a worker may grow by
PATIENCE = 30.0  # seconds
FILL = """
    INSERT INTO login_events (id, seq, timestamp, recorded_at, app, action, outcome, username, user_agent)
    SELECT gen_random_uuid(), :begin + n, timestamptz '2026-01-01Z' + n * interval '1 second', now(), 'x', 'login',
        'success', 'user' || n % 1000, repeat('agent ', 20)
    FROM generate_series(1, :rows) AS n"""


def resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found.group(1)) / 1024


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def fill(engine: Engine) -> list[str]:
    """Make the history large; return the tokens of more readers than may export at once."""
    with Session(engine) as session:
        tokens = [add_token(session, f"reader {n}", Scope.READ, by=ACTOR) for n in range(AT_ONCE + 1)]
        size = session.execute(text("UPDATE trail_head SET size = size + :rows RETURNING size").bindparams(rows=ROWS))
        indexes = session.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix_login_events_%'")
        ).all()
        for name, definition in indexes:
            if definition.endswith("(timestamp, seq)") or '("timestamp", seq)' in definition:
                continue
            session.execute(text(f"DROP INDEX {name}"))  # nobody asks for them here, and they take long to make
        session.execute(text(FILL).bindparams(rows=ROWS, begin=size.scalar_one() - ROWS))
        session.commit()
    return tokens


def opened(service: Service, token: str, method: str = "GET", status: int = 200) -> socket.socket:
    """Ask for everything over a connection that takes in as little as it can."""
    address = urlsplit(service.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((address.hostname, address.port))
    request = f"{method} /api/logins.ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(request.encode())
    assert connection.recv(12) == b"HTTP/1.1 %d" % status
    return connection


@pytest.mark.parametrize("backend", ["postgresql"])
def test_exports_of_slow_and_vanished_clients(engine: Engine, database_url: str, config: dict[str, object]) -> None:
    *readers, token = fill(engine)

    def busy() -> int:
        query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND state <> 'idle'"""
        with psycopg.connect(database_url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        assert row
        return int(row[0])

    with started_service({**config}) as service:
        headers = {"Authorization": f"Bearer {token}"}
        assert plain_http.get(f"{service.url}/api/logins", headers=headers).status_code == 200
        (worker,) = service.workers()
        before = resident(worker)

        slow = [opened(service, reader) for reader in readers]
        eventually(lambda: busy() == AT_ONCE, "the exports did not begin")
        opened(service, token, status=503).close()
        refused = plain_http.get(f"{service.url}/api/logins.csv", headers=headers)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        assert f"{AT_ONCE} exports of auditors, admins and tokens run already" in refused.json()["detail"]
        assert plain_http.get(f"{service.url}/api/logins", headers=headers).status_code == 200
        for _ in range(20):  # what would be read ahead without end is read ahead by now
            time.sleep(0.05)
            assert resident(worker) - before < GROWTH
        for connection in slow:
            connection.close()
        eventually(lambda: busy() == 0, "who goes away leaves a busy connection behind")

        for _ in range(20):  # more than there are connections
            opened(service, token).close()
            eventually(lambda: busy() == 0, "one of many leaves a busy connection behind")
        assert plain_http.get(f"{service.url}/api/logins", headers=headers, timeout=PATIENCE).status_code == 200

        opened(service, token, "HEAD").close()
        eventually(lambda: busy() == 0, "a HEAD leaves a busy connection behind")

        reading = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=PATIENCE)
        reading.request("GET", "/api/logins.ndjson", headers=headers)
        answer = reading.getresponse()
        lines = 0
        while block := answer.read(1 << 20):
            lines += block.count(b"\n")
            assert resident(worker) - before < GROWTH
        reading.close()
        assert lines == ROWS
        eventually(lambda: busy() == 0, "an export that is over leaves a busy connection behind")

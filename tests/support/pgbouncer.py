"""A PgBouncer in transaction mode before a PostgreSQL, from Debian's package."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.support.postgres import free_port, unprivileged_user

SESSIONS = 2  # that the pooler has with the server for each database: fewer than the connections that we have


class NoPgBouncerError(Exception):
    """There is none here."""


@contextlib.contextmanager
def pgbouncer(server: str, *, ignores_options: bool) -> Iterator[str]:
    """Start one before *server*, a URL, and yield the URL to take instead; end it afterwards.

    Options that it does not ignore are refused. Raises ``NoPgBouncerError`` where there is none.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise NoPgBouncerError("no PgBouncer: install Debian's package pgbouncer")
    folder, port, target = Path(tempfile.mkdtemp(prefix="audit-pgbouncer-")), free_port(), make_url(server)
    password = f"password={target.password}" if target.password else ""
    (folder / "pgbouncer.ini").write_text(f"""
        [databases]
        * = host={target.host} port={target.port or 5432} user={target.username} {password}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = {SESSIONS}
        {"ignore_startup_parameters = options" if ignores_options else ""}
    """)
    user = unprivileged_user(folder)
    shutil.chown(folder / "pgbouncer.ini", user or os.getuid())
    process = subprocess.Popen(
        [program, "-q", str(folder / "pgbouncer.ini")], user=user, cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        url = target.set(host="127.0.0.1", port=port)
        _wait_until_up(url.render_as_string(hide_password=False), process)
        yield url.render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _wait_until_up(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url).close()
            return
        assert process.poll() is None, "PgBouncer ended"
        assert time.monotonic() < deadline, "PgBouncer does not answer"
        time.sleep(0.02)

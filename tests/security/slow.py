"""Proof 6: those who send slowly delay nobody else."""

import contextlib
import http.client
import json
import select
import socket
import statistics
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.faults import Progress
from tests.security.ground import no_progress, populate, settings
from tests.support.server import started_service

FORM = "application/x-www-form-urlencoded"
HEAD = f"POST /login/ HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\n".encode()
SOCKETS = 1000
MOST = 1.0  # seconds that any other request may take


class SlowSender:
    """Sockets that send the head of a login and never its body; one that the server has closed is opened anew."""

    def __init__(self, url: str, count: int) -> None:
        address = urlsplit(url)
        self._address = (address.hostname or "", address.port or 0)
        self._count = count
        self._sockets: list[socket.socket] = []
        self.opened = 0

    def __enter__(self) -> Self:
        self._sockets = [self._open() for _ in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            connection.close()

    def renew(self) -> None:
        """Open those anew that were answered."""
        poll = select.poll()
        places = {connection.fileno(): place for place, connection in enumerate(self._sockets)}
        for file in places:
            poll.register(file, select.POLLIN)
        for file, _ in poll.poll(0):
            place = places[file]
            self._sockets[place].close()
            self._sockets[place] = self._open()

    def answer(self) -> tuple[int, bytes]:
        """Wait for what the first of them is answered; return the status and the body."""
        answer = b"".join(iter(lambda: self._sockets[0].recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body

    def time_others(self, times: int) -> float:
        """Log in and ask for ``/healthz`` so often, over new connections; return the longest that one took."""
        return max(seconds for _ in range(times) for seconds in (self._time("POST"), self._time("GET")))

    def _time(self, method: str) -> float:
        started = time.monotonic()
        with contextlib.closing(http.client.HTTPConnection(*self._address, timeout=30)) as connection:
            if method == "POST":
                connection.request("POST", "/login/", "username=ada", {"Content-Type": FORM})
            else:
                connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
        return time.monotonic() - started

    def _open(self) -> socket.socket:
        self.opened += 1
        connection = socket.create_connection(self._address, timeout=30)
        connection.sendall(HEAD)
        return connection


def send_slowly(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Hold 1,000 such sockets open for *times* seconds, and time other requests meanwhile."""
    populate(database_url)
    taken: list[float] = []
    config = settings(database_url, folder, AUDIT_LOGIN="passwordless", AUDIT_THROTTLE="off")
    with started_service(config) as service, SlowSender(service.url, SOCKETS) as slow:
        started = time.monotonic()
        for second in range(times):
            while time.monotonic() < started + second + 1:
                taken.append(slow.time_others(1))
                slow.renew()
            progress(1)
        status, body = slow.answer()
    assert (status, json.loads(body)["type"]) == (408, "/api/problems/too-slow")
    p99 = statistics.quantiles(taken, n=100)[98]
    assert len(taken) > times, f"only {len(taken)} others in {times} s"
    assert max(taken) < MOST, f"one request took {max(taken):.2f} s"
    return (
        f"{SOCKETS} sockets, {slow.opened} in all; {len(taken)} logins and as many others: "
        f"p99 {p99 * 1000:.0f} ms, slowest {max(taken) * 1000:.0f} ms"
    )

"""The server below the app: real HTTP, and an app that tells what it was given."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from audit_service.app import gateway_of
from audit_service.serving.gateway import WAITING
from tests.security.slow import SlowSender
from tests.support import probe
from tests.support.postgres import free_port
from tests.support.server import started_service

PATIENCE = 20  # seconds


class Server:
    """The probe, over sockets: a request is bytes."""

    def __init__(self, port: int) -> None:
        self.port = port

    def open(self, sent: bytes, buffer: int | None = None) -> socket.socket:
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(sent)
        return connection

    def ask(self, head: str, body: bytes = b"", *, is_cut: bool = False) -> tuple[int, bytes]:
        """Send a request over a connection of its own; return the status and the body."""
        with self.open(head.replace("\n", "\r\n").encode("latin-1") + b"\r\nConnection: close\r\n\r\n" + body) as it:
            if is_cut:
                it.shutdown(socket.SHUT_WR)
            return answer_of(it)

    def told(self, head: str, body: bytes = b"") -> dict[str, Any]:
        status, text = self.ask(head, body)
        assert status == 200, text
        return dict(json.loads(text))

    def wait_until_closed(self, path: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.told("GET / HTTP/1.1\nHost: x")["closed"].count(path) < times:
            assert time.monotonic() < deadline, f"{path} is not closed"
            time.sleep(0.02)


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.probe", str(port)], stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield Server(port)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "AssertionError" not in errors, f"wsgiref's validator found a fault: {errors}"
    assert "Task was destroyed" not in errors


def test_the_environ(server: Server) -> None:
    told = server.told(
        "POST /a%C3%BC%FF%20b;%2Fc?x=%41&y HTTP/1.1\nHost: h:1\nX-A: 2\nX-A: 3\nX_B: forged\nContent-Type: text/x\n"
        "Cookie: a=1\nContent-Length: 3",
        b"abc",
    )
    expected = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "QUERY_STRING": "x=%41&y", "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(server.port), "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "h:1",
        "HTTP_X_A": "2,3", "CONTENT_TYPE": "text/x", "CONTENT_LENGTH": "3", "HTTP_COOKIE": "a=1",
        "HTTP_CONNECTION": "close", "wsgi.url_scheme": "http", "body": 3,
    }  # fmt: skip
    assert told["PATH_INFO"].encode("latin-1").decode() == "/aü\ufffd b;/c"
    assert told["REMOTE_PORT"].isdigit()
    assert {name: told[name] for name in expected} == expected
    assert set(told) == {*expected, "PATH_INFO", "REMOTE_PORT", "closed"}


def test_what_is_not_said(server: Server) -> None:
    told = server.told("GET / HTTP/1.0")
    assert (told["SERVER_PROTOCOL"], told["HTTP_HOST"], told["QUERY_STRING"]) == ("HTTP/1.0", "", "")
    assert "CONTENT_LENGTH" not in told
    assert server.told("GET http://named/ HTTP/1.1")["HTTP_HOST"] == "named"


@pytest.mark.parametrize(
    ("length", "sent", "read"),
    [
        (0, 0, 0),
        (5, 5, 5),
        (probe.BODY_LIMIT, 0, None),  # does not come
        (90_000, 90_000, 90_000),
        (probe.BODY_LIMIT, probe.ROOM + 1, None),  # there is no room for it
        (95_000, 95_000, 95_000),  # and the room was given back
        (probe.BODY_LIMIT + 1, 0, 0),  # is not waited for
    ],
)
def test_bodies(server: Server, length: int, sent: int, read: int | None) -> None:
    status, text = server.ask(f"POST / HTTP/1.1\nHost: x\nContent-Length: {length}", b"x" * sent)
    if read is None:
        assert status == (503 if sent else 408)
    else:
        assert (status, json.loads(text)["body"]) == (200, read)


def test_a_body_that_was_cut_is_shorter_than_it_says(server: Server) -> None:
    _, text = server.ask("POST / HTTP/1.1\nHost: x\nContent-Length: 10", b"abc", is_cut=True)
    assert (json.loads(text)["CONTENT_LENGTH"], json.loads(text)["body"]) == ("10", 3)


def test_chunks_are_not_read(server: Server) -> None:
    told = server.told("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked", b"3\r\nabc\r\n")  # and no end
    assert (told["HTTP_TRANSFER_ENCODING"], told["body"]) == ("chunked", 0)


def test_half_read_bodies_leave_room_for_small_ones(server: Server) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(closing(server.open(head % probe.ROOM)))
            connection.sendall(b"x" * (probe.ROOM - 1))
        assert server.told("POST / HTTP/1.1\nHost: x\nContent-Length: 5", b"abcde")["body"] == 5


def test_answers(server: Server) -> None:
    assert server.ask("GET /broken HTTP/1.1\nHost: x") == (500, b"")
    assert server.ask("GET /twice HTTP/1.1\nHost: x") == (418, b"")
    assert server.ask("HEAD / HTTP/1.1\nHost: x") == (200, b"")
    status, text = server.ask("GET /ends HTTP/1.1\nHost: x")
    assert (status, text.count(b"x")) == (200, 2 * len(probe.ENDLESS))
    server.wait_until_closed("/ends")


def test_streams_are_closed_however_they_end(server: Server) -> None:
    status, text = server.ask("GET /fails HTTP/1.1\nHost: x")
    assert (status, text.count(b"x")) == (200, 9 * len(probe.ENDLESS))
    server.wait_until_closed("/fails")
    request = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.open(request, buffer=4096) as stalled:
        assert stalled.recv(12) == b"HTTP/1.1 200"
        server.wait_until_closed("/endless")  # though the client is still there
    for times in range(2, 7):
        with server.open(request, buffer=4096) as leaving:
            assert leaving.recv(12) == b"HTTP/1.1 200"
        server.wait_until_closed("/endless", times)


def test_more_than_can_wait_are_refused_at_once(server: Server, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    request = f"GET /blocked?{fifo} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with ExitStack() as stack:
        waiting = [stack.enter_context(server.open(request)) for _ in range(probe.THREADS + WAITING)]
        deadline = time.monotonic() + PATIENCE
        while server.ask("GET / HTTP/1.1\nHost: x")[0] != 503:
            assert time.monotonic() < deadline
        writer = os.open(fifo, os.O_WRONLY)
        os.close(writer)
        del waiting


@pytest.mark.parametrize("backend", ["sqlite"])  # what is read of the database is the same on both
def test_bodies_that_never_arrive_delay_no_other_request(config: dict[str, object]) -> None:
    settings = {**config, "AUDIT_WORKERS": 1, "AUDIT_THREADS": 2, "AUDIT_LOGIN": "passwordless"}
    with started_service(settings) as service, SlowSender(service.url, 100) as slow:
        slowest = slow.time_others(20)
        assert slowest < 1, f"{slowest:.2f} s"


def test_a_refusal_looks_as_the_apps_own(app: Flask) -> None:
    kinds = [(408, "too-slow"), (503, "unavailable"), (500, "internal-error")]
    for (status, headers, body), (expected, name) in zip(gateway_of(app)._ready_answers, kinds, strict=True):
        problem = json.loads(body)
        assert (status, problem["status"], problem["type"]) == (expected, expected, f"/api/problems/{name}")
        found = dict(headers)
        assert (found["Content-Type"], found["Content-Length"]) == ("application/problem+json", str(len(body)))
        assert (found["Connection"], found["X-Content-Type-Options"]) == ("close", "nosniff")
        assert "Set-Cookie" not in found


def test_slow_heads(server: Server) -> None:
    for sent in (b"", b"GET / HTTP/1.1\r\nHost:"):
        with server.open(sent) as connection:
            assert connection.recv(1) == b""  # closed, without a word

"""A WSGI app that tells what it was given, in a server of its own: what ``audit_service.serving`` does with any app."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

from audit_service.serving import server, streams
from audit_service.serving.bodies import Bodies
from audit_service.serving.gateway import Gateway, ReadyAnswers

THREADS = 2
BODY_LIMIT = 200_000
ROOM = 100_000
TIME_LIMIT = 1.0  # seconds, for bodies and for those who read streams
ENDLESS = b"x" * 50_000
closed: list[str] = []  # the paths of streams that were closed


class Stream:
    """Endless, or until it fails."""

    def __init__(self, path: str) -> None:
        self.path, self.count = path, 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.count += 1
        if (self.path, self.count) in (("/fails", 10), ("/ends", 3)):
            raise StopIteration if self.path == "/ends" else RuntimeError("in the middle")
        return ENDLESS

    def close(self) -> None:
        closed.append(self.path)


def probe(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    path = environ["PATH_INFO"]
    if path == "/broken":
        raise RuntimeError("before any answer")
    if path in ("/endless", "/fails", "/ends"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Stream(path)
    if path == "/blocked":
        Path(environ["QUERY_STRING"]).read_bytes()  # of a FIFO: until somebody writes
    if path == "/twice":
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise RuntimeError("after the first words")
        except RuntimeError:
            start_response(
                "418 I'm a teapot", [("Content-Type", "text/plain"), ("Content-Length", "0")], sys.exc_info()
            )
        return [b""]
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    body = json.dumps({**told, "body": len(environ["wsgi.input"].read(1 << 20)), "closed": closed}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def worker() -> Gateway:
    streams.PATIENCE = TIME_LIMIT
    refused = ReadyAnswers(*((status, [("Content-Length", "0")], b"") for status in (408, 503, 500)))
    gateway = Gateway(validator(probe), refused, threads=THREADS, body_limit=BODY_LIMIT)
    gateway._bodies = Bodies(ROOM, TIME_LIMIT)
    return gateway


if __name__ == "__main__":
    server.HEAD_TIMEOUT = TIME_LIMIT
    server.make_server("tests.support.probe:worker", "127.0.0.1", int(sys.argv[1]), workers=1, threads=THREADS).serve()

"""Answers of unknown length, sent no faster than the client takes them.

granian's own streams (RSGI) take whatever they are given into memory. A file it reads piece by piece, as the client
takes them; and a pipe is a file that is written while it is read.
"""

import fcntl
import os
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from audit_service.serving.protocol import Headers, HTTPProtocol

PATIENCE = 30.0  # seconds in which a client must take something


class ClientGoneError(Exception):
    """The client has closed the connection, or has taken nothing for ``PATIENCE`` seconds."""


def send(protocol: HTTPProtocol, status: int, headers: Headers, chunks: Iterable[bytes]) -> None:
    """Answer with *chunks*, and return when all are on their way. Raises ``ClientGoneError``, and what they raise."""
    chunks = iter(chunks)
    with _pipe() as pipe:
        ahead = bytearray()
        for chunk in chunks:
            ahead += chunk
            if len(ahead) > pipe.capacity:
                break
        else:
            protocol.response_bytes(status, headers, bytes(ahead))
            return
        protocol.response_file(status, headers, pipe.path)
        pipe.write(ahead)
        for chunk in chunks:
            pipe.write(chunk)


class _Pipe:
    """A pipe whose other end the server opens by its path."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._written = 0
        self._is_opened = False
        self.path = f"/dev/fd/{self._reader}"
        self.capacity = fcntl.fcntl(self._writer, fcntl.F_GETPIPE_SZ)
        os.set_blocking(self._writer, False)
        self._room = select.poll()
        self._room.register(self._writer, select.POLLOUT)

    def write(self, data: bytes | bytearray) -> None:
        left = memoryview(data)
        while left:
            try:
                written = os.write(self._writer, left)
            except BlockingIOError:
                self._wait()
            except BrokenPipeError as error:
                raise ClientGoneError from error
            else:
                left = left[written:]
                self._count(written)

    def close(self) -> None:
        os.close(self._writer)
        self._close_reader()

    def _wait(self) -> None:
        if not self._room.poll(PATIENCE * 1000):
            raise ClientGoneError

    def _count(self, written: int) -> None:
        self._written += written
        # The server has read, so it has opened the pipe: when it closes it, writing shall fail.
        if self._written > self.capacity:
            self._close_reader()

    def _close_reader(self) -> None:
        if not self._is_opened:
            self._is_opened = True
            os.close(self._reader)


@contextmanager
def _pipe() -> Iterator[_Pipe]:
    pipe = _Pipe()
    try:
        yield pipe
    finally:
        pipe.close()

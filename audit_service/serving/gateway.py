"""The RSGI application that granian calls: it waits for bodies in the event loop, and answers in threads by WSGI."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple

from audit_service.serving.bodies import Bodies, NoRoomError
from audit_service.serving.parent import end_with_parent
from audit_service.serving.protocol import Headers, HTTPProtocol, Scope
from audit_service.serving.streams import ClientGoneError
from audit_service.serving.wsgi import Application, answer

logger = logging.getLogger("audit_service")

WAITING = 512  # requests that wait for a thread; further ones are refused

ReadyAnswer = tuple[int, Headers, bytes]  # an answer that takes no thread: status, headers, body


class ReadyAnswers(NamedTuple):
    """The answers to requests that never reach the app, or break it."""

    too_slow: ReadyAnswer
    too_many: ReadyAnswer
    failed: ReadyAnswer


@dataclass(frozen=True, slots=True)
class _Request:
    scope: Scope
    protocol: HTTPProtocol
    body: bytes
    answered: asyncio.Future[None]


class Gateway:
    """Answers by a WSGI app, in threads of its own.

    A request takes a thread when its body has arrived in full, so that a slow client delays no other one. A body
    longer than *body_limit* bytes, or of unknown length, is not read: the app refuses it by its head.
    """

    def __init__(self, application: Application, ready_answers: ReadyAnswers, *, threads: int, body_limit: int) -> None:
        """Make it in the process that serves, before it serves."""
        self._application = application
        self._ready_answers = ready_answers
        self._threads = threads
        self._body_limit = body_limit
        self._bodies = Bodies()
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        self._unanswered = 0  # how many are in the queue or in a thread
        self._started = 0  # threads

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin: SIGTERM is heard from now on."""
        self._loop = loop
        end_with_parent()

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request, or refuse it."""
        length = int(scope.headers.get("content-length", "0"))
        body = b""
        try:
            if 0 < length <= self._body_limit:
                body = await self._bodies.read(protocol, length)
        except TimeoutError:
            protocol.response_bytes(*self._ready_answers.too_slow)
            return
        except NoRoomError:
            protocol.response_bytes(*self._ready_answers.too_many)
            return
        try:
            await self._answer(scope, protocol, body)
        finally:
            self._bodies.release(body)

    async def _answer(self, scope: Scope, protocol: HTTPProtocol, body: bytes) -> None:
        if self._requests.qsize() >= WAITING:
            protocol.response_bytes(*self._ready_answers.too_many)
            return
        self._unanswered += 1
        if self._started < min(self._unanswered, self._threads):  # each takes memory that it does not give back
            self._started += 1
            threading.Thread(target=self._work, name=f"request-{self._started}", daemon=True).start()
        answered = self._loop.create_future()
        self._requests.put(_Request(scope, protocol, body, answered))
        await answered

    def _work(self) -> None:
        """The life of a thread."""
        while True:
            request = self._requests.get()
            try:
                answer(self._application, request.scope, request.protocol, request.body)
            except ClientGoneError:
                pass
            except BaseException:  # whatever ends one request must not end the thread
                logger.exception("a request failed outside of the app")
                request.protocol.response_bytes(*self._ready_answers.failed)  # does nothing if an answer has begun
            self._loop.call_soon_threadsafe(self._finish, request.answered)
            del request  # its body must not wait for the next one

    def _finish(self, answered: asyncio.Future[None]) -> None:
        self._unanswered -= 1
        if not answered.done():  # cancelled: the client has gone away
            answered.set_result(None)

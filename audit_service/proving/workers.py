"""Processes that share a long work: each does parts of it, and the results come in the order of the parts."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any, ClassVar, Protocol, TypeVar

from audit_service.serving.parent import end_with_parent

JOBS = min(2, os.cpu_count() or 1)  # processes, unless somebody says otherwise

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
Part = TypeVar("Part")
Result = TypeVar("Result")


class Run(Protocol[S_co]):
    """Does parts of a work in other processes."""

    def __call__(self, do: Callable[[S_co, Part], Result], parts: Iterator[Part]) -> Iterator[Result]:
        """Yield what *do* makes of each of *parts*, in their order. Raises what *do* raises there."""


@contextmanager
def worker_processes(count: int, opener: Callable[[], AbstractContextManager[S]]) -> Iterator[Run[S]]:
    """Start so many processes; in each *opener* opens once what its parts of the work are done with.

    They end with the context, and with this process, however it ends. Raises ``BrokenProcessPool`` in the midst of the
    work if one of them is killed.
    """
    context = get_context("spawn")  # a fork would share connections, and locks of threads
    with ProcessPoolExecutor(count, mp_context=context, initializer=_Worker.open, initargs=(opener,)) as pool:

        def run(do: Callable[[S, Part], Result], parts: Iterator[Part]) -> Iterator[Result]:
            waiting: deque[Future[Result]] = deque()
            for part in parts:
                with _deaf_children():
                    waiting.append(pool.submit(_Worker.do, do, part))
                if len(waiting) > 2 * count:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())

        others = context.active_children()
        try:
            yield run
        except BaseException:
            for each in context.active_children():
                if each not in others:
                    each.terminate()  # a part can take seconds, and nobody waits for it any more
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, not even while they import: it is for the one that starts them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future: Future[Result]) -> Result:
    """Return what another process has made; raise its error as if it had been raised here."""
    try:
        return future.result()
    except Exception as error:
        raise error from getattr(error, "orig", None)  # the cause is the text of a traceback, and SQLAlchemy's is lost


class _Worker:
    """A process that does parts of the work."""

    opened: ClassVar[Any]
    stack: ClassVar[ExitStack]

    @classmethod
    def open(cls, opener: Callable[[], AbstractContextManager[Any]]) -> None:
        """Open what the work is done with. The process ends with the one that has started it, however that ends."""
        end_with_parent()
        cls.stack = ExitStack()
        cls.opened = cls.stack.enter_context(opener())

    @classmethod
    def do(cls, do: Callable[[Any, Part], Result], part: Part) -> Result:
        """Do a part."""
        return do(cls.opened, part)

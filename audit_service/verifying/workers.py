"""The processes that look at blocks. They end with the verifier that has started them."""

import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import ClassVar

from audit_service.serving.parent import end_with_parent
from audit_service.verifying.blocks import Result, Task, look_at
from audit_service.verifying.source import Opener, Source

Look = Callable[[Iterator[Task]], Iterator[Result]]


@contextmanager
def workers(opener: Opener, source: Source, jobs: int) -> Iterator[Look]:
    """Yield a function that looks at tasks, in their order: here, or in so many other processes."""
    if jobs == 1:
        yield lambda tasks: (look_at(source, task) for task in tasks)
        return
    context = get_context("spawn")  # a fork would share connections, and locks of threads
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_Worker.open, initargs=(opener,)) as pool:

        def look(tasks: Iterator[Task]) -> Iterator[Result]:
            waiting: deque[Future[Result]] = deque()
            for task in tasks:
                with _deaf_children():
                    waiting.append(pool.submit(_Worker.look_at, task))
                if len(waiting) > 2 * jobs:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())

        others = context.active_children()
        try:
            yield look
        except BaseException:
            for each in context.active_children():
                if each not in others:
                    each.terminate()  # a block can take seconds, and nobody waits for it any more
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
    """Return what another process has found; raise its error as if it had been raised here."""
    try:
        return future.result()
    except Exception as error:
        raise error from getattr(error, "orig", None)  # the cause is the text of a traceback, and SQLAlchemy's is lost


class _Worker:
    """A process that looks at blocks."""

    source: ClassVar[Source]
    stack: ClassVar[ExitStack]

    @classmethod
    def open(cls, opener: Opener) -> None:
        """Open the source. The process ends with the one that has started it, however that ends."""
        end_with_parent()
        cls.stack = ExitStack()
        cls.source = cls.stack.enter_context(opener())

    @classmethod
    def look_at(cls, task: Task) -> Result:
        """Look at a block."""
        return look_at(cls.source, task)

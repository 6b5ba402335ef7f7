"""An export on its way to a reader: it ends in time, whatever the reader and the server do."""

import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator

from sqlalchemy.exc import SQLAlchemyError

from audit_service.api.places import Place
from audit_service.history.export import Chunk

PIECE = 64 * 1024  # bytes that are handed to the server at a time
STALL = 30.0  # seconds in which the reader must take them
LONGEST = 3600.0  # seconds for an export in all

logger = logging.getLogger("audit_service")


class Stream:
    """The bytes of an export, for a WSGI server.

    A server is stuck in sending for as long as its reader likes, and meanwhile asks for nothing. So a thread watches
    the time; when that is up it closes the chunks, and with them the transaction. The next piece then raises
    ``TimeoutError``.
    """

    def __init__(self, chunks: Generator[Chunk], place: Place, on_error: Callable[[Exception], None]) -> None:
        """*on_error* hears of what breaks off the stream after its begin, but not of the time."""
        self._chunks, self._place, self._on_error = chunks, place, on_error
        self._turn = threading.Condition()  # held while the chunks run or are closed
        self._is_over = self._is_late = False
        self._latest = time.monotonic() + LONGEST

    def begin(self) -> int:
        """Read what comes first, and return how many events there are. Raises what the chunks raise."""
        try:
            first = list(itertools.islice(self._chunks, 2))
            self._pieces = _pieces(itertools.chain(first, self._chunks))
            self._give_time()
            watched = (weakref.ref(self), self._turn)
            threading.Thread(target=_watch, args=watched, name="audit-export", daemon=True).start()
        except BaseException:
            self.close()
            raise
        return first[0].events

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._turn:
            self.time_left()
            if self._is_late:
                self._place.leave()
                raise TimeoutError(f"the reader of an export took {STALL:.0f} s for a piece, or {LONGEST:.0f} s in all")
            try:
                piece = next(self._pieces)
            except BaseException as error:
                self.close()
                if isinstance(error, Exception) and not isinstance(error, StopIteration):
                    self._on_error(error)
                raise
            self._give_time()
            return piece

    def close(self) -> None:
        """Give back all that the export holds. Any thread may call this, and more than once."""
        with self._turn:
            self._end()
        self._place.leave()

    def _give_time(self) -> None:
        self._deadline = min(time.monotonic() + STALL, self._latest)

    def time_left(self) -> float:
        """End the export if its time is up; return the seconds that are left, 0 when it is over."""
        left = 0.0 if self._is_over else self._deadline - time.monotonic()
        if left <= 0 and not self._is_over:
            self._is_late = True
            logger.warning("an export was ended: its reader, %s, takes too long", self._place.name)
            self._end()
        return max(left, 0.0)

    def _end(self) -> None:
        """Close the chunks; the place stays with the viewer while the server is stuck with a thread."""
        if self._is_over:
            return
        self._is_over = True
        self._turn.notify()
        try:
            self._chunks.close()
        except SQLAlchemyError as error:
            logger.warning("the connection of an export was lost before its end: %s", type(error).__name__)
        finally:
            self._place.has_connection = False


def _watch(reference: weakref.ref[Stream], turn: threading.Condition) -> None:
    """Look at the time of a stream until it is over, or dropped: it is given back then, as nothing here holds it."""
    with turn:
        while (stream := reference()) is not None and (left := stream.time_left()):
            del stream
            turn.wait(left)


def _pieces(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    for chunk in chunks:
        for begin in range(0, len(chunk.lines), PIECE):
            yield chunk.lines[begin : begin + PIECE]

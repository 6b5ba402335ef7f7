"""One of a bundle's two lists: lines in the order of their ``seq``, which are found where they are."""

from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import LONGEST_LINE
from audit_service.verifying.bundle_members import Place

_MOST = 2  # lines with one seq
_AT_ONCE = 1 << 18  # bytes


class Order(NamedTuple):
    """Which events a list has, from ``first`` to ``last``, and how many lines one seq has at ``most``."""

    first: int
    last: int
    most: int


class LineList:
    """The lines of a member; *seq_of* tells the seq of a line. They need not be in order, but are found by it.

    ``misplaced`` is the seq of the first line, of those that were asked for last, that is not in its place; None if all
    are. All lines of the member are in their places if that is so of spans that follow each other and make up *order*.
    """

    def __init__(self, file: IO[bytes], place: Place, order: Order, seq_of: Callable[[bytes], int]) -> None:
        """Read the member of *file* that is at *place*."""
        self._file, self._order, self._seq_of = file, order, seq_of
        self._begin, self._end = place
        self._next = (order.first, self._begin)  # a seq, and where its line begins
        self.misplaced: int | None = None

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the lines with a seq from *first* to *last*, both included, and before each its seq.

        Left out are lines after one with a larger seq, and more than two with one seq: of what is wrong two are enough.
        Raises ``ProofError`` for a line that is too long, or has no end. It is quickest when it is asked for what comes
        next.
        """
        order = self._order
        place = self._next[1] if self._next[0] == first else self._find(first)
        self.misplaced = self._seq_at(self._begin) if first == order.first and place != self._begin else None
        before, count = first, 0
        for line in self._lines(place):
            seq = self._seq_of(line)
            if seq > last:
                break
            place += len(line)
            count = count + 1 if seq == before else 1
            if self.misplaced is None and (seq < before or count > order.most):
                self.misplaced = seq
            if seq >= before:
                before = seq
                if count <= _MOST:
                    yield seq, line
        self._next = (last + 1, place)
        end = self._find(last + 1) if last < order.last else self._end
        if self.misplaced is None and place != end:
            self.misplaced = self._seq_at(min(place, end))

    def _find(self, seq: int) -> int:
        """Return where the first line begins whose seq is *seq* or more, if the lines are in their order."""
        low, high = self._begin, self._end
        while low < high:
            middle = (low + high) // 2
            begin = middle
            if middle > low:
                self._file.seek(middle - 1)
                begin = middle - 1 + len(self._file.readline(LONGEST_LINE))  # to the end of the line before
            line = self._line_at(begin) if begin < high else b""
            if not line:
                high = middle
            elif self._seq_of(line) < seq:
                low = begin + len(line)
            elif middle == low:
                return low
            else:
                high = middle
        return low

    def _seq_at(self, place: int) -> int:
        return self._seq_of(self._line_at(place))

    def _line_at(self, place: int) -> bytes:
        self._file.seek(place)
        return _checked(self._file.readline(min(LONGEST_LINE, self._end - place)), place)

    def _lines(self, place: int) -> Iterator[bytes]:
        """Yield the lines from *place* on. Other parts of the file may be read in between."""
        rest = b""
        while place < self._end:
            self._file.seek(place)
            data = self._file.read(min(_AT_ONCE, self._end - place))
            place += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line + b"\n"
            if len(rest) >= LONGEST_LINE or not data:
                break
        if rest:
            _checked(rest, place - len(rest))


def _checked(line: bytes, place: int) -> bytes:
    if not line.endswith(b"\n"):
        raise ProofError(f"a line at byte {place} has no end, or is longer than {LONGEST_LINE} bytes")
    return line

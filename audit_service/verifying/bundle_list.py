"""One of a bundle's two lists: lines in the order of their ``seq``, which are found where they are."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import LONGEST_LINE
from audit_service.verifying.bundle_members import Place
from audit_service.verifying.findings import Code, Finding

_MOST = 2  # lines with one seq


class LineList:
    """The lines of a member; *seq_of* tells the seq of a line. They need not be in order, but are found by it."""

    def __init__(self, file: IO[bytes], place: Place, seq_of: Callable[[bytes], int]) -> None:
        """Read the member of *file* that is at *place*."""
        self._file, self._seq_of = file, seq_of
        self._begin, self._end = place
        self._next = (1, self._begin)  # a seq, and where its line begins

    def __iter__(self) -> Iterator[bytes]:
        """Yield all lines. Raises ``ProofError`` for one that is too long, or has no end."""
        return self._lines(self._begin)

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the lines with a seq from *first* to *last*, both included, and before each its seq.

        Left out are lines after one with a larger seq, and more than two with one seq: an erasure has two groups, and
        of events two are as wrong as a million. Raises ``ProofError``. It is quickest when it is asked for what comes
        next.
        """
        before, count = first, 0
        begin = self._next[1] if self._next[0] == first else self._find(first)
        for line in self._lines(begin):
            seq = self._seq_of(line)
            if seq > last:
                break
            begin += len(line)
            if seq < before:
                continue
            before, count = seq, count + 1 if seq == before else 1
            if count <= _MOST:
                yield seq, line
        self._next = (last + 1, begin)

    def _find(self, seq: int) -> int:
        """Return where the first line begins whose seq is *seq* or more."""
        low, high = self._begin, self._end
        while low < high:
            middle = (low + high) // 2
            begin = middle
            if middle > low:
                self._file.seek(middle - 1)
                begin = middle - 1 + len(self._file.readline(LONGEST_LINE))  # to the end of the line before
            line = next(self._lines(begin), None) if begin < high else None
            if line is None:
                high = middle
            elif self._seq_of(line) < seq:
                low = begin + len(line)
            elif middle == low:
                return low
            else:
                high = middle
        return low

    def _lines(self, begin: int) -> Iterator[bytes]:
        while begin < self._end:
            if self._file.tell() != begin:  # other parts are read in between
                self._file.seek(begin)
            line = self._file.readline(min(LONGEST_LINE, self._end - begin))
            if not line.endswith(b"\n"):
                raise ProofError(f"a line at byte {begin} has no end, or is longer than {LONGEST_LINE} bytes")
            begin += len(line)
            yield line


def first_misplaced(name: str, places: Iterable[tuple[int, str]], first: int, last: int) -> Iterator[Finding]:
    """Yield a finding for the first line whose seq and group are not after those of the line before."""
    before = first - 1, ""
    for place in places:
        seq, _ = place
        if not first <= seq <= last or place <= before:
            words = f"{name} has a line with the seq {seq}, which is not in its place: they rise from {first} to {last}"
            yield Finding(Code.OUT_OF_RANGE, words, seq=seq, table=name)
            return
        before = place

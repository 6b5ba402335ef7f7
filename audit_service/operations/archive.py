"""A tar archive, plain or compressed, that takes members whose size is known when they are written, and no sooner."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

_LEVEL = 3  # of compression: hashes do not get smaller, and the rest by little
_GZIP = 16 + zlib.MAX_WBITS
_END = bytes(2 * tarfile.BLOCKSIZE)


class Archive:
    """An archive in *file*, which can be positioned.

    The header of a tar member comes before its content and has its size, so it is written again afterwards. In a
    compressed archive each such header is a gzip member of its own that is not compressed, and keeps its length.
    """

    def __init__(self, file: IO[bytes], *, is_compressed: bool, time: int) -> None:
        """Write to *file*; *time*, in seconds since 1970, is that of the members."""
        self._file, self._is_compressed, self._time = file, is_compressed, time
        self._stream = self._new_stream()

    def add(self, name: str, content: bytes) -> None:
        """Add a member."""
        self._write(self._header(name, len(content)) + content + _padding(len(content)))

    @contextmanager
    def growing(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Add a member that is written bit by bit by what this yields."""
        self._end_stream()
        place, size = self._file.tell(), 0
        self._file.write(self._stored(self._header(name, 0)))

        def write(content: bytes) -> None:
            nonlocal size
            size += len(content)
            self._write(content)

        yield write
        self._write(_padding(size))
        self._end_stream()
        end = self._file.tell()
        self._file.seek(place)
        self._file.write(self._stored(self._header(name, size)))
        self._file.seek(end)

    def close(self) -> None:
        """Write the archive's end; the file stays open."""
        self._write(_END)
        self._end_stream()

    def _header(self, name: str, size: int) -> bytes:
        member = tarfile.TarInfo(name)
        member.size, member.mtime = size, self._time
        return member.tobuf(tarfile.GNU_FORMAT)  # one block for each size

    def _write(self, content: bytes) -> None:
        self._file.write(self._stream.compress(content) if self._stream else content)

    def _end_stream(self) -> None:
        if self._stream:
            self._file.write(self._stream.flush())
            self._stream = self._new_stream()

    def _new_stream(self) -> "zlib._Compress | None":
        return zlib.compressobj(_LEVEL, wbits=_GZIP) if self._is_compressed else None

    def _stored(self, header: bytes) -> bytes:
        return gzip.compress(header, 0, mtime=0) if self._is_compressed else header


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)

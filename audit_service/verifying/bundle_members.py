"""Where the members of a bundle are in its archive, which is read without being extracted."""

import re
import tarfile
from os import SEEK_END
from typing import IO, NamedTuple

from audit_service.errors import ProofError
from audit_service.proofs.bundle_format import (
    CHECKPOINT,
    CHECKPOINTS,
    ERASURES,
    EVENTS,
    MANIFEST,
    README,
    STAMPS,
    TILES,
)

_BLOCK = tarfile.BLOCKSIZE
_NAME = re.compile(
    rf"{README}|{MANIFEST}|{CHECKPOINT}|{CHECKPOINTS}[^/]{{1,64}}/(?:0|[1-9][0-9]{{0,17}})|{ERASURES}|{EVENTS}"
    rf"|{STAMPS}[^/]{{1,64}}/(?:0|[1-9][0-9]{{0,17}})\.tsr"
    rf"|{TILES}[0-9]{{1,2}}/(?:x[0-9]{{3}}/){{0,6}}[0-9]{{3}}(?:\.p/[0-9]{{1,3}})?"
)


class Place(NamedTuple):
    """Where the content of a member is in the archive: its first byte, and the one after its last."""

    begin: int
    end: int


def find_members(file: IO[bytes]) -> dict[str, Place]:
    """Return where the members of a tar archive are. Raises ``ProofError`` for what a bundle has not."""
    found: dict[str, Place] = {}
    size, place = file.seek(0, SEEK_END), 0
    while place < size:
        file.seek(place)
        header = file.read(_BLOCK)
        if not any(header):  # the end
            break
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise ProofError(f"this is no bundle: {error}") from None
        begin = place + _BLOCK
        end = begin + member.size
        if not member.isreg() or not _NAME.fullmatch(member.name) or member.name in found:
            raise ProofError(f"a bundle has no such member, or not twice: {member.name[:80]!r}")
        if member.size < 0 or end > size:
            raise ProofError(f"{member.name} is cut off")
        found[member.name] = Place(begin, end)
        place = end + -member.size % _BLOCK
    for name in (MANIFEST, CHECKPOINT, ERASURES, EVENTS):
        if name not in found:
            raise ProofError(f"this is no bundle: it has no {name}")
    return found

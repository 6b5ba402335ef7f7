"""Where the members of a bundle are in its archive, which is read without being extracted."""

import re
import tarfile
from array import array
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
_SIZE = "(?:0|[1-9][0-9]{0,17})"
_NAME = re.compile(
    rf"{README}|{MANIFEST}|{CHECKPOINT}|{CHECKPOINTS}(?P<log>[^/]{{1,64}})/(?P<size>{_SIZE})|{ERASURES}|{EVENTS}"
    rf"|{STAMPS}[^/]{{1,64}}/{_SIZE}\.tsr"
    rf"|{TILES}[0-9]{{1,2}}/(?:x[0-9]{{3}}/){{0,6}}[0-9]{{3}}(?:\.p/[0-9]{{1,3}})?"
)
_MOST_LOGS = 1000  # a trail has one, and another after each break


class Place(NamedTuple):
    """Where the content of a member is in the archive: its first byte, and the one after its last."""

    begin: int
    end: int


class Members(NamedTuple):
    """The places of members by their names.

    There may be millions of ``checkpoints``: of each log a size, and where its note begins and ends, one after the
    other, the smallest size first.
    """

    places: dict[str, Place]
    checkpoints: dict[str, "array[int]"]


def find_members(file: IO[bytes]) -> Members:
    """Return where the members of a tar archive are. Raises ``ProofError`` for what a bundle has not."""
    found = Members({}, {})
    size, place = file.seek(0, SEEK_END), 0
    while place < size:
        file.seek(place)
        header = file.read(_BLOCK)
        if not any(header):  # the end
            break
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise ProofError(f"this is no bundle, nor an event with its proof in JSON: {error}") from None
        begin = place + _BLOCK
        end = begin + member.size
        name = _NAME.fullmatch(member.name) if member.type in {tarfile.REGTYPE, tarfile.AREGTYPE} else None
        if not name or not _is_new(found, name, Place(begin, end)):
            raise ProofError(f"a bundle has no such member, or not twice, or not here: {member.name[:80]!r}")
        if member.size < 0 or end > size:
            raise ProofError(f"{member.name} is cut off")
        place = end + -member.size % _BLOCK
    for needed in (MANIFEST, CHECKPOINT, ERASURES, EVENTS):
        if needed not in found.places:
            raise ProofError(f"this is no bundle: it has no {needed}")
    return found


def _is_new(found: Members, name: re.Match[str], place: Place) -> bool:
    """Put a member to the others, unless it is there already, or a checkpoint is not after a smaller one."""
    if name["log"] is None:
        return found.places.setdefault(name[0], place) is place
    size = int(name["size"])
    of_log = found.checkpoints.setdefault(name["log"], array("q"))
    if len(found.checkpoints) > _MOST_LOGS:
        raise ProofError(f"the bundle has checkpoints of more than {_MOST_LOGS} logs")
    if of_log and size <= of_log[-3]:
        return False
    of_log.extend((size, *place))
    return True

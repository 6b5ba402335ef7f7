"""The lines of a text file of logins, ``name*YYYY-MM-DD HH:MM:SS.ffffff*address``, become events of the trail.

The id of an event is made of its line and of how many equal lines come before it in the file. So a file that is
imported again, perhaps with more lines at its end, adds only what is new.
"""

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import IO
from uuid import UUID

from sqlalchemy import Engine, select

from audit_service.events.logins import NewLogin
from audit_service.events.request_info import network_of, parse_address
from audit_service.storage.models import LoginEvent
from audit_service.trail.login_log import SEPARATOR
from audit_service.values import limits
from audit_service.values.text import clean

LINE_BYTES = 64 * 1024  # a longer line is no login
BATCH = 500  # lines
DETAILS = {"imported_from": "text"}
AHEAD = timedelta(minutes=limits.REPORT_MINUTES_AHEAD)
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?", re.ASCII)  # str() of a datetime without a zone
_NO_ADDRESS = ("", "None")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local, as the times of the lines
_Place = tuple[str, datetime, str | None]


@dataclass(frozen=True)
class Line:
    """A line of the file: the event that it tells of, or why it tells of none."""

    number: int
    size: int  # in bytes
    event: NewLogin | None = None
    fault: str = ""
    second: datetime | None = None  # the later time, if the clock has shown the event's twice

    def places(self) -> list[_Place]:
        """Return what the login would have in the trail if it had been recorded as it happened."""
        if self.event is None:
            return []
        times = [time for time in (self.event.timestamp, self.second) if time]
        return [(self.event.username, time, self.event.remote_addr) for time in times]


@dataclass
class Imported:
    """What became of some lines."""

    size: int = 0  # in bytes
    stored: int = 0
    known: int = 0  # in the trail already
    doubtful: int = 0  # of those stored: at a time that the clock has shown twice
    skipped: list[tuple[int, str]] = field(default_factory=list)  # numbers of lines, and what is wrong with them

    def add(self, more: "Imported") -> None:
        """Take in what became of *more* lines."""
        self.size += more.size
        self.stored += more.stored
        self.known += more.known
        self.doubtful += more.doubtful
        self.skipped += more.skipped


class _LineError(ValueError):
    """A line tells of no login; the message says why."""


def read_lines(file: IO[bytes], app: str, zone: tzinfo | None, encoding: str) -> Iterator[Line]:
    """Read the logins of the app that *app* names. Times are those of *zone*, None for the system's.

    A file of any size is read line by line; of each line its hash is kept.
    """
    seen: Counter[bytes] = Counter()
    for number, (raw, size) in enumerate(_raw_lines(file), 1):
        digest = hashlib.sha256(raw).digest()
        seen[digest] += 1
        try:
            event, second = _event(raw, seen[digest], app, zone, encoding)
        except _LineError as fault:
            yield Line(number, size, fault=str(fault))
        else:
            yield Line(number, size, event, second=second)


def import_lines(
    lines: Iterable[Line], engine: Engine, store: Callable[[Sequence[NewLogin]], object]
) -> Iterator[Imported]:
    """Hand the events that are not in the trail of *engine* to *store*, some at a time; yield what became of these.

    An event is there if its id is, or if the login was recorded as it happened: with the same name, time and address.
    """
    rest = iter(lines)
    while batch := list(itertools.islice(rest, BATCH)):
        ids, places = _stored(engine, batch)
        done = Imported(size=sum(line.size for line in batch))
        new = []
        for line in batch:
            if line.event is None:
                done.skipped.append((line.number, line.fault))
            elif line.event.id in ids or not places.isdisjoint(line.places()):
                done.known += 1
            else:
                new.append(line.event)
                done.doubtful += line.second is not None
        if new:
            store(new)
        done.stored = len(new)
        yield done


def _raw_lines(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield each line without its end, of one that is too long the beginning, and how many bytes it has."""
    while first := file.readline(LINE_BYTES + 1):
        last, size = first, len(first)
        while not last.endswith(b"\n") and (last := file.readline(LINE_BYTES)):
            size += len(last)
        yield first.rstrip(b"\r\n"), size


def _event(
    raw: bytes, occurrence: int, app: str, zone: tzinfo | None, encoding: str
) -> tuple[NewLogin, datetime | None]:
    if len(raw) > LINE_BYTES:
        raise _LineError("is too long")
    try:
        text = raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise _LineError(f"is no {encoding}") from None
    parts = text.rsplit(SEPARATOR, 2)  # a name may hold the separator, too
    if len(parts) < 3:  # noqa: PLR2004
        raise _LineError("is not name*time*address")
    name, shown, sent = parts
    if not name:
        raise _LineError("has no name")
    local, timestamp, second = _times(shown, zone)
    address = parse_address(sent)
    if address is None and sent not in _NO_ADDRESS:
        raise _LineError(f"has no IP address, but {clean(sent, 45)!r}")
    event = NewLogin(
        id=_event_id(local, raw, occurrence),
        timestamp=timestamp,
        app=app,
        username=clean(name, limits.USERNAME),
        remote_addr=address,
        network=network_of(address),
        details=DETAILS,
    )
    return event, second


def _times(shown: str, zone: tzinfo | None) -> tuple[datetime, datetime, datetime | None]:
    """Return a time as the line has it, in UTC, and the second one in UTC if the clock has shown it twice."""
    try:
        local = datetime.fromisoformat(shown if _TIME.fullmatch(shown) else "")
    except ValueError:
        raise _LineError(f"has no time, but {clean(shown, 40)!r}") from None
    if local < _EPOCH + timedelta(days=1):
        raise _LineError("has a time before 1970")
    latest = datetime.now(UTC) + AHEAD
    if local > latest.replace(tzinfo=None) + timedelta(days=1):  # in any zone; and far times are none in some
        raise _LineError(f"has a time in the future: {shown}")
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > latest:
        raise _LineError(f"has a time in the future: {shown}")
    return local, first, second if second > first else None


def _event_id(local: datetime, raw: bytes, occurrence: int) -> UUID:
    """Return a UUIDv7 (RFC 9562) that is the same for the same line, whatever zone its time is taken for."""
    milliseconds = (local - _EPOCH) // timedelta(milliseconds=1)
    digest = int.from_bytes(hashlib.sha256(b"%s\n%d" % (raw, occurrence)).digest()[:10])
    bits = milliseconds << 80 | digest
    bits = bits & ~(0xF << 76) | 7 << 76
    return UUID(int=bits & ~(0b11 << 62) | 0b10 << 62)


def _stored(engine: Engine, lines: Sequence[Line]) -> tuple[set[UUID], set[_Place]]:
    """Return the ids of *lines* that are in the trail, and which of their names, times and addresses are."""
    ids = [line.event.id for line in lines if line.event]
    times = {time for line in lines for _name, time, _address in line.places()}
    with engine.connect() as connection:
        found = set(connection.scalars(select(LoginEvent.id).where(LoginEvent.id.in_(ids))))
        columns = LoginEvent.username, LoginEvent.timestamp, LoginEvent.remote_addr, LoginEvent.details
        recorded = connection.execute(select(*columns).where(LoginEvent.timestamp.in_(times)))
        return found, {(row.username, row.timestamp, row.remote_addr) for row in recorded if row.details != DETAILS}

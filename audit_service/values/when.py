"""Times as people type them, and how long ago they are."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

WHEN = "a time such as 24h, 7d, today, yesterday, 2026-01-31, 2026-01-31 12:00 or 2026-01-31T12:00:00Z"

_SPAN = re.compile(r"([0-9]{1,6}) ?([a-z]+)")
_UNITS = {
    "minutes": ("m", "min", "minute", "minutes"),
    "hours": ("h", "hour", "hours"),
    "days": ("d", "day", "days"),
    "weeks": ("w", "week", "weeks"),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}
_AGO = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"), (timedelta(seconds=1), "s"))
_DAYS_BACK = {"today": 0, "yesterday": 1}
# ISO 8601 has more forms, such as week dates and "20260131": nobody types them, and a number is no time.
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def parse_when(text: str, zone: tzinfo, now: datetime) -> datetime:
    """Return the time that *text* means, in UTC.

    That is RFC 3339 with an offset; a date, or a date and a time of day, in *zone*; ``now``; ``today`` and
    ``yesterday``, which begin at midnight in *zone*; or a span before *now*, an aware time: ``30m``, ``24h``, ``7d``,
    ``2w``. A day of a span has 24 hours. Of a time of day that comes twice the first is meant.

    Raises ``ValueError`` ("must be …") for anything else, and for a time that no calendar has.
    """
    words = " ".join(text.split())
    try:
        return _time(words.lower(), words.upper(), zone, now).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"must be {WHEN}") from None


def _time(word: str, date: str, zone: tzinfo, now: datetime) -> datetime:
    if word == "now":
        return now
    if word in _DAYS_BACK:
        return _midnight(now.astimezone(zone) - timedelta(days=_DAYS_BACK[word]))
    if (span := _SPAN.fullmatch(word)) and span[2] in _UNIT_OF:
        return now.astimezone(UTC) - timedelta(**{_UNIT_OF[span[2]]: int(span[1])})
    if not _DATE.fullmatch(date):
        raise ValueError(word)
    time = datetime.fromisoformat(date)
    return time if time.tzinfo else time.replace(tzinfo=zone)


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def ago(time: datetime, now: datetime) -> str:
    """Return how long before *now* a time was, in its largest unit."""
    past = now - time
    return next((f"{past // unit} {name} ago" for unit, name in _AGO if past >= unit), "now")

"""Times and numbers as people read them: in the language of the request, and in the time zone of the reader."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_decimal
from flask import request
from markupsafe import Markup, escape

from audit_service.web.language import gettext, language

ZONE_COOKIE = "audit_zone"  # the browser's, where JavaScript runs
_LOCALES = {"en": Locale.parse("en_GB"), "zh": Locale.parse("zh_Hans_CN")}
_EXACT = "yyyy-MM-dd HH:mm:ss"


def zone() -> ZoneInfo:
    """Return the time zone of the reader: as the browser has said it, else UTC."""
    name = request.cookies.get(ZONE_COOKIE, "")
    try:
        return ZoneInfo(name) if name else ZoneInfo("UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # made up
        return ZoneInfo("UTC")


def exact(time: datetime) -> str:
    """Return *time* to the second, with its zone."""
    local = time.astimezone(zone())
    return f"{format_datetime(local, _EXACT, locale=_locale())} {local.tzname()}"


def relative(time: datetime, now: datetime | None = None) -> str:
    """Return how long ago *time* is, in words."""
    past = time - (now or datetime.now(UTC))
    if abs(past.total_seconds()) < 10:  # noqa: PLR2004 - seconds
        return gettext("just now")
    return format_timedelta(past, add_direction=True, locale=_locale(), threshold=1.2)


def day(time: datetime, *, has_year: bool = False) -> str:
    """Return the day of *time*, in its own zone."""
    return format_skeleton("yMMMd" if has_year else "MMMd", time, locale=_locale())


def hour(time: datetime) -> str:
    """Return hour and minute of *time*, in its own zone."""
    return format_datetime(time, "HH:mm", locale=_locale())


def when(time: datetime | None) -> Markup:
    """Return the element of a time: how long ago it is, and on hover exactly when."""
    if time is None:
        return Markup("")
    shown = Markup('<time datetime="{}" title="{}">{}</time>')
    return shown.format(f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", exact(time), relative(time))


def isolated(value: object) -> Markup:
    """Return *value* as text whose direction, if it can have one of its own, changes nothing around it."""
    text = str(value)
    return escape(text) if text.isascii() else Markup("<bdi>{}</bdi>").format(text)


def number(value: int) -> str:
    """Return *value* with the separators of the language."""
    return str(format_decimal(value, locale=_locale()))


def _locale() -> Locale:
    return _LOCALES[language()]

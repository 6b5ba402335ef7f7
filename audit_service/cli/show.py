"""Events and figures for people on a terminal, and as JSON for programs."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec

from audit_service.cli.table import lines_of
from audit_service.events.kinds import erased_fields
from audit_service.values.when import ago
from audit_service.vocabulary import Action, Outcome

ERASED = "(erased)"  # in the place of what was

_WHAT = ("kind", "action", "outcome", "reason", "target", "exception_type", "endpoint")  # those that an event has


class View(msgspec.Struct, frozen=True, kw_only=True):
    """How a command shows what it found: a table on a terminal, else, or when *as_json* is asked for, JSON.

    *columns* are those of a table of events; times are shown in *zone*.
    """

    columns: tuple[str, ...] = ()
    zone: ZoneInfo
    as_json: bool = False

    @property
    def is_table(self) -> bool:
        """Whether there is a terminal, and no JSON was asked for."""
        return sys.stdout.isatty() and not self.as_json

    def events(self, items: Iterable[Any], now: datetime, *, has_heading: bool = True) -> None:
        """Print events, in their order. The table says how long ago each was at *now*."""
        if not self.is_table:
            for item in items:
                echo_json(item)
            return
        items = list(items)
        if not items:
            return
        rows = [[self._cell(item, column, now) for column in self.columns] for item in items]
        heading, *lines = lines_of([self.columns, *rows])
        if has_heading:
            click.echo(heading)
        for line, item in zip(lines, items, strict=True):
            click.echo(styled(line, colour_of(item)))

    def _cell(self, item: Any, column: str, now: datetime) -> object:
        if column == "timestamp":
            return f"{self.time(item.timestamp)} ({ago(item.timestamp, now)})"
        if column == "who":
            name = getattr(item, "username", None) or getattr(item, "actor", None)
            return ERASED if name is None and erased_fields(item) else name
        if column == "what":
            return " ".join(filter(None, (getattr(item, name, None) for name in _WHAT)))
        content = getattr(item, column)
        return ERASED if content is None and column in erased_fields(item) else content

    def time(self, time: datetime) -> str:
        """Return *time* in the zone, to the second."""
        return time.astimezone(self.zone).isoformat(" ", "seconds").replace("+00:00", "Z")


def echo_json(value: object) -> None:
    """Print *value* as JSON: in one line for programs, indented on a terminal."""
    text = msgspec.json.encode(value)
    click.echo(msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text)


def echo_lines(lines: dict[str, str]) -> None:
    """Print texts with their names before them."""
    width = max(map(len, lines))
    for name, text in lines.items():
        click.echo(f"{name:{width}}  {text}")


def colour_of(item: Any) -> str | None:
    """Return the colour of an event on a terminal."""
    if getattr(item, "outcome", None) == Outcome.FAILURE or hasattr(item, "exception_type"):
        return "red"
    return "green" if getattr(item, "action", None) == Action.LOGIN else None


def styled(line: str, colour: str | None) -> str:
    """Return *line* in a colour, unless ``NO_COLOR`` (no-color.org) or a dumb terminal forbids it."""
    if colour is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return line
    return click.style(line, fg=colour)


def echo_span(since: datetime | None, until: datetime | None, zone: ZoneInfo) -> None:
    """Say on standard error which time was looked at, and in which zone, if it was bounded."""
    bounds = (("since", since), ("until", until))
    said: Sequence[str] = [f"{word} {time.astimezone(zone).isoformat(' ', 'seconds')}" for word, time in bounds if time]
    if said:
        click.echo(f"{' '.join(said)} ({zone.key})", err=True)

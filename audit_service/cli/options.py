"""The API's parameters as options of a command, with the same errors; times may be words."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec
from werkzeug.datastructures import MultiDict

from audit_service.cli.text import TEXT
from audit_service.errors import ParameterError
from audit_service.events.operators import Operator, split
from audit_service.history.parameters import parse
from audit_service.history.summing import TimeZone
from audit_service.values.typed import description_of, title_of
from audit_service.values.when import WHEN, parse_when

TIMES = ("since", "until")

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on a terminal, too; indented there.")


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """In which zone times are given and shown."""

    tz: TimeZone = "UTC"


def options(*kinds: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each field of the structs *kinds*; one for a list may be repeated."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed([field for kind in kinds for field in msgspec.structs.fields(kind)]):
            meaning = description_of(field.type).replace("`", "")
            if split(field.name)[1] is Operator.NOT:
                meaning = f"everything but {meaning}"
            title = WHEN if field.name in TIMES else title_of(field.type).replace("`", "")
            default = "" if field.default in ([], None, msgspec.NODEFAULT) else f" Default: {field.default}."
            command = click.option(
                f"--{field.name.replace('_', '-')}",
                field.name,
                type=TEXT,
                multiple=True,  # of each: one that may be given once is refused when it is given twice
                metavar="TEXT",
                help=f"{meaning[:1].upper()}{meaning[1:]}: {title}.{default}",
            )(command)
        return command

    return add


def read_options(given: dict[str, Any], *kinds: type[Any]) -> list[Any]:
    """Return a struct of each of *kinds* with what was *given*. Raises ``click.UsageError`` that names the option.

    Words for times are replaced in *given* by the times that they mean now, in the zone of ``--tz``.
    """
    if "tz" in given:
        (zone,) = _read({"tz": given["tz"]}, Zone)
        for name in given.keys() & set(TIMES):
            given[name] = tuple(_when(name, text, ZoneInfo(zone.tz)) for text in given[name])
    return _read(given, *kinds)


def _when(name: str, text: str, zone: ZoneInfo) -> str:
    try:
        time = parse_when(text, zone, datetime.now(UTC))
    except ValueError as error:
        raise click.UsageError(f"--{name}: {name} {error}") from None
    return time.isoformat().replace("+00:00", "Z")


def _read(given: dict[str, Any], *kinds: type[Any]) -> list[Any]:
    fields = {field.name: field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    values = [(fields[name], value) for name, values in given.items() for value in values]
    try:
        return parse(MultiDict(values), *kinds)
    except ParameterError as error:
        option = next(name for name, parameter in fields.items() if parameter == error.parameter).replace("_", "-")
        raise click.UsageError(f"--{option}: {error.detail}") from None

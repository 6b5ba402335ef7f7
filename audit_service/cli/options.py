"""The API's parameters as options of a command, by the same names and with the same errors."""

from collections.abc import Callable
from typing import Any

import click
import msgspec
from werkzeug.datastructures import MultiDict

from audit_service.cli.text import TEXT
from audit_service.errors import ParameterError
from audit_service.history.parameters import parse
from audit_service.values.typed import description_of, title_of


def options(*kinds: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each field of the structs *kinds*; one for a list may be repeated."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed([field for kind in kinds for field in msgspec.structs.fields(kind)]):
            meaning = description_of(field.type).replace("`", "")
            title = title_of(field.type).replace("`", "")
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
    """Return a struct of each of *kinds* with what was *given*. Raises ``click.UsageError`` that names the option."""
    fields = {field.name: field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    values = [(fields[name], value) for name, values in given.items() for value in values]
    try:
        return parse(MultiDict(values), *kinds)
    except ParameterError as error:
        option = next(name for name, parameter in fields.items() if parameter == error.parameter).replace("_", "-")
        raise click.UsageError(f"--{option}: {error.detail}") from None

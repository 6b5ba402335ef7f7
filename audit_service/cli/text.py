"""Text that a user gives to a command: what is no valid text is refused, in one line that names it."""

import click


class _Text(click.ParamType):  # type: ignore[type-arg]  # generic in some releases only
    """Bytes of an argument that are not UTF-8 arrive as lone surrogates (PEP 383), which no database stores."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return valid_text(value, param.get_error_hint(ctx) if param and ctx else "the argument")


TEXT = _Text()


def valid_text(text: str, what: str) -> str:
    """Return *text*; raise ``click.ClickException`` that says *what* it is if it cannot be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.ClickException(f"{what} is no valid text: give it in UTF-8") from None
    return text

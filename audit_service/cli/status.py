"""The command that tells how an app's trail is set up."""

import click
from flask import current_app

from audit_service.cli.show import echo_lines
from audit_service.operations.status import status_of


@click.command()
def status() -> None:
    """Show where the trail of this app is, its revision, its events, and which signals and adapters are connected."""
    echo_lines(status_of(current_app._get_current_object()))  # type: ignore[attr-defined]  # noqa: SLF001 - the app itself

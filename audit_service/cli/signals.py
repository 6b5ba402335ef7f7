"""The command that lists the signals of an app."""

import click
from flask import current_app

from audit_service.cli.table import echo_table
from audit_service.operations.signals import find_signals, receivers_of


@click.command()
def signals() -> None:
    """List the signals of this app and of the libraries that it imports, with their receivers.

    The receivers of an adapter are listed if its library is set up before LoginAudit; else they are connected with the
    first request of a process.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the app itself
    rows = []
    for found in find_signals():
        first, *others = receivers_of(found.signal, app) or ["-"]
        rows += [(found.module, found.name, first), *(("", "", other) for other in others)]
    echo_table(("module", "signal", "receivers"), rows)

"""``flask audit``: the commands in the command line of an app, for the database and the settings of that app."""

import click
from flask.cli import with_appcontext

from audit_service.cli import (
    bundle,
    erase,
    export,
    history,
    imports,
    server,
    signals,
    spool,
    status,
    tokens,
    trail,
    verify,
)
from audit_service.cli.main import OneLineErrors


@click.group("audit", cls=OneLineErrors)
@with_appcontext
def audit() -> None:
    """The login audit trail of this app."""


audit.add_command(status.status)
audit.add_command(signals.signals)
audit.add_command(server.migrate)
audit.add_command(tokens.tokens)
audit.add_command(history.history)
audit.add_command(export.export)
audit.add_command(imports.import_)
audit.add_command(spool.spool)
audit.add_command(trail.trail)
audit.add_command(trail.sign)
audit.add_command(bundle.bundle)
audit.add_command(erase.erase)
audit.add_command(verify.verify)

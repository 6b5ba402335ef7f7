"""The group ``audit-service`` and how its errors look: one line, exit status 1."""

import errno
import sqlite3
from typing import Any

import click

from audit_service.cli import accounts, export, history, server, spool, tokens
from audit_service.errors import AuditError
from audit_service.outages import DATABASE_ERRORS, driver_error


class OneLineErrors(click.Group):
    """A group whose commands answer with one line for what a user can mend; a traceback is for our own faults."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AuditError as error:
            raise click.ClickException(str(error)) from None
        except sqlite3.Error as error:
            raise click.ClickException(f"the spool cannot be used: {error}") from None
        except DATABASE_ERRORS as error:
            reason = str(driver_error(error)).strip().splitlines()[0]
            raise click.ClickException(f"the database (AUDIT_DATABASE_URL) refused: {reason}") from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has left: click ends quietly
                raise
            raise click.ClickException(f"the output cannot be written: {error.strerror}") from None


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audit-service")
def main() -> None:
    """Login audit service: a durable trail of who logged in. Settings are AUDIT_* variables; see the README."""


main.add_command(server.setup)
main.add_command(server.migrate)
main.add_command(server.serve)
main.add_command(accounts.accounts)
main.add_command(tokens.tokens)
main.add_command(history.history)
main.add_command(export.export)
main.add_command(spool.spool)

"""The group ``audit-service`` and how its errors look: one line, exit status 1."""

import errno
import sqlite3
from pathlib import Path
from typing import Any

import click

from audit_service.cli import (
    accounts,
    bundle,
    demo,
    erase,
    export,
    history,
    imports,
    server,
    spool,
    tokens,
    trail,
    verify,
    witness,
)
from audit_service.cli.connection import current_settings
from audit_service.errors import INSTALL_SERVICE, AuditError
from audit_service.settings.table import Settings
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.outages import DATABASE_ERRORS, driver_error, is_outage

_PACKAGE = Path(__file__).parent.parent
# In the wheel the documents are inside the package, in a checkout beside it.
_DOCUMENTS = next((path for path in (_PACKAGE / "docs", _PACKAGE.parent / "docs") if path.is_dir()), "the repository")
_OF_THE_SERVICE = ("argon2", "flask_sqlalchemy", "granian", "uvloop", "zxcvbn")


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
            raise click.ClickException(_about_database(error, current_settings())) from None
        except ModuleNotFoundError as error:
            if error.name not in _OF_THE_SERVICE:
                raise
            raise click.ClickException(f"this needs {error.name}: {INSTALL_SERVICE}") from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has left: click ends quietly
                raise
            raise click.ClickException(f"the output cannot be written: {error.strerror}") from None


def _about_database(error: Exception, settings: Settings) -> str:
    """Name the database, but not its password, what it says, and what to do."""
    reason = str(driver_error(error)).strip().splitlines()[0]
    setting = "AUDIT_DATA_DIR" if settings.is_embedded else "AUDIT_DATABASE_URL"
    if not is_outage(error):
        remedy = f"see that {setting} names the right one, and that the user may do this"
    elif is_sqlite(settings.url):
        remedy = "see that its folder exists, that you may write there, and that nothing else locks it"
    else:
        remedy = "see that it runs, and that this machine and user may connect"
    url = settings.url.set(query={})  # where a password may stand, too
    return f"the database {url} ({setting}) refused: {reason}; {remedy}"


@click.group(
    cls=OneLineErrors,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nThe documents are in\n{_DOCUMENTS}",
)
@click.version_option(package_name="audit-service")
def main() -> None:
    """Login audit service: a durable trail of logins. Settings are AUDIT_* variables."""


main.add_command(server.setup)
main.add_command(server.migrate)
main.add_command(server.serve)
main.add_command(demo.demo)
main.add_command(accounts.accounts)
main.add_command(tokens.tokens)
main.add_command(history.history)
main.add_command(export.export)
main.add_command(imports.import_)
main.add_command(spool.spool)
main.add_command(trail.trail)
main.add_command(trail.sign)
main.add_command(bundle.bundle)
main.add_command(erase.erase)
main.add_command(witness.witness)
main.add_command(verify.verify)

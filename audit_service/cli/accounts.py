"""Commands for accounts."""

import sys

import click

from audit_service.access import accounts as service
from audit_service.access import throttle
from audit_service.cli.connection import actor, change, open_session
from audit_service.cli.table import echo_table
from audit_service.cli.text import TEXT, valid_text
from audit_service.vocabulary import Role

_ROLE = click.Choice([role.value for role in Role])


@click.group()
def accounts() -> None:
    """Accounts that can log in to the service."""


@accounts.command()
@click.argument("name", type=TEXT)
@click.option(
    "--role", type=_ROLE, required=True, help="user: sees its own logins; auditor: sees all; admin: manages, too."
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, its first line.")
def add(name: str, role: str, *, password_stdin: bool) -> None:
    """Make an account.

    Asks for its password: 12 to 256 characters, not its name, and none of the most common ones.
    """
    password = _password(from_stdin=password_stdin)
    with change() as session:
        service.add_account(session, name, Role(role), password, by=actor())
    click.echo(f"made the account {name!r} with the role {role}")


@accounts.command("list")
def list_() -> None:
    """List the accounts."""
    with open_session() as session:
        rows = [
            (account.username, account.role, account.created_at, account.disabled_at)
            for account in service.list_accounts(session)
        ]
    echo_table(("username", "role", "created", "disabled"), rows)


@accounts.command()
@click.argument("name", type=TEXT)
def disable(name: str) -> None:
    """Refuse logins to an account.

    Ends its sessions at once. 'enable' undoes it.
    """
    with change() as session:
        service.disable(session, service.get_account(session, name), by=actor())
    click.echo(f"disabled the account {name!r} and ended its sessions")


@accounts.command()
@click.argument("name", type=TEXT)
def enable(name: str) -> None:
    """Undo 'disable'."""
    with change() as session:
        service.enable(session, service.get_account(session, name), by=actor())
    click.echo(f"enabled the account {name!r}")


@accounts.command("set-password")
@click.argument("name", type=TEXT)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, its first line.")
def set_password(name: str, *, password_stdin: bool) -> None:
    """Give an account another password.

    Ends its sessions at once.
    """
    with open_session() as session:
        service.get_account(session, name)
    password = _password(from_stdin=password_stdin)  # before the database is locked: typing takes long
    with change() as session:
        service.set_password(session, service.get_account(session, name), password, by=actor())
    click.echo(f"changed the password of {name!r} and ended its sessions")


@accounts.command("set-role")
@click.argument("name", type=TEXT)
@click.argument("role", type=_ROLE)
def set_role(name: str, role: str) -> None:
    """Give an account another role.

    Ends its sessions at once.
    """
    with change() as session:
        service.set_role(session, service.get_account(session, name), Role(role), by=actor())
    click.echo(f"the account {name!r} has the role {role} now; its sessions are ended")


@accounts.command("end-sessions")
@click.argument("name", type=TEXT)
def end_sessions(name: str) -> None:
    """End all sessions of an account, at once."""
    with change() as session:
        service.end_sessions(session, service.get_account(session, name), by=actor())
    click.echo(f"ended the sessions of {name!r}")


@accounts.command()
@click.argument("name", type=TEXT)
@click.option("--network", type=TEXT, help="An address or a network, such as 192.0.2.7 or 192.0.2.0/24. Default: all.")
def unlock(name: str, network: str | None) -> None:
    """Let an account log in again that is refused after too many failures.

    Failures until now do not count against it any more. Running servers know of it within 5 seconds.
    """
    with change() as session:
        lifted = throttle.lift(session, service.get_account(session, name), network, by=actor())
    click.echo(f"{name!r} may try again from {lifted or 'all networks'}")


@accounts.command()
@click.argument("name", type=TEXT)
@click.confirmation_option("--yes", prompt="The account is gone for good ('disable' can be undone). Remove it?")
def remove(name: str) -> None:
    """Remove an account.

    Ends its sessions at once. Its events stay in the history.
    """
    with change() as session:
        service.remove(session, service.get_account(session, name), by=actor())
    click.echo(f"removed the account {name!r} and ended its sessions")


def _password(*, from_stdin: bool) -> str:
    what = "the password"
    if from_stdin:
        try:
            return valid_text(sys.stdin.readline().rstrip("\r\n"), what)
        except UnicodeDecodeError:
            raise click.ClickException(f"{what} on standard input is no valid text: give it in UTF-8") from None
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password: use --password-stdin")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return valid_text(answer, what)

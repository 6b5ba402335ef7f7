"""Commands for accounts."""

import sys

import click

from audit_service.accounts import add_account, list_accounts
from audit_service.cli.connection import open_session
from audit_service.cli.table import echo_table
from audit_service.vocabulary import Role


@click.group()
def accounts() -> None:
    """Who can log in to the service."""


@accounts.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="user: sees its own logins; auditor: sees all; admin: manages, too.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, its first line.")
def add(name: str, role: str, *, password_stdin: bool) -> None:
    """Make an account.

    Asks for its password: 12 to 256 characters.
    """
    with open_session(writes=True) as session:
        add_account(session, name, Role(role), _password(from_stdin=password_stdin))
    click.echo(f"made the account {name!r} with the role {role}")


@accounts.command("list")
def list_() -> None:
    """List the accounts."""
    with open_session() as session:
        rows = [(account.username, account.role, account.created_at) for account in list_accounts(session)]
    echo_table(("username", "role", "created"), rows)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password: use --password-stdin")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer

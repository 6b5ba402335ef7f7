"""Commands for tokens."""

from datetime import UTC, datetime, timedelta

import click

from audit_service.access.tokens import add_token, list_tokens, revoke_token
from audit_service.cli.connection import actor, change, open_session
from audit_service.cli.table import echo_table
from audit_service.cli.text import TEXT
from audit_service.values import limits
from audit_service.vocabulary import Scope


@click.group()
def tokens() -> None:
    """Tokens, with which other programs read the history or report logins."""


@tokens.command()
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    required=True,
    help="read: reads the whole history; report: reports logins that another app has checked.",
)
@click.option("--name", type=TEXT, required=True, help="What it is for; names it in 'tokens list' and 'tokens revoke'.")
@click.option("--days", type=click.IntRange(1, limits.TOKEN_DAYS), help="Days after which it expires. Default: never.")
def add(scope: str, name: str, days: int | None) -> None:
    """Make a token and print it, and nothing else. It cannot be shown again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with change() as session:
        click.echo(add_token(session, name, Scope(scope), by=actor(), expires_at=expires_at))


@tokens.command("list")
def list_() -> None:
    """List the tokens, without their secrets."""
    with open_session() as session:
        rows = [
            (token.name, token.scope, token.created_at, token.expires_at, token.last_used_at, token.revoked_at)
            for token in list_tokens(session)
        ]
    echo_table(("name", "scope", "created", "expires", "last used", "revoked"), rows)


@tokens.command()
@click.argument("name", type=TEXT)
@click.confirmation_option("--yes", prompt="Whatever uses this token stops working, for good. Revoke it?")
def revoke(name: str) -> None:
    """Make a token worthless, at once and for good."""
    with change() as session:
        revoke_token(session, name, by=actor())
    click.echo(f"revoked the token {name!r}")

"""Looks at the history from the command line are recorded, as those by the API are."""

from typing import Any

import click

from audit_service.cli.connection import actor, change
from audit_service.storage.outages import DATABASE_ERRORS, driver_error
from audit_service.trail.append import append_within
from audit_service.trail.looks import question_details
from audit_service.vocabulary import AdminAction


def record_look(action: AdminAction, target: str, given: dict[str, Any]) -> None:
    """Record the look and its options. If that fails the history is shown all the same."""
    try:
        with change(quiet=True) as session:
            append_within(session.connection(), [actor().did(action, target, question_details(given))])
    except DATABASE_ERRORS as error:
        click.echo(f"this look could not be recorded: {str(driver_error(error)).strip().splitlines()[0]}", err=True)

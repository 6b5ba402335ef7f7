"""Changes of accounts and tokens, looks at the history, starts and stops of recording: as sentences."""

from typing import Any

from werkzeug.wrappers import Response as AnyResponse

from audit_service.access.viewer import record_reading, viewer_for
from audit_service.events.admin import ADMIN_EVENTS
from audit_service.pages.blueprint import blueprint
from audit_service.pages.reading import read_listing
from audit_service.pages.sentences import LOOKS, OF_ACCOUNTS, OF_TOKENS, rest, sentence
from audit_service.pages.tables import Quick, list_page
from audit_service.web.language import gettext


@blueprint.get("/changes/")
def list_changes() -> AnyResponse:
    """Show the list."""
    viewer = viewer_for(auditors_only=True)
    listing = read_listing(ADMIN_EVENTS, owner=None)
    record_reading(viewer)
    return list_page(
        "changes.html",
        viewer,
        listing,
        sentence=sentence,
        rest=rest,
        kinds=_kinds(),
        of_accounts=OF_ACCOUNTS,
        of_tokens=OF_TOKENS,
    )


def _kinds() -> list[Quick]:
    """Return the quick choices of ``action``."""
    choices: tuple[tuple[str, tuple[Any, ...]], ...] = (
        (gettext("Accounts"), OF_ACCOUNTS),
        (gettext("Tokens"), OF_TOKENS),
        (gettext("Looks at the history"), LOOKS),
    )
    return [(words, {"action": [action.value for action in actions]}) for words, actions in choices]

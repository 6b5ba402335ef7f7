"""The addresses of the API among those of a host app."""

import re

from flask import Flask
from werkzeug.routing import Rule

from audit_service.api.operations import blueprint
from audit_service.errors import NotConfiguredError

_VARIABLE = re.compile("<[^>]*>")


def require_own_addresses(app: Flask) -> None:
    """Raise ``NotConfiguredError`` if *app* has a rule of its own for an address of the API; it names both."""
    ours: dict[str, Rule] = {}
    others: dict[str, Rule] = {}
    for rule in app.url_map.iter_rules():
        is_ours = rule.endpoint.startswith(f"{blueprint.name}.")
        (ours if is_ours else others)[_VARIABLE.sub("<>", rule.rule)] = rule
    for address in ours.keys() & others.keys():
        raise NotConfiguredError(
            f"{ours[address].rule} of the audit trail's API is an address of the app, too: of its endpoint "
            f"{others[address].endpoint!r}. "
            "Put the API elsewhere, LoginAudit(app, api='/audit/api'), or leave it out, api=None"
        )

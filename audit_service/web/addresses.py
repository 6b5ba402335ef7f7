"""The addresses of the API and of the pages among those of a host app."""

import re

from flask import Flask
from werkzeug.routing import Rule

from audit_service.errors import NotConfiguredError

_VARIABLE = re.compile("<[^>]*>")
_API = "API", "Put the API elsewhere, LoginAudit(app, api='/audit/api'), or leave it out, api=None"
_PAGES = "pages", "Put the pages elsewhere, such as LoginAudit(app, pages='/audit')"
_OURS = {"audit_api": _API, "audit_pages": _PAGES, "audit_web": _PAGES}  # by the names of blueprints


def require_own_addresses(app: Flask) -> None:
    """Raise ``NotConfiguredError`` if *app* has a rule of its own for an address of ours; it names both."""
    ours: dict[str, Rule] = {}
    others: dict[str, Rule] = {}
    for rule in app.url_map.iter_rules():
        is_ours = rule.endpoint.partition(".")[0] in _OURS
        (ours if is_ours else others)[_VARIABLE.sub("<>", rule.rule)] = rule
    for address in ours.keys() & others.keys():
        what, remedy = _OURS[ours[address].endpoint.partition(".")[0]]
        raise NotConfiguredError(
            f"{ours[address].rule} of the audit trail's {what} is an address of the app, too: of its endpoint "
            f"{others[address].endpoint!r}. {remedy}"
        )

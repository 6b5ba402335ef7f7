"""The pages that the service has and a host app has not: it has no accounts of ours."""

from flask import Flask

from audit_service.pages import accounts, tokens
from audit_service.pages.blueprint import blueprint
from audit_service.pages.managing import NameConverter

_NAME = "<audit_name:name>"
_RULES = (
    ("GET", "/accounts/", accounts.list_accounts),
    ("POST", "/accounts/", accounts.add_account),
    ("GET", f"/accounts/{_NAME}", accounts.show_account),
    ("POST", f"/accounts/{_NAME}", accounts.change_account),
    ("GET", "/tokens/", tokens.list_tokens),
    ("POST", "/tokens/", tokens.add_token),
    ("GET", f"/tokens/{_NAME}", tokens.show_token),
    ("POST", f"/tokens/{_NAME}", tokens.revoke_token),
)


def add_pages(app: Flask) -> None:
    """Add them to the pages that *app* has: the endpoints are the blueprint's, and so what it does to all its own."""
    app.url_map.converters["audit_name"] = NameConverter
    for method, rule, view in _RULES:
        endpoint = f"{blueprint.name}.{view.__name__}"
        app.add_url_rule(
            rule, endpoint, view, methods=[method], merge_slashes=False, strict_slashes=not rule.endswith("/")
        )

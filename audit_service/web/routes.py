"""Blueprints whose addresses answer themselves: none of them redirects to another spelling of it."""

from typing import Any

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from flask.sansio.app import App


class PlainBlueprint(Blueprint):
    """A blueprint whose addresses with a slash at their end answer without it, too; slashes are never merged.

    The router would redirect with 307 or 308, which make a client send everything again, passwords and tokens too, to
    an address made of the ``Host`` header and of the scheme that is seen here: in clear, where a proxy that speaks
    https is not declared. The options go with each rule, so a host app's other addresses keep their behaviour.
    """

    def make_setup_state(
        self,
        app: App,
        options: dict[str, Any],
        first_registration: bool = False,  # noqa: FBT001, FBT002 - Flask's
    ) -> BlueprintSetupState:
        """Return what adds the rules, those of static files too."""
        return _PlainSetup(self, app, options, first_registration)


class _PlainSetup(BlueprintSetupState):
    def add_url_rule(self, rule: str, *arguments: Any, **options: Any) -> None:
        options["merge_slashes"] = False
        if rule.endswith("/"):
            options["strict_slashes"] = False
        super().add_url_rule(rule, *arguments, **options)

"""What the templates of lists and of single events need besides the events themselves."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from audit_service.context import Viewer
from audit_service.events.base import NewEvent
from audit_service.events.kinds import erased_fields
from audit_service.pages.blueprint import page
from audit_service.pages.devices import device
from audit_service.pages.forms import label
from audit_service.pages.links import address_of
from audit_service.pages.listing import SIZES, Listing, quoted
from audit_service.pages.proofs import reach
from audit_service.web.display import isolated, zone
from audit_service.web.language import gettext

Quick = tuple[str, dict[str, Any]]  # words, and the parameters that they change


def list_page(template: str, viewer: Viewer, listing: Listing, **values: Any) -> AnyResponse:
    """Answer with the page of a *listing*, 400 if something is wrong with what is asked."""
    status = 400 if listing.error else 200
    return page(template, viewer, status, listing=listing, reach=reach(), sizes=SIZES, **table_values(), **values)


def table_values() -> dict[str, Any]:
    """Return what the macros of tables need."""
    return {
        "address_of": address_of,
        "device": device,
        "erased": erased,
        "isolated": isolated,
        "label": label,
        "now": datetime.now(UTC),
        "quoted": quoted,
        "spans": _spans(),
    }


def erased(name: str, item: NewEvent) -> Markup:
    """Return what is shown for the field *name* of *item* if it is null because it was erased; else nothing."""
    if name not in erased_fields(item):
        return Markup("")
    return Markup('<span class="muted">{}</span>').format(gettext("(erased)"))


def as_json(item: NewEvent) -> str:
    """Return *item* as a browser gets it from the API."""
    return msgspec.json.format(msgspec.json.encode(item), indent=2).decode()


def _spans() -> list[Quick]:
    """Return the quick choices of ``since``."""
    month = f"{datetime.now(zone()):%Y-%m}-01"
    choices = (
        (gettext("Last hour"), "1h"),
        (gettext("Last day"), "24h"),
        (gettext("Last week"), "7d"),
        (gettext("This month"), month),
    )
    return [(words, {"since": span, "until": None}) for words, span in choices]

"""The language of pages and of sentences for people: English, or Chinese when the reader prefers it.

The texts in the code are English, and are looked up in a catalogue (gettext). Babel is used, and not Flask-Babel: an
app that has its own keeps it as it is.
"""

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from flask import has_request_context, request
from markupsafe import Markup

if TYPE_CHECKING:
    from babel.support import Translations

LANGUAGES = {"en": "English", "zh": "中文"}
COOKIE = "audit_language"
_KNOWN = "audit_service.language"
_CATALOGUES = Path(__file__).parent / "translations"


def language() -> str:
    """Return the language of the current request: the one that was chosen, else what ``Accept-Language`` prefers."""
    if not has_request_context():
        return "en"
    if _KNOWN not in request.environ:  # a page asks a thousand times
        chosen = request.cookies.get(COOKIE)
        wanted = chosen if chosen in LANGUAGES else request.accept_languages.best_match(LANGUAGES, "en")
        request.environ[_KNOWN] = wanted or "en"
    known: str = request.environ[_KNOWN]
    return known


def gettext(text: str, **values: object) -> str:
    """Return *text* in the language of the request, with *values* for its ``%(name)s``.

    If one of them is markup, the whole is, and the other values are escaped.
    """
    found = _texts(language()).gettext(text) if language() != "en" else text
    if any(isinstance(value, Markup) for value in values.values()):
        found = Markup(found)  # noqa: S704 - from the code or the catalogue
    return found % values if values else found


def ngettext(one: str, many: str, number: int, **values: object) -> str:
    """Return *one* or *many*, as the *number* asks for, in the language of the request; ``%(number)s`` is known."""
    found = _texts(language()).ngettext(one, many, number) if language() != "en" else one if number == 1 else many
    return found % {"number": number, **values}


def later(text: str) -> str:
    """Mark *text* for the catalogue; ``gettext`` translates it where it is shown."""
    return text


@lru_cache
def _texts(name: str) -> "Translations":
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - pages only
    from babel.messages.pofile import read_po  # noqa: PLC0415
    from babel.support import Translations  # noqa: PLC0415

    compiled = BytesIO()
    with (_CATALOGUES / name / "LC_MESSAGES" / "messages.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=name))
    compiled.seek(0)
    return Translations(compiled)

"""``make catalogue``: bring the catalogues to the texts of the code; with ``--check``, only say what they lack.

Texts are those of ``gettext``, ``ngettext`` and ``later`` in the code, of ``_`` in templates, and the words of the
vocabulary, which pages show.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from audit_service import vocabulary
from audit_service.web.language import LANGUAGES

PACKAGE = Path(vocabulary.__file__).parent
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS: dict[str, tuple[int, ...] | None] = {"gettext": None, "_": None, "later": None, "ngettext": (1, 2)}


def texts() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Yield each text of the package, and where it stands."""
    for name, _line, text, _comments, _context in extract_from_dir(
        PACKAGE, METHODS, {"**.html": {"trimmed": "true"}}, keywords=KEYWORDS
    ):
        yield text, name
    for enum in (
        vocabulary.Action,
        vocabulary.Outcome,
        vocabulary.Reason,
        vocabulary.Role,
        vocabulary.Scope,
        vocabulary.AdminAction,
    ):
        for word in enum:
            yield word.value.replace("_", " "), "vocabulary.py"


def path_of(language: str) -> Path:
    return PACKAGE / "web" / "translations" / language / "LC_MESSAGES" / "messages.po"


def read(language: str) -> Catalog:
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language)


def is_translated(message: Message) -> bool:
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    return all(strings) and not message.fuzzy


def check(language: str, wanted: Catalog) -> list[str]:
    """Return what is wrong with a catalogue: texts that it lacks, does not translate, or has in vain."""
    catalogue = read(language)
    found = []
    for message in wanted:
        if message.id:
            known = catalogue.get(message.id)
            if known is None or not is_translated(known):
                found.append(f"{language}: not translated: {message.id!r} ({message.locations[0][0]})")
            else:
                found += [f"{language}: {message.id!r}: {error}" for error in known.check(catalogue)]
    return found + [f"{language}: stale: {each.id!r}" for each in catalogue if each.id and wanted.get(each.id) is None]


def update(language: str, wanted: Catalog) -> None:
    """Add what a catalogue lacks, to be translated, and remove what is stale."""
    catalogue = read(language)
    catalogue.update(wanted, no_fuzzy_matching=True, update_header_comment=False)
    with path_of(language).open("wb") as file:
        write_po(
            file, catalogue, width=120, sort_output=True, ignore_obsolete=True, no_location=True, omit_header=False
        )


def main() -> None:
    wanted = Catalog()
    for text, name in texts():
        wanted.add(text, locations=[(name, 1)])
    languages = [language for language in LANGUAGES if language != "en"]
    if "--check" in sys.argv:
        faults = [fault for language in languages for fault in check(language, wanted)]
        click.echo("\n".join(faults) or f"{len(wanted)} texts are translated")
        sys.exit(bool(faults))
    for language in languages:
        update(language, wanted)


if __name__ == "__main__":
    main()

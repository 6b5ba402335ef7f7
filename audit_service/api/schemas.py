"""JSON Schemas for the OpenAPI document, made of the types that check the parameters and make the answers."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from audit_service.api.queries import PLUS
from audit_service.events.operators import Operator
from audit_service.values import limits

REFERENCE = "#/components/schemas/{name}"
# What no parameter may hold, as in ``text.fit``; ECMA 262 knows these escapes, and beyond U+FFFF the characters alone.
_UNSEEN = r"\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff" + "\U000e0000-\U000e007f"
_SEEN = rf"[^\u0000-\u001f\u007f-\u009f{_UNSEEN}]"
VISIBLE = rf"^{_SEEN}*$"
MEMBER = rf"^{_SEEN.replace('[^', '[^=')}+={_SEEN}*$"
# A time that stays one in UTC: RFC 3339 allows the leap second and the years 0000 to 9999, calendars do not.
TIME = (
    r"^(000[2-9]|00[1-9]\d|0[1-9]\d\d|[1-8]\d{3}|9[0-8]\d\d|99[0-8]\d|999[0-8])-.*:[0-5]\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"
)
_GENERIC = re.compile("^([A-Za-z]+)_([A-Za-z]+)_$")
_FORMATS = {"remote_addr": "ip-or-network", "tz": "time-zone", "cursor": "cursor"}
_TIMES = ("timestamp", "recorded_at", "since", "until", "first", "last")


def schemas(taken: Iterable[type[Any]], answered: Iterable[Any]) -> dict[str, Any]:
    """Return the schemas of all types that are *answered*, and of the vocabularies of the parameters that are *taken*.

    What is answered may be a generic type with its argument; types that need no schema of their own are left out.
    """
    taken = list(taken)
    _, found = msgspec.json.schema_components((*taken, *answered), ref_template=REFERENCE)
    structs = {kind.__name__ for kind in taken}
    return {
        _named(name): _answer({**schema, "title": _named(name)})
        for name, schema in found.items()
        if name not in structs
    }


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the schema of a type; for one that is among the ``schemas`` this refers there."""
    ((schema,), _) = msgspec.json.schema_components((kind,), ref_template="{name}")
    return {"$ref": REFERENCE.format(name=_named(schema["$ref"]))} if "$ref" in schema else schema


def _named(name: str) -> str:
    """Return a better name for a generic type with its argument than msgspec's: not ``Page_LoginItem_``."""
    return _GENERIC.sub(r"\2\1", name)


def parameters(*kinds: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return the fields of the structs as parameters; a list is a parameter that may be repeated."""
    _, found = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    return [
        _parameter(name, schema, is_required=name in found[kind.__name__]["required"])
        for kind in kinds
        for name, schema in found[kind.__name__]["properties"].items()
    ]


def _parameter(name: str, schema: dict[str, Any], *, is_required: bool) -> dict[str, Any]:
    given = {key: value for key, value in schema.items() if key != "default" or value not in (None, [])}
    options = [option for option in given.pop("anyOf", []) if option.get("type") != "null"]
    given = {**given, **(options[0] if options else {})}
    value = given.get("items", given)
    if given.get("type") == "array":
        given["maxItems"] = limits.FILTER_VALUES
    meaning = f"{value.pop('description')}: {value.pop('title')}"
    if name.endswith(Operator.NOT):
        meaning = f"everything but {meaning}"
    if value.get("format") == "date-time":
        value["pattern"] = TIME
        meaning += f" ({PLUS})"
    elif (field := name.removesuffix(Operator.NOT)) in _FORMATS:
        value["format"] = _FORMATS[field]
    elif name == "details":
        value["pattern"] = MEMBER
    elif value.get("type") == "string":
        value["pattern"] = VISIBLE
    return {"name": name, "in": "query", "required": is_required, "description": meaning, "schema": given}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    """Answers have all their fields, but for ``parameter`` of a problem."""
    schema = {**schema, "description": schema["description"].replace("``", "`")}
    if "properties" not in schema:
        return {"type": "string", **schema}
    fields = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in schema["properties"].items()
    }
    for name in fields.keys() & _TIMES:
        fields[name]["format"] = "date-time"
    return {**schema, "properties": fields, "required": _always(fields)}


def _always(fields: Iterable[str]) -> list[str]:
    return [name for name in fields if name != "parameter"]

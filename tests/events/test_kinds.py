"""The descriptions of the kinds of events agree with the tables and within themselves."""

import pytest

from audit_service.events.base import EventFilters, Kind
from audit_service.events.kinds import KINDS
from audit_service.events.operators import split
from audit_service.storage.models import table_of

TIMES = {"since", "until"}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@every_kind
def test_the_fields_are_the_columns(kind: Kind) -> None:
    assert set(kind.item.__struct_fields__) == set(table_of(kind).columns.keys())
    assert set(kind.item.__struct_fields__) - set(kind.new.__struct_fields__) == {"seq", "recorded_at"}


@every_kind
def test_what_is_filtered_shown_and_owned_are_fields(kind: Kind) -> None:
    fields = set(kind.item.__struct_fields__)
    assert {split(name)[0] for name in kind.filters.__struct_fields__} - TIMES <= fields
    assert set(kind.columns) <= fields
    assert kind.owner is None or kind.owner in fields


@every_kind
def test_filters_that_have_an_index_find_it(kind: Kind) -> None:
    assert {*kind.indexed, *kind.indexed_words} <= set(kind.filters.__struct_fields__) - TIMES
    assert {f"{name}{ending}" for name in kind.folded for ending in ("_i", "_prefix")} <= set(
        kind.filters.__struct_fields__
    )
    indexes = table_of(kind).indexes
    assert set(kind.indexed) <= {index.columns.keys()[0] for index in indexes}
    words = {f"{name} = '{word}'" for name, word in kind.indexed_words.items()}
    assert words <= {str(index.dialect_options["postgresql"]["where"]) for index in indexes}


def test_names_are_told_apart() -> None:
    for attribute in ("name", "table", "collection", "new", "item", "filters"):
        assert len({getattr(kind, attribute) for kind in KINDS}) == len(KINDS)
    assert all(issubclass(kind.filters, EventFilters) for kind in KINDS)

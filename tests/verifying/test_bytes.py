"""No byte of what an entry protects can be changed unseen, and both databases give the same leaves."""

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, text

from audit_service.events.kinds import KINDS
from audit_service.proofs.entry import FORMS
from audit_service.proofs.jcs import LARGEST, jcs
from audit_service.proofs.merkle import leaf_hash
from audit_service.proving.leaves import OPENINGS_SIZE, entry_of
from audit_service.proving.rows import Event, read_rows
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent
from audit_service.verifying.blocks import Task, look_at
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.findings import Weight
from tests.verifying.trails import ADMIN, ERROR, LOGIN, Trail

SEQ = {"login": LOGIN, "error": ERROR, "admin": ADMIN}
COLUMNS = [(kind, name) for kind in KINDS for name in kind.item.__struct_fields__ if name != "seq"]


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SPACES = st.text(" \t\n\r", max_size=2)
NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST).map(lambda value: value + 0)  # no -0.0
DETAILS_OF_ALL_KINDS = st.dictionaries(
    st.text(CHARACTERS, max_size=5),
    st.recursive(
        st.none() | st.booleans() | NUMBERS | st.text(CHARACTERS, max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.mark.parametrize("backend", ["sqlite"])  # PostgreSQL refuses most of such values
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(COLUMNS), place=st.integers(0, 2**16), flip=st.integers(1, 255))
def test_any_single_byte_that_is_changed_is_found(trail: Trail, column: tuple[Any, str], place: int, flip: int) -> None:
    kind, name = column
    seq = SEQ[kind.name]
    ((stored,),) = trail.sql(f"SELECT CAST({name} AS BLOB) FROM {kind.table} WHERE seq = {seq}")
    changed = bytearray(stored or b"\x00")
    changed[place % len(changed)] ^= flip
    put = f"UPDATE {kind.table} SET {name} = CAST(:value AS TEXT) WHERE seq = {seq}"
    trail.sql(put, value=bytes(changed))
    try:
        found = found_in(trail)
    finally:
        trail.sql(put, value=stored)
    is_same = name == "details" and _is_space_only(stored, bytes(changed))
    assert found == (set() if is_same else {seq})


def found_in(trail: Trail) -> set[float | None]:
    """Return the ``seq`` of what a verifier finds in the first events."""
    with DatabaseOpener(trail.parsed)() as source:
        result = look_at(source, Task(1, ADMIN, is_tree=True))
    findings = {each.seq for each in result.findings if each.weight is not Weight.NOTE}
    return findings | {each.seq for each in result.mismatches}


def _is_space_only(one: bytes | None, other: bytes) -> bool:
    """Tell whether two texts of JSON are the same but for one kind of space that became another."""
    spaces = bytes.maketrans(b"\t\n\r", b"   ")
    return one is not None and one.translate(spaces) == other.translate(spaces)


@pytest.mark.parametrize("backend", ["postgresql"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(COLUMNS), place=st.integers(0, 2**16), other=CHARACTERS)
def test_any_single_character_that_postgresql_takes_is_found(
    trail: Trail, column: tuple[Any, str], place: int, other: str
) -> None:
    kind, name = column
    of_it = f"{kind.table} WHERE seq = {SEQ[kind.name]}"
    ((stored, type_),) = trail.sql(f"SELECT {name}::text, pg_typeof({name})::text FROM {of_it}")
    whole = stored or " "
    place %= len(whole)
    put = f"UPDATE {kind.table} SET {name} = :value::text::{type_} WHERE seq = {SEQ[kind.name]}"
    try:
        trail.sql(put, value=f"{whole[:place]}{other}{whole[place + 1 :]}")
    except psycopg.DataError:
        return  # it is no value of its type
    try:
        ((now,),) = trail.sql(f"SELECT {name}::text FROM {of_it}")
        assert found_in(trail) == (set() if now == stored else {SEQ[kind.name]})
    finally:
        trail.sql(put, value=stored)


def _spaced(draw: st.DrawFn, text: str) -> str:
    return draw(SPACES) + text + draw(SPACES)


@st.composite
def respelled(draw: st.DrawFn, value: Any) -> str:
    """JSON of a value with other spaces, another order, other escapes and other numbers, as databases may have it."""
    match value:
        case dict():
            items = draw(st.permutations(list(value.items())))
            pairs = (f"{draw(respelled(key))}:{draw(respelled(item))}" for key, item in items)
            return _spaced(draw, f"{{{','.join(pairs)}}}")
        case list():
            return _spaced(draw, f"[{','.join(draw(respelled(item)) for item in value)}]")
        case str():
            return _spaced(draw, json.dumps(value, ensure_ascii=draw(st.booleans())))
        case bool() | None:
            return _spaced(draw, json.dumps(value))
    number = Decimal(value)
    spellings = [repr(value), f"{number:f}", f"{number:e}", f"{number:E}", f"{number * 10:f}e-1"]
    return _spaced(draw, draw(st.sampled_from(spellings)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(details=DETAILS_OF_ALL_KINDS, data=st.data())
def test_details_that_are_spelled_otherwise_give_the_same_leaf(
    trail: Trail, details: dict[str, Any], data: st.DataObject
) -> None:
    put = f"UPDATE login_events SET details = :value WHERE seq = {LOGIN}"
    trail.sql(put, value=data.draw(respelled(details)))
    assert b'"details":' + jcs(details) in trail.event(LOGIN).who


AT = "2026-01-02 03:04:05.000120+00:00"
COMMON: dict[str, Any] = {"timestamp": "2026-01-02 03:04:05+00:00", "recorded_at": AT, "app": "shop"}
DETAILS = {"z": 1e-7, "\U0001f600": 1.0, "\ufb33": [True, None, 2**53], "a": {"b": 1e22, "": "J\u00fcrgen"}}
ROWS: list[tuple[Any, dict[str, Any]]] = [
    (LoginEvent, {"action": "login", "outcome": "failure", "reason": "bad_password", "username": "\u4f60"}),
    (LoginEvent, {"action": "login", "outcome": "success", "username": "ada", "remote_addr": "::ffff:192.0.2.7"}),
    (
        LoginEvent,
        {"action": "logout", "outcome": "success", "username": "", "remote_addr": "::1:2", "details": DETAILS},
    ),
    (LoginEvent, {"action": "login", "outcome": "success", "username": 'a"\\\n', "network": "2001:db8::/64"}),
    (ErrorEvent, {"exception_type": "ValueError", "fingerprint": "f" * 64, "message": "x\ty", "path": "/\u2028"}),
    (AdminEvent, {"actor": "cli:root", "action": "account_added", "details": {"n": 0.1, "m": -0.0, "k": 10**15}}),
]
GOLDEN = "5faf7ceb9291f5fac86619cbaa0e74099b46f3433fb7e2c93b746c8f95641384"


def test_the_same_events_give_the_same_leaves(engine: Engine) -> None:
    """If this fails, every log that was ever signed fails on one of the databases."""
    with engine.begin() as connection:
        for seq, (model, fields) in enumerate(ROWS, start=1):
            times = {name: datetime.fromisoformat(COMMON[name]) for name in ("timestamp", "recorded_at")}
            row = {"id": UUID(int=(1 << 80) + seq), "seq": seq, **COMMON, **times, **fields}
            connection.execute(insert(model).values(row))
        connection.execute(text("UPDATE trail_head SET size = 6"))
        events = read_rows(connection, 1, len(ROWS))
    hashes = []
    for seq, event in enumerate(events, start=1):
        assert isinstance(event, Event)
        assert event.form is FORMS[event.form.kind]
        hashes.append(leaf_hash(entry_of(event, bytes([seq]) * OPENINGS_SIZE)))
    assert hashlib.sha256(b"".join(hashes)).hexdigest() == GOLDEN

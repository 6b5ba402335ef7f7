"""No byte of what an entry protects can be changed unseen, and both databases give the same leaves."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, text

from audit_service.events.kinds import KINDS
from audit_service.proofs.entry import FORMS
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


@pytest.mark.parametrize("backend", ["sqlite"])  # PostgreSQL refuses most of such values; the rest is in the table
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
        with DatabaseOpener(trail.parsed)() as source:
            result = look_at(source, Task(1, ADMIN, is_tree=True))
    finally:
        trail.sql(put, value=stored)
    found = {each.seq for each in result.findings if each.weight is not Weight.NOTE} | {
        each.seq for each in result.mismatches
    }
    is_same = name == "details" and _is_space_only(stored, bytes(changed))
    assert found == (set() if is_same else {seq})


def _is_space_only(one: bytes | None, other: bytes) -> bool:
    """Tell whether two texts of JSON are the same but for one kind of space that became another."""
    spaces = bytes.maketrans(b"\t\n\r", b"   ")
    return one is not None and one.translate(spaces) == other.translate(spaces)


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

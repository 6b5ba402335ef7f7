"""The tamper table: what somebody can do to a history, line by line, and what a verifier says of it.

Each case has the number of its line. Those that nobody can find are here, too: they show that it is so.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import insert

from audit_service.errors import ProofError, SignerStopped
from audit_service.proofs.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from audit_service.proofs.cosignature import sign_cosignature
from audit_service.proofs.keys import Algorithm, SignerKey, new_key
from audit_service.proofs.merkle import leaf_hash, verify_inclusion
from audit_service.proofs.note import Note, Signature, parse_note, sign
from audit_service.proofs.policy import parse_policy
from audit_service.proving.leaves import entry_of, make_openings, read_leaves
from audit_service.proving.tiles import StoredTree
from audit_service.signing.lifecycle import restart_log, start_log
from audit_service.storage.log_models import TrailConfirmation
from audit_service.storage.models import LoginEvent
from audit_service.storage.schema import copy_template
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.findings import Code
from audit_service.verifying.report import Verdict
from tests.factories import AdminFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.verifying.trails import ADMIN, ERASED, ERROR, EVENTS, LOGIN, NOTICE, PLAIN, SIZES, Trail

Found = set[tuple[Code, float | None]]
NOTHING: Found = set()
CHANGED = Code.ROW_CHANGED
BAD = Code.BAD_FORM
TABLE_OF = {LOGIN: "login_events", ERROR: "error_events", ADMIN: "admin_events", PLAIN: "login_events"}


class Case(NamedTuple):
    line: str
    do: Callable[[Trail], object]
    found: Found
    only: str = ""


def to(column: str, value: object, seq: int = LOGIN) -> Callable[[Trail], object]:
    """Set a column of an event."""
    return lambda trail: trail.sql(
        f"UPDATE {TABLE_OF.get(seq, 'login_events')} SET {column} = :value WHERE seq = :seq", value=value, seq=seq
    )


def by(*statements: str) -> Callable[[Trail], object]:
    return lambda trail: trail.sql(*statements)


def in_utf8(table: str, column: str, where: str = "true") -> Callable[[Trail], object]:
    """Add a byte that is no UTF-8."""
    return by(f"UPDATE {table} SET {column} = {column} || CAST(x'ff' AS TEXT) WHERE {where}")


def in_dialect(sqlite: str, postgres: str) -> Callable[[Trail], object]:
    return lambda trail: trail.sql(postgres if trail.is_postgres else sqlite)


def later(column: str) -> Callable[[Trail], object]:
    """Move a time by a microsecond."""
    digits = f"substr({column}, 1, 25) || ((substr({column}, 26) + 1) % 10)"
    return in_dialect(
        f"UPDATE login_events SET {column} = {digits} WHERE seq = 2",
        f"UPDATE login_events SET {column} = {column} + interval '1 microsecond' WHERE seq = 2",
    )


def decomposed(trail: Trail) -> None:
    name = unicodedata.normalize("NFD", "J\u00fcrgen")
    to("username", name)(trail)


def other_id(trail: Trail) -> None:
    text = "01a2161e-708d-7259-8aa6-d2b8a08423c7"
    to("id", text if trail.is_postgres else text.replace("-", ""))(trail)


EDITS = [
    Case("1", to("username", "eve"), {(CHANGED, LOGIN)}),
    Case("2", to("remote_addr", "192.0.2.8"), {(CHANGED, LOGIN)}),
    Case("3", to("network", "192.0.3.0/24"), {(CHANGED, LOGIN)}),
    Case("4", to("action", "logout"), {(CHANGED, LOGIN)}),
    Case("5", to("outcome", "success"), {(CHANGED, LOGIN)}),
    Case("6", to("reason", "locked"), {(CHANGED, LOGIN)}),
    Case("7", to("user_agent", "Agent 2"), {(CHANGED, LOGIN)}),
    Case("8", to("method", "oauth"), {(CHANGED, LOGIN)}),
    Case("9", to("details", '{"a": 2, "b": [1.5, "x"]}'), {(CHANGED, LOGIN)}),
    Case("10", to("details", '{"a": 1, "b": [1.5, "x"], "c": null}'), {(CHANGED, LOGIN)}),
    Case("10 deep", to("details", f'{{"a":{"[" * 900}{"]" * 900}}}'), {(BAD, LOGIN)}),
    Case("11 object", to("details", "{}", PLAIN), {(CHANGED, PLAIN)}),
    Case("11 null", to("details", "null", PLAIN), {(BAD, PLAIN)}),
    Case("12", later("timestamp"), {(CHANGED, LOGIN)}),
    Case("13", later("recorded_at"), {(CHANGED, LOGIN)}),
    Case("14", to("app", "shop"), {(CHANGED, LOGIN)}),
    Case("15", to("request_id", "another"), {(CHANGED, LOGIN)}),
    Case("16", other_id, {(CHANGED, LOGIN)}),
    Case("17", to("message", "nothing", ERROR), {(CHANGED, ERROR)}),
    Case("18", by("UPDATE error_events SET traceback = traceback || ' ' WHERE seq = 3"), {(CHANGED, ERROR)}),
    Case("19", to("fingerprint", "0", ERROR), {(CHANGED, ERROR)}),
    Case("20", to("exception_type", "KeyError", ERROR), {(CHANGED, ERROR)}),
    Case("21 method", to("http_method", "POST", ERROR), {(CHANGED, ERROR)}),
    Case("21 path", to("path", "/", ERROR), {(CHANGED, ERROR)}),
    Case("21 endpoint", to("endpoint", "index", ERROR), {(CHANGED, ERROR)}),
    Case("22", to("actor", "eve", ADMIN), {(CHANGED, ADMIN)}),
    Case("23", to("action", "account_removed", ADMIN), {(CHANGED, ADMIN)}),
    Case("24", to("target", "eve", ADMIN), {(CHANGED, ADMIN)}),
    Case("25 empty", to("method", "", PLAIN), {(CHANGED, PLAIN)}),
    Case("25 null", to("method", None), {(CHANGED, LOGIN)}),
    Case("26 form", decomposed, {(CHANGED, LOGIN)}),
    Case("26 letter", to("username", "J\u00fcrg\u0435n"), {(CHANGED, LOGIN)}),
    Case(
        "27 type",
        by("ALTER TABLE login_events ALTER timestamp TYPE timestamp USING timestamp AT TIME ZONE 'Asia/Tokyo'"),
        {(Code.CHANGED_COLUMN, None)},
        "postgresql",
    ),
    Case("27 era", by("UPDATE login_events SET timestamp = (timestamp::text || ' BC')::timestamptz WHERE seq = 2"),
         {(BAD, LOGIN)}, "postgresql"),
    Case("27 infinite", to("timestamp", "infinity"), {(BAD, LOGIN)}, "postgresql"),
    Case("27 zone", by("UPDATE login_events SET timestamp = timestamp || '+02:00' WHERE seq = 2"), {(BAD, LOGIN)},
         "sqlite"),
    Case("28 blob", by("UPDATE login_events SET username = CAST(username AS BLOB) WHERE seq = 2"), {(BAD, LOGIN)},
         "sqlite"),
    Case("28 number", to("timestamp", 5), {(BAD, LOGIN)}, "sqlite"),
    Case("28 fraction", by("UPDATE login_events SET seq = 2.5 WHERE seq = 2"), {(BAD, 2.5), (Code.MISSING, LOGIN)},
         "sqlite"),
    Case("28 bytes", by("UPDATE login_events SET username = CAST(x'ff' AS TEXT) WHERE seq = 2"), {(BAD, LOGIN)},
         "sqlite"),
    Case("29", to("details", '{"b":[1.50,"x"], "a":1.0}'), NOTHING),
    Case("29 twice", to("details", '{"a":1,"a":1,"b":[1.5,"x"]}'), {(BAD, LOGIN)}, "sqlite"),
    Case("30", to("remote_addr", "192.0.2.7/24"), {(BAD, LOGIN)}),
    Case("31 new", by("ALTER TABLE login_events ADD COLUMN note TEXT", "UPDATE login_events SET note = 'x'"),
         {(Code.UNKNOWN_COLUMN, None)}),
    Case("31 gone", by("ALTER TABLE login_events DROP COLUMN method"), {(Code.MISSING_COLUMN, None)}),
]  # fmt: skip


def empty(trail: Trail) -> None:
    trail.sql("DELETE FROM trail_log", "DELETE FROM trail_leaves", "DELETE FROM login_events")


DELETIONS = [
    Case("32", by("DELETE FROM login_events WHERE seq = 50"), {(Code.MISSING, 50)}),
    Case("33", by("DELETE FROM admin_events WHERE seq = 1"), {(Code.MISSING, 1)}),
    Case(
        "34",
        by(
            *(f"DELETE FROM {table} WHERE seq <= 256" for table in (*set(TABLE_OF.values()), "trail_leaves")),
            "DELETE FROM trail_tiles",
            "DELETE FROM trail_erasures",
        ),
        {(Code.MISSING, 1), (Code.TILE_MISSING, 1), (Code.ERASURE_MISMATCH, NOTICE)},
    ),
    Case("35", by("DELETE FROM login_events WHERE seq = 600"), {(Code.MISSING, 600)}),
    Case("36", Trail.go_back, NOTHING),
    Case("37", by("DELETE FROM login_events WHERE seq = 605", "UPDATE trail_head SET size = 604"), NOTHING),
    Case("37 head", by("DELETE FROM login_events WHERE seq = 605"), {(Code.MISSING, 605)}),
    Case("38", by("DELETE FROM error_events"), {(Code.MISSING, ERROR)}),
    Case("39", empty, {(Code.NO_LOG, None)}),
    Case("40 null", by("UPDATE trail_leaves SET opening = NULL WHERE seq = 20"), {(Code.OPENING_MISSING, 20)}),
    Case(
        "40 zero",
        lambda trail: trail.sql("UPDATE trail_leaves SET opening = :value WHERE seq = 20", value=bytes(32)),
        {(Code.OPENING_MISSING, 20)},
    ),
    Case(
        "41 leaves",
        by("DELETE FROM trail_leaves WHERE seq BETWEEN 257 AND 260"),
        {(Code.TILE_MISSING, seq) for seq in range(257, 261)},
    ),
    Case("41 level 1", by("DELETE FROM trail_tiles"), {(Code.TILE_MISSING, 1)}),
]


def insert_login(seq: int) -> str:
    """Return SQL that copies a login to another seq, with another id."""
    names = "timestamp, recorded_at, app, remote_addr, request_id, network, action, outcome, username"
    return (
        f"INSERT INTO login_events (id, seq, {names}) "
        f"SELECT '01a2161e708d72598aa6d2b8a08423c7', {seq}, {names} FROM login_events WHERE seq = 600"
    )


def renumber(change: str, where: str, table: str = "login_events") -> list[str]:
    """Return SQL that moves events to other places, around those that are there."""
    return [f"UPDATE {table} SET seq = -({change}) WHERE {where}", f"UPDATE {table} SET seq = -seq WHERE seq < 0"]


ORDER = [
    Case("42", by(insert_login(606), "UPDATE trail_head SET size = 606"), NOTHING),
    Case(
        "43",
        by(*renumber("seq + 1", "seq >= 595"), insert_login(595), "UPDATE trail_head SET size = 606"),
        {(CHANGED, seq) for seq in range(595, 601)},
    ),
    Case(
        "44",
        by(
            "INSERT INTO error_events (id, seq, timestamp, recorded_at, app, exception_type, fingerprint) "
            "SELECT '01a2161e708d72598aa6d2b8a08423c7', 50, timestamp, recorded_at, app, exception_type, fingerprint "
            "FROM error_events"
        ),
        {(Code.DUPLICATE_SEQ, 50)},
    ),
    Case(
        "45",
        by("UPDATE error_events SET id = (SELECT id FROM login_events WHERE seq = 2)"),
        {(CHANGED, ERROR)},
    ),
    Case("46", by(*renumber("41 - seq", "seq IN (20, 21)")), {(CHANGED, 20), (CHANGED, 21)}),
    Case("47", by(*renumber("49 - seq", "seq BETWEEN 20 AND 29")), {(CHANGED, seq) for seq in range(20, 30)}),
    Case(
        "48",
        by(
            "DELETE FROM login_events WHERE seq = 595",
            *renumber("seq - 1", "seq > 595"),
            "UPDATE trail_head SET size = 604",
        ),
        {(CHANGED, seq) for seq in range(595, 601)},
    ),
    Case(
        "49",
        by(
            "INSERT INTO admin_events (id, seq, timestamp, recorded_at, app, remote_addr, request_id, actor, action) "
            "SELECT id, seq, timestamp, recorded_at, app, remote_addr, request_id, username, 'account_added' "
            "FROM error_events",
            "DELETE FROM error_events",
        ),
        {(CHANGED, ERROR)},
    ),
    Case("50 zero", by(insert_login(0)), {(Code.OUT_OF_RANGE, 0)}),
    Case("50 negative", by(insert_login(-5)), {(Code.OUT_OF_RANGE, -5)}),
    Case("50 beyond", by(insert_login(700)), {(Code.OUT_OF_RANGE, 700)}),
    Case("51", by("UPDATE trail_head SET size = 603"), {(Code.OUT_OF_RANGE, 604), (Code.OUT_OF_RANGE, 605)}),
    Case("52", by("UPDATE trail_head SET size = 610"), {(Code.MISSING, 606)}),
    Case("52 far", by("UPDATE trail_head SET size = 9000000000000000"), {(Code.MISSING, 606)}),
]


def edited_and_rebuilt(trail: Trail) -> None:
    to("username", "eve", 50)(trail)
    trail.rebuild()


def signed_anew(trail: Trail) -> None:
    edited_and_rebuilt(trail)
    trail.sign_again()


def pasted(trail: Trail) -> None:
    edited_and_rebuilt(trail)
    trail.put_note(600, trail.note(520))


def signed_by_another(trail: Trail) -> None:
    edited_and_rebuilt(trail)
    trail.sql("DELETE FROM trail_checkpoints WHERE size < 600")
    checkpoint = parse_checkpoint(parse_note(trail.note(600)).text)
    ((top,),) = trail.sql("SELECT root FROM trail_log")
    other = new_key(trail.key.name)
    trail.put_note(600, sign_checkpoint(Checkpoint(checkpoint.origin, 600, bytes(top)), other))


def other_origin(trail: Trail) -> None:
    checkpoint = parse_checkpoint(parse_note(trail.note(600)).text)
    key = SignerKey("another", Algorithm.ED25519, trail.key.seed)
    trail.put_note(600, sign_checkpoint(Checkpoint("another", 600, checkpoint.root), key))


def spelled(change: Callable[[str], str]) -> Callable[[Trail], object]:
    """Change the text of the newest checkpoint, and sign it with the right key."""

    def do(trail: Trail) -> None:
        text = change(parse_note(trail.note(600)).text)
        signature = Signature(trail.key.name, trail.key.verifier.key_id, trail.key.sign(text.encode()))
        trail.put_note(600, bytes(Note(text, [signature])))

    return do


def without_canonical_base64(text: str) -> str:
    lines = text.split("\n")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(lines[2][42]) ^ 1]  # of its six bits the last two mean nothing
    return "\n".join([*lines[:2], f"{lines[2][:42]}{last}=", *lines[3:]])


def in_note(change: Callable[[str], str]) -> Callable[[Trail], object]:
    return lambda trail: trail.put_note(600, change(trail.note(600).decode()).encode())


def without_signatures(note: str) -> str:
    return note.rpartition("\u2014")[0]


def with_other_key_id(note: str) -> str:
    parsed = parse_note(note.encode())
    (only,) = parsed.signatures
    changed = type(only)(only.name, only.key_id ^ 1, only.data)
    return bytes(Note(parsed.text, [changed])).decode()


def with_bad_signature(note: str) -> str:
    parsed = parse_note(note.encode())
    (only,) = parsed.signatures
    bad = type(only)(only.name, only.key_id, bytes(64))
    return bytes(Note(parsed.text, [bad, only])).decode()


def middle_signed(trail: Trail) -> None:
    trail.put_note(520, sign_checkpoint(Checkpoint(trail.key.name, 520, bytes(32)), trail.key))


def renamed_log(trail: Trail) -> None:
    """Let the signer look for a head file that is not there."""
    trail.sql("UPDATE trail_log SET log_id = 'x'", "UPDATE trail_checkpoints SET log_id = 'x'")


REFUSED: Found = {(Code.BAD_CHECKPOINT, 600)}
EFFORT = [
    Case("53", edited_and_rebuilt, {(Code.ROOT_CHANGED, 1)}),
    Case("54", pasted, {(Code.ROOT_CHANGED, 1), (Code.BAD_CHECKPOINT, 600)}),
    Case("55", signed_by_another, {(Code.UNKNOWN_KEY, 600)}),
    Case("57", signed_anew, NOTHING),
    Case("62", other_origin, {(Code.WRONG_ORIGIN, 600)}),
    Case("62 id", renamed_log, {(Code.LOG_CHANGED, None)}),
    Case("63 zeros", spelled(lambda text: text.replace("\n600\n", "\n0600\n")), REFUSED),
    Case("63 plus", spelled(lambda text: text.replace("\n600\n", "\n+600\n")), REFUSED),
    Case("63 wide", spelled(lambda text: text.replace("\n600\n", "\n\uff16\uff10\uff10\n")), REFUSED),
    Case("63 base64", spelled(without_canonical_base64), REFUSED),
    Case("63 blank", spelled(lambda text: text.replace("\n600\n", "\n600 \n")), REFUSED),
    Case("63 lines", in_note(lambda note: note.replace("\n", "\r\n")), REFUSED),
    Case("64", in_note(lambda note: note.replace("\n\n", "\nmore\n\n")), REFUSED),
    Case("64 signed", spelled(lambda text: f"{text}more\n"), REFUSED),
    Case("65 none", in_note(without_signatures), REFUSED),
    Case("65 id", in_note(with_other_key_id), {(Code.UNKNOWN_KEY, 600)}),
    Case("65 second", in_note(with_bad_signature), REFUSED),
    Case("70", in_note(lambda note: note.replace("\n600\n", "\n601\n")), REFUSED),
    Case("70 signed", middle_signed, {(Code.FORK, 1)}),
    Case("70 blob", by("UPDATE trail_checkpoints SET note = CAST(note AS BLOB)"), {(Code.LOG_CHANGED, None)}, "sqlite"),
    Case("70 bytes", in_utf8("trail_checkpoints", "note", "size = 600"), REFUSED, "sqlite"),
    Case(
        "70 origin",
        in_utf8("trail_log", "origin"),
        {(Code.WRONG_ORIGIN, None), (Code.LOG_CHANGED, None), *((Code.WRONG_ORIGIN, size) for size in SIZES)},
        "sqlite",
    ),
    Case(
        "70 id bytes", in_utf8("trail_log", "log_id"), {(Code.NO_CHECKPOINT, None), (Code.LOG_CHANGED, None)}, "sqlite"
    ),
    Case("70 time", by("UPDATE trail_checkpoints SET signed_at = 'yesterday'"), {(Code.LOG_CHANGED, None)}, "sqlite"),
    Case(
        "70 day",
        by("UPDATE trail_checkpoints SET signed_at = '2026-02-31 00:00:00.000000' WHERE size = 520"),
        {(Code.LOG_CHANGED, None)},
        "sqlite",
    ),
    Case("70 begin", by("UPDATE trail_log SET created_at = 'once'"), {(Code.LOG_CHANGED, None)}, "sqlite"),
    Case("70 problem", by("UPDATE trail_log SET problem_at = 'now'"), {(Code.LOG_CHANGED, None)}, "sqlite"),
    Case(
        "70 line",
        by(
            "INSERT INTO trail_confirmations (log_id, size, name, confirmed_at, line) "
            "SELECT log_id, 600, 'w', created_at, x'ff' FROM trail_log"
        ),
        {(Code.LOG_CHANGED, None)},
        "sqlite",
    ),
    Case("70 size", by("UPDATE trail_log SET size = 'x'"), {(Code.LOG_CHANGED, None)}, "sqlite"),
    Case("71", by("DELETE FROM trail_checkpoints"), {(Code.NO_CHECKPOINT, None)}),
    Case("72", lambda trail: changed_leaf(trail, 50), {(Code.TILE_CHANGED, 50)}),
    Case(
        "73",
        lambda trail: trail.sql("UPDATE trail_tiles SET hashes = :value", value=bytes(64)),
        {(Code.TILE_CHANGED, 1), (Code.TILE_CHANGED, 257)},
    ),
    Case("74", lambda trail: changed_leaf(trail, 600), {(Code.TILE_CHANGED, 600)}),
]


def changed_leaf(trail: Trail, seq: int) -> None:
    trail.sql("UPDATE trail_leaves SET hash = :value WHERE seq = :seq", value=bytes(32), seq=seq)


def new_opening(trail: Trail) -> None:
    trail.sql("UPDATE trail_leaves SET opening = :value WHERE seq = 50", value=make_openings(1)[0])


def opening_and_fields(trail: Trail) -> None:
    new_opening(trail)
    to("username", "eve", 50)(trail)


def emptied(trail: Trail) -> None:
    trail.erase_who([50], NOTICE)
    trail.sql("DELETE FROM trail_erasures WHERE seq = 50")


def tampered_then_erased(trail: Trail) -> None:
    to("username", "eve", 50)(trail)
    trail.erase_who([50], NOTICE)


def shown_again(trail: Trail) -> None:
    """Erase by hand, and bring back what was there."""
    ((opening,),) = trail.sql("SELECT opening FROM trail_leaves WHERE seq = 50")
    ((name,),) = trail.sql("SELECT username FROM login_events WHERE seq = 50")
    trail.erase_who([50], NOTICE)
    to("username", name, 50)(trail)
    trail.sql("UPDATE trail_leaves SET opening = :value WHERE seq = 50", value=bytes(opening))


def pruned(trail: Trail) -> None:
    """Remove a beginning by its age, which nothing here does: no event can tell of it so that it is right."""
    trail.sql(
        *(f"DELETE FROM {table} WHERE seq <= 256" for table in (*set(TABLE_OF.values()), "trail_erasures")),
        "UPDATE trail_leaves SET opening = NULL WHERE seq <= 256",
        "UPDATE trail_log SET floor = 256",
    )


def said_to_be_pruned(trail: Trail) -> None:
    pruned(trail)
    trail.record([AdminFactory.build(action="history_pruned", target=None, details={"below": 256})])
    trail.sign()


def pruned_with_tiles(trail: Trail) -> None:
    pruned(trail)
    trail.sql("UPDATE trail_tiles SET hashes = :value", value=bytes(64))


def pruned_and_filled(trail: Trail) -> None:
    pruned(trail)
    trail.sql(insert_login(50))


MISMATCH = (Code.ERASURE_MISMATCH, NOTICE)
PRUNED: Found = {(Code.FLOOR_NOT_RECORDED, 1), (Code.MISSING, 1), MISMATCH}
ERASURES = [
    Case("77", new_opening, {(CHANGED, 50)}),
    Case("78", opening_and_fields, {(CHANGED, 50)}),
    Case("79", emptied, {(Code.ERASED_WITHOUT_RECORD, 50)}),
    Case("80", lambda trail: trail.erase_who([50], ADMIN), {(Code.ERASURE_NOT_SIGNED, 50)}),
    Case("80 login", lambda trail: trail.erase_who([50], 60), {(Code.ERASURE_NOT_SIGNED, 50)}),
    Case("80 beyond", lambda trail: trail.erase_who([50], 9999), {(Code.ERASURE_NOT_SIGNED, 50)}),
    Case("81 more", lambda trail: trail.erase_who([50], NOTICE), {MISMATCH}),
    Case(
        "81 others",
        by("DELETE FROM trail_erasures WHERE seq = 10"),
        {MISMATCH, (Code.ERASED_WITHOUT_RECORD, 10)},
    ),
    Case(
        "81 none",
        by("DELETE FROM trail_erasures"),
        {MISMATCH, *((Code.ERASED_WITHOUT_RECORD, seq) for seq in ERASED)},
    ),
    Case("81 group", by("UPDATE trail_erasures SET field_group = 'x' WHERE seq = 10"),
         {MISMATCH, (Code.ERASURE_MISMATCH, 10)}),
    Case("81 bytes", in_utf8("trail_erasures", "field_group", "seq = 10"), {MISMATCH, (Code.ERASURE_MISMATCH, 10)},
         "sqlite"),
    Case("82", to("username", "eve", 10), {(Code.FIELDS_WITHOUT_OPENING, 10)}),
    Case("83", shown_again, {(Code.ERASED_ROW_SHOWS_DATA, 50), MISMATCH}),
    Case(
        "84",
        lambda trail: trail.sql("UPDATE trail_erasures SET commitment = :value WHERE seq = 10", value=bytes(32)),
        {(CHANGED, 10)},
    ),
    Case("85", tampered_then_erased, {(CHANGED, 50), MISMATCH}),
    Case("86", by("UPDATE login_events SET username = NULL WHERE seq = 605"), NOTHING),
    Case(
        "87",
        by("DELETE FROM login_events WHERE seq BETWEEN 20 AND 40", "UPDATE trail_log SET floor = 40"),
        {(Code.FLOOR_NOT_RECORDED, 1), (Code.MISSING, 20)},
    ),
    Case("88", pruned, PRUNED),
    Case("89", said_to_be_pruned, PRUNED),
    Case("90", pruned_with_tiles, {*PRUNED, (Code.TILE_CHANGED, 1), (Code.TILE_CHANGED, 257)}),
    Case("91", pruned_and_filled, {*PRUNED, (Code.OPENING_MISSING, 50), (Code.MISSING, 51)}),
    Case("92", by("UPDATE trail_log SET floor = 256"), {(Code.FLOOR_NOT_RECORDED, 1)}),
    Case("93", lambda _trail: None, NOTHING),
    Case("95", to("recorded_at", "2020-01-02 03:04:05.000000", 605), NOTHING),
    Case("96", to("timestamp", "2020-01-02 03:04:05.000000", 605), NOTHING),
]  # fmt: skip


CASES = [*EDITS, *DELETIONS, *ORDER, *EFFORT, *ERASURES]
ELSEWHERE = {
    100,  # a bundle with rows left out: test_bundle.py
    101,  # a verifier that was replaced: others read the formats, test_go.py and test_verify_bundle.py
}


def test_each_line_is_here() -> None:
    lines = {int(case.line.partition(" ")[0]) for case in CASES}
    for name in globals():
        if re.match(r"test_lines?_\d", name):
            first, *more = map(int, re.findall(r"(?<=_)\d+", name))
            lines |= set(range(first, more[0] + 1)) if "_to_" in name else {first, *more}
    assert lines | ELSEWHERE == set(range(1, 102))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.line)
def test_line(case: Case, trail: Trail, backend: str) -> None:
    if case.only and case.only != backend:
        pytest.skip(f"only {case.only} can store that")
    case.do(trail)
    assert trail.found() == case.found


def test_an_untouched_trail_is_proven(trail: Trail) -> None:
    report = trail.verify({"kept": trail.note(520)})
    assert report.verdict is Verdict.PROVEN
    assert report.proven
    assert report.proven.checkpoint.size == SIZES[-1]
    last = trail.event(SIZES[-1])
    assert report.recorded_at == last.recorded_at
    assert f"events 1 to 600, the last one recorded at {report.recorded_at}, are those of" in report.conclusion()
    assert (report.events, report.unsigned, report.erased, report.checkpoints) == (EVENTS, 5, 2, 3)
    assert {each.code for each in report.findings} == {Code.TRIGGER_MISSING}  # line 93: no evidence in itself


def test_line_36_and_69_a_checkpoint_from_elsewhere_finds_a_rollback(trail: Trail) -> None:
    kept = {"kept": trail.note(600)}
    trail.sql("DELETE FROM trail_checkpoints WHERE size > 300")
    report = trail.verify(kept)
    assert report.verdict is Verdict.PROVEN  # the events are there, and the checkpoint that proves them is elsewhere
    assert report.proven
    assert report.proven.where == "kept"
    trail.go_back()
    assert trail.found(kept) == {(Code.ROLLBACK, 521)}
    with pytest.raises(SignerStopped) as stop:
        trail.signer()
    assert stop.value.code == "rollback"


@pytest.mark.parametrize("backend", ["sqlite"])  # it is about keys
def test_line_39_another_database(trail: Trail, tmp_path: Path) -> None:
    kept = {"kept": trail.note(600)}
    (tmp_path / "other").mkdir()
    copy_template(tmp_path / "other" / "audit.db")
    other = Trail(f"sqlite:///{tmp_path}/other/audit.db", tmp_path / "other")
    trust = Trust([trail.key.verifier])
    report = other.verify(kept, trust=trust)
    assert {each.code for each in report.findings} == {Code.NO_LOG, Code.ROLLBACK}
    assert other.verify(trust=trust).verdict is Verdict.NOT_PROVEN
    start_log(other.database, tmp_path / "other" / "key", "login-audit", by=ACTOR)
    other.sign()
    found = {each.code for each in other.verify(kept, trust=trust).findings}
    assert Code.WRONG_ORIGIN in found
    other.close()


def test_line_37_a_gap_that_nobody_has_declared(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.sql("DELETE FROM login_events WHERE seq = 603", "UPDATE trail_log SET declared = 1000")
    with pytest.raises(SignerStopped) as stop:
        trail.sign()
    assert stop.value.code == "gap"
    monkeypatch.setattr("audit_service.signing.signer._declared", lambda _connection, log: log.declared)
    trail.sign()  # as somebody would who has the key
    assert trail.found() == {(Code.DECLARED_WITHOUT_RECORD, 603)}


def test_a_gap_that_was_declared(trail: Trail) -> None:
    trail.sql("DELETE FROM login_events WHERE seq = 603")
    restart_log(trail.database, trail.folder / "key", "login-audit", "an event was removed", by=ACTOR)
    trail.sign()
    report = trail.verify()
    assert report.verdict is Verdict.PROVEN
    assert report.declared == 1


def test_a_gap_that_was_declared_and_is_filled(trail: Trail) -> None:
    trail.sql("DELETE FROM login_events WHERE seq = 603")
    restart_log(trail.database, trail.folder / "key", "login-audit", "an event was removed", by=ACTOR)
    trail.sign()
    trail.sql("UPDATE login_events SET seq = 603 WHERE seq = 604")
    assert trail.found() == {(Code.ROW_CHANGED, 603), (Code.MISSING, 604)}
    trail.sql(f"UPDATE error_events SET seq = 603 WHERE seq = {ERROR}")
    assert trail.found() == {(Code.DUPLICATE_SEQ, 603), (Code.MISSING, 604), (Code.MISSING, ERROR)}


def test_a_log_that_was_begun_anew_and_is_not_taken_in_yet(trail: Trail) -> None:
    restart_log(trail.database, trail.folder / "key", "login-audit", "test", by=ACTOR)
    assert trail.found() == {(Code.NO_CHECKPOINT, None)}
    assert trail.verify().erased == len(ERASED)


def test_a_log_that_is_begun_anew_meanwhile_is_no_finding(trail: Trail) -> None:
    trust = Trust([trail.key.verifier])

    def begin_anew(_done: int, _all: int) -> None:
        if trail.key.verifier in trust.keys:
            restart_log(trail.database, trail.folder / "key", "login-audit", "test", by=ACTOR)

    assert trail.found(trust=trust, progress=begin_anew) == {(Code.LOG_RESTARTED, None)}


def test_line_56_a_key_is_not_taken_from_the_database(trail: Trail) -> None:
    report = trail.verify(trust=Trust([]))
    assert report.verdict is Verdict.NOT_PROVEN
    assert report.conclusion().startswith("self-consistent only")
    assert trail.verify(trust=Trust([new_key(trail.key.name).verifier])).verdict is Verdict.TAMPERED


def test_line_57_and_99_a_second_history_is_found_by_comparing_checkpoints(trail: Trail) -> None:
    kept = {"kept": trail.note(520)}
    signed_anew(trail)
    assert trail.verify().verdict is Verdict.PROVEN
    assert trail.found(kept) == {(Code.FORK, 1)}


def test_line_59_an_old_state_of_the_whole_machine_goes_on(trail: Trail) -> None:
    kept = {"kept": trail.note(600)}
    (head,) = trail.folder.glob("trail-head-*")
    trail.go_back()
    head.write_bytes(trail.note(520))
    assert trail.found(kept) == {(Code.ROLLBACK, 521)}
    trail.record([LoginFactory.build() for _ in range(100)])
    trail.sign()  # nothing here can tell the signer; a witness does (tests/signing/test_publish.py)
    assert trail.verify().verdict is Verdict.PROVEN
    assert trail.found(kept) == {(Code.FORK, 1)}


def test_line_58_and_60_an_old_backup_that_goes_on(trail: Trail, tmp_path: Path) -> None:
    kept = {"kept": trail.note(600)}
    trail.go_back()
    with pytest.raises(SignerStopped, match=r"and 600 were signed"):
        trail.signer()
    machine = tmp_path / "machine"  # without the head file, or with an old one, the signer cannot know
    machine.mkdir()
    trail.record([LoginFactory.build() for _ in range(100)])
    trail.sign(machine, trusts_database=True)
    assert trail.verify().verdict is Verdict.PROVEN
    assert trail.found(kept) == {(Code.FORK, 1)}


def test_line_61_and_94_what_waits_too_long_is_not_proven(trail: Trail) -> None:
    trail.sql("DELETE FROM trail_checkpoints WHERE size > 300")
    report = trail.verify(max_unsigned=0)
    assert report.verdict is Verdict.NOT_PROVEN
    assert (Code.UNSIGNED_TOO_OLD, 301) in {(each.code, each.seq) for each in report.findings}


@pytest.mark.parametrize("backend", ["postgresql"])  # SQLite drops no constraint
def test_a_log_without_a_root(trail: Trail) -> None:
    for column in ("root", "floor", "size"):
        trail.sql(f"ALTER TABLE trail_log ALTER {column} DROP NOT NULL", f"UPDATE trail_log SET {column} = NULL")
        assert trail.found() == {(Code.LOG_CHANGED, None)}


@pytest.mark.parametrize("backend", ["sqlite"])  # PostgreSQL has no such number
def test_a_seq_between_two_blocks(trail: Trail) -> None:
    trail.sql(f"UPDATE login_events SET seq = {SIZES[-1]}.5 WHERE seq = {EVENTS}")
    trail.sql(f"UPDATE trail_head SET size = {EVENTS - 1}")
    assert trail.found() == {(Code.OUT_OF_RANGE, None)}


def test_a_row_that_the_index_of_the_seq_has_not(trail: Trail) -> None:
    names = LoginEvent.__table__.columns.keys()
    values = ["'ffffffff-ffff-ffff-ffff-ffffffffffff'" if name == "id" else name for name in names]
    copy = f"INSERT INTO login_events ({','.join(names)}) SELECT {','.join(values)} FROM login_events WHERE seq = 9"
    if trail.is_postgres:
        index = "UPDATE pg_index SET {} WHERE indexrelid = 'uq_login_events_seq'::regclass"
        hide, show = (
            index.format("indisready = false, indisvalid = false"),
            index.format("indisready = true, indisvalid = true"),
        )
        trail.sql(hide)
        trail.sql(copy)
        trail.sql(show)
    else:
        hide_from_index(trail, copy.replace("-", ""))
    assert trail.found() == {(Code.OUT_OF_RANGE, None)}


def hide_from_index(trail: Trail, statement: str) -> None:
    """Run a statement while SQLite does not know of the index by which a login is found by its seq."""
    index = "sqlite_autoindex_login_events_2"
    ((definition,),) = trail.sql("SELECT sql FROM sqlite_master WHERE name = 'login_events'")
    ((*stored,),) = trail.sql("SELECT * FROM sqlite_master WHERE name = :name", name=index)
    without = re.sub(r",\s*CONSTRAINT uq_login_events_seq UNIQUE \(seq\)", "", definition)
    assert without != definition
    put = "UPDATE sqlite_master SET sql = :sql WHERE name = 'login_events'"
    trail.sql(
        "PRAGMA writable_schema = ON", "DELETE FROM sqlite_master WHERE name = :name", put, name=index, sql=without
    )
    trail.sql(statement)
    again = "INSERT INTO sqlite_master VALUES (:type, :name, :table, :page, NULL)"
    values = dict(zip(("type", "name", "table", "page"), stored, strict=False))
    trail.sql("PRAGMA writable_schema = ON", again, put, sql=definition, **values)


@pytest.mark.parametrize("time", ["2026-99-99 03:04:05.000000", "9999-01-02 03:04:05.000000"])
@pytest.mark.parametrize("backend", ["sqlite"])  # PostgreSQL has no such time as the first
def test_an_event_that_waits_since_no_time(trail: Trail, time: str) -> None:
    trail.sql("UPDATE login_events SET recorded_at = :time WHERE seq = 601", time=time)
    assert trail.found() == {(Code.UNSIGNED_TOO_OLD, 601)}


@pytest.mark.parametrize(
    ("algorithm", "cosigned_at", "expected"),
    [
        (Algorithm.COSIGNATURE, 1_700_000_000, set()),
        (Algorithm.COSIGNATURE, 2**40, {Code.COSIGNED_LATER}),  # line 67
        (Algorithm.ED25519, 0, {Code.NO_QUORUM}),  # line 68
        (None, 0, {Code.NO_QUORUM}),  # line 66
    ],
)
def test_lines_66_to_68_a_policy_wants_witnesses(
    trail: Trail, algorithm: Algorithm | None, cosigned_at: int, expected: set[Code]
) -> None:
    witness = new_key("witness.example", Algorithm.COSIGNATURE)
    text = f"log {trail.key.verifier}\nwitness w {witness.verifier}\nquorum w\n"
    note = parse_note(trail.note(600))
    if algorithm is Algorithm.COSIGNATURE:
        signature = sign_cosignature(witness, note.text, cosigned_at)
    else:
        (signature,) = sign(note.text, SignerKey(witness.name, Algorithm.ED25519, witness.seed)).signatures
    if algorithm is not None:
        line = bytes(Note(note.text, [signature])).decode().rpartition("\n\n")[2]
        log_id = trail.key.name.rpartition("/")[2]
        values = {"log_id": log_id, "size": 600, "name": witness.name, "confirmed_at": datetime.now(UTC), "line": line}
        with trail.database.write() as connection:
            connection.execute(insert(TrailConfirmation).values(values))
    policy = parse_policy(text.encode())
    report = trail.verify(trust=Trust([trail.key.verifier], policy))
    assert {each.code for each in report.findings} - {Code.TRIGGER_MISSING} == expected
    assert report.verdict is (Verdict.NOT_PROVEN if Code.NO_QUORUM in expected else Verdict.PROVEN)


def test_line_71_without_a_checkpoint_nothing_is_proven(trail: Trail) -> None:
    trail.sql("DELETE FROM trail_checkpoints")
    assert trail.verify().verdict is Verdict.NOT_PROVEN


def test_lines_75_and_76_a_proof_that_was_changed(trail: Trail) -> None:
    with trail.database.read() as connection:
        proof = StoredTree(connection).inclusion_proof(49, 600)
        stored = read_leaves(connection, 50, 51)
    top = parse_checkpoint(parse_note(trail.note(600)).text).root
    hash_ = leaf_hash(entry_of(trail.event(50), stored[50].opening or b""))
    verify_inclusion(49, 600, hash_, proof, top)
    for index, leaf, hashes in ((48, hash_, proof), (49, stored[51].hash, proof), (49, hash_, proof[::-1])):
        with pytest.raises(ProofError):
            verify_inclusion(index, 600, leaf, hashes, top)


def test_line_95_a_clock_that_goes_back_is_worth_a_note(trail: Trail) -> None:
    to("recorded_at", "2020-01-02 03:04:05.000000", 604)(trail)
    report = trail.verify()
    assert (Code.CLOCK_BACK, 604) in {(each.code, each.seq) for each in report.findings}
    assert report.verdict is Verdict.PROVEN


def test_line_95_a_clock_that_was_ahead_once_is_one_note(trail: Trail) -> None:
    to("recorded_at", "2099-01-02 03:04:05.000000", 602)(trail)
    assert [each.seq for each in trail.verify().findings if each.code is Code.CLOCK_BACK] == [603]


def test_line_97_a_key_that_was_replaced_stops_the_signer(trail: Trail) -> None:
    (trail.folder / "key").write_text(f"{new_key(trail.key.name).text()}\n")
    with pytest.raises(SignerStopped) as stop:
        trail.signer()
    assert stop.value.code == "foreign_key"


def test_line_98_a_head_file_that_is_gone_stops_the_signer(trail: Trail) -> None:
    (head,) = trail.folder.glob("trail-head-*")
    head.unlink()
    with pytest.raises(SignerStopped) as stop:
        trail.signer()
    assert stop.value.code == "head_missing"

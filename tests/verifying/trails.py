"""A signed trail that tests change as somebody would who owns the database, and what a verifier says of it then."""

import hashlib
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert, update

from audit_service.proofs.checkpoint import Checkpoint, sign_checkpoint
from audit_service.proofs.entry import OPENING_SIZE, Group, commitment
from audit_service.proofs.keys import SignerKey
from audit_service.proofs.merkle import leaf_hash, root
from audit_service.proving.leaves import entry_of, read_leaves
from audit_service.proving.rows import Event, read_rows
from audit_service.proving.tiles import Edge, store_tiles
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.key_file import read_keys
from audit_service.signing.lifecycle import start_log
from audit_service.signing.signer import Signer
from audit_service.storage.log_models import TrailErasure, TrailLeaf, TrailLog
from audit_service.storage.models import LoginEvent
from audit_service.trail.recorder import Recorder
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.findings import Code, Weight
from audit_service.verifying.report import Report
from audit_service.verifying.walk import verify
from audit_service.vocabulary import AdminAction, Reason
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import TABLES, drop_triggers

LOGIN, ERROR, ADMIN, PLAIN = 2, 3, 4, 5  # the seq of an event with all fields, of one without
ERASED = (10, 11)  # of which who was erased
NOTICE = 301  # the event that says so
SIZES = (300, 520, 600)  # of the checkpoints
EVENTS = 605
PATIENCE = 30.0


class Trail:
    """A trail in a database whose triggers are away, and the folder of its signer."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.is_postgres = url.startswith("postgresql")
        self.parsed = Settings(database_url=url).url
        self.database = Database(self.parsed)

    @property
    def key(self) -> SignerKey:
        return read_keys(self.folder / "key")[0]

    def sql(self, *statements: str, **values: Any) -> list[Any]:
        """Run statements as the owner; return the rows of the last one. ``:name`` stands for one of the *values*."""
        rows: list[Any] = []
        if self.is_postgres:
            with psycopg.connect(self.url) as connection:
                for each in statements:
                    cursor = connection.execute(re.sub(r"(?<!:):([a-z]+)", r"%(\1)s", each).encode(), values)
                    rows = cursor.fetchall() if cursor.description else []
            return rows
        with closing(sqlite3.connect(str(self.parsed.database))) as file, file:
            for each in statements:
                rows = file.execute(each, values).fetchall()
        return rows

    def drop_triggers(self) -> None:
        with self.database.write() as connection:
            drop_triggers(connection)

    def record(self, events: list[Any]) -> None:
        recorder = Recorder(self.parsed, spool_path=self.folder / "spool.db", timeout=PATIENCE)
        recorder.record_all(events)
        recorder.stop()

    def signer(self, folder: Path | None = None, **options: Any) -> Signer:
        return Signer(self.database, folder or self.folder, self.folder / "key", **options)

    def sign(self, folder: Path | None = None, **options: Any) -> bytes:
        """Take all events in, sign, and return the checkpoint."""
        signer = self.signer(folder, **options)
        while signer.take_in():
            pass
        stored = signer.sign()
        assert stored
        return stored.note

    def note(self, size: int) -> bytes:
        ((note,),) = self.sql("SELECT note FROM trail_checkpoints WHERE size = :size", size=size)
        return bytes(note.encode())

    def put_note(self, size: int, note: bytes) -> None:
        self.sql("UPDATE trail_checkpoints SET note = :note WHERE size = :size", note=note.decode(), size=size)

    def event(self, seq: int) -> Event:
        with self.database.read() as connection:
            (row,) = read_rows(connection, seq, seq)
        assert isinstance(row, Event)
        return row

    def erase_who(self, seqs: Iterable[int], by_seq: int) -> None:
        """Erase who from logins, and note that the event *by_seq* says so, whether it does or not."""
        for seq in seqs:
            event = self.event(seq)
            with self.database.read() as connection:
                opening = read_leaves(connection, seq, seq)[seq].opening
            assert opening
            made = commitment(Group.WHO, event.who, opening[:OPENING_SIZE])
            values = {"seq": seq, "field_group": "who", "commitment": made, "by_seq": by_seq}
            left = bytes(OPENING_SIZE) + opening[OPENING_SIZE:]
            with self.database.write() as connection:
                connection.execute(insert(TrailErasure).values(values))
                connection.execute(update(TrailLeaf).where(TrailLeaf.seq == seq).values(opening=left))
                nothing = {"username": None, "details": None}
                connection.execute(update(LoginEvent).where(LoginEvent.seq == seq).values(nothing))

    def rebuild(self) -> None:
        """Make leaves, tiles and the log's root again from rows and openings, as somebody would without the key."""
        with self.database.read() as connection:
            rows = read_rows(connection, 1, SIZES[-1])
            leaves = read_leaves(connection, 1, SIZES[-1])
        hashes = {
            row.seq: leaf_hash(entry_of(row, leaves[row.seq].opening or b""))
            for row in rows
            if isinstance(row, Event) and row.seq not in ERASED
        }
        edge = Edge()
        edge.append(hashes.get(seq, leaves[seq].hash) for seq in sorted(leaves))
        with self.database.write() as connection:
            for seq, hash_ in hashes.items():
                if hash_ != leaves[seq].hash:
                    connection.execute(update(TrailLeaf).where(TrailLeaf.seq == seq).values(hash=hash_))
            store_tiles(connection, edge.grown)
            connection.execute(update(TrailLog).values(root=edge.root()))

    def sign_again(self) -> None:
        """Sign all checkpoints again over the leaves as they are, as somebody would who has the key."""
        with self.database.read() as connection:
            leaves = read_leaves(connection, 1, SIZES[-1])
        for size in SIZES:
            top = root(leaves[seq].hash for seq in range(1, size + 1))
            self.put_note(size, sign_checkpoint(Checkpoint(self.key.name, size, top), self.key))

    def go_back(self, size: int = SIZES[1]) -> None:
        """Make the database what it was when *size* events were signed, as an old backup would."""
        with self.database.read() as connection:
            leaves = read_leaves(connection, 1, size)
        top = root(leaves[seq].hash for seq in range(1, size + 1))
        self.sql(
            *(f"DELETE FROM {table} WHERE seq > :size" for table in (*TABLES, "trail_leaves")),
            "DELETE FROM trail_checkpoints WHERE size > :size",
            "UPDATE trail_head SET size = :size",
            "UPDATE trail_log SET size = :size, root = :top",
            size=size,
            top=top,
        )

    def verify(self, kept: dict[str, bytes] | None = None, **options: Any) -> Report:
        trust = options.pop("trust", None) or Trust([self.key.verifier])
        options.setdefault("max_unsigned", 1e9)
        return verify(DatabaseOpener(self.parsed), trust, kept=kept or {}, **options)

    def found(self, kept: dict[str, bytes] | None = None, **options: Any) -> set[tuple[Code, int | None]]:
        """Return code and seq of all that was found, but for notes."""
        findings = self.verify(kept, **options).findings
        return {(each.code, each.seq) for each in findings if each.weight is not Weight.NOTE}

    def close(self) -> None:
        self.database.close()


def make_trail(url: str, folder: Path) -> Trail:
    """Fill an empty database, and sign it."""
    trail = Trail(url, folder)
    started = start_log(trail.database, folder / "key", "login-audit", by=ACTOR)
    assert started.log.size == 0
    full = {"reason": Reason.BAD_PASSWORD, "outcome": "failure", "method": "password", "user_agent": 'Agent "1"'}
    details = {"a": 1, "b": [1.5, "x"]}
    trail.record([LoginFactory.build(username="J\u00fcrgen", details=details, remote_addr="192.0.2.7", **full)])
    trail.record([ErrorFactory.build()])
    trail.record([AdminFactory.build(details={"role": "auditor"})])
    trail.record([LoginFactory.build(user_agent="") for _ in range(SIZES[0] - ADMIN)])
    trail.sign()
    trail.drop_triggers()
    told = {"groups": ["who"], "rows": len(ERASED), "digest": digest(ERASED)}
    trail.record([AdminFactory.build(action=AdminAction.PERSONAL_DATA_ERASED, target=None, details=told)])
    trail.erase_who(ERASED, NOTICE)
    for size, last in ((NOTICE, SIZES[1]), SIZES[1:]):
        trail.record([LoginFactory.build() for _ in range(last - size)])
        trail.sign()
    trail.record([LoginFactory.build() for _ in range(EVENTS - SIZES[-1])])
    return trail


def digest(seqs: Iterable[int]) -> str:
    return hashlib.sha256("".join(f"{seq}\n" for seq in seqs).encode()).hexdigest()

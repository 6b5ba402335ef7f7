"""The log's beginning, its next key, and its new beginning after a break: each is an event of the trail, too."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from audit_service.errors import AuditError, NotConfiguredError, SettingsError
from audit_service.events.admin import Actor
from audit_service.proofs.keys import SignerKey, check_name, new_key
from audit_service.proving.log import NO_LOG, Log, add_log, new_log_id, read_checkpoint, read_log
from audit_service.signing.database import Database
from audit_service.signing.key_file import make_key, read_keys, write_keys
from audit_service.storage.log_models import TrailLeaf, TrailLog, TrailTile
from audit_service.storage.models import TrailHead
from audit_service.trail.append import append_within
from audit_service.vocabulary import AdminAction


class Started(NamedTuple):
    """A log with its key; whether it was begun now."""

    log: Log
    key: SignerKey
    is_new: bool


def start_log(database: Database, key_file: Path, name: str, *, by: Actor) -> Started:
    """Begin the log of the trail, whose origin is *name* and an id, with a key of its own, unless it has one.

    Raises ``SettingsError`` if the key cannot be made, or is another log's.
    """
    with database.read() as connection:
        log = read_log(connection)
    if log:
        return Started(log, make_key(key_file, log.origin) if log.size == 0 else read_keys(key_file)[0], is_new=False)
    key = read_keys(key_file)[0] if key_file.exists() else make_key(key_file, new_origin(name))
    try:
        with database.write() as connection:
            add_log(connection, key.name, key.name.rpartition("/")[2])
            append_within(connection, [by.did(AdminAction.LOG_STARTED, key.name, {"key": str(key.verifier)})])
    except IntegrityError:  # another process was first, with the same key or another
        return start_log(database, key_file, name, by=by)
    return Started(_current(database), key, is_new=True)


def rotate_key(database: Database, key_file: Path, *, by: Actor) -> SignerKey:
    """Put a new key before the current one; the next checkpoint has signatures of both, those after it of the new one.

    Raises ``AuditError`` while the last change is not signed yet.
    """
    log = _current(database)
    keys = read_keys(key_file)
    if len(keys) > 1:
        raise AuditError("the last change of the key is not signed yet: wait for the next checkpoint")
    key = new_key(log.origin)
    details = {"from": str(keys[0].verifier), "to": str(key.verifier)}
    with database.write() as connection:
        append_within(connection, [by.did(AdminAction.SIGNING_KEY_ROTATED, log.origin, details)])
        if read_keys(key_file) != keys:  # the lock of the trail's head, which is held now, lets only one do this
            raise AuditError("somebody else changes the key at this moment")
        write_keys(key_file, [key, *keys])
    return key


def restart_log(database: Database, key_file: Path, name: str, reason: str, *, by: Actor) -> Started:
    """Begin a new log, with a new key, over the events that are there.

    What is missing up to now is declared missing. The checkpoints of the old log stay, and so does its key, in a file
    beside the new one.
    """
    old = _current(database)
    origin = new_origin(name)
    kept = key_file.with_name(f"{key_file.name}.{old.log_id}")
    if kept.exists():
        raise SettingsError(f"there is {str(kept)!r} already: was this restart begun before? Move it away")
    with database.write() as connection:
        events = connection.scalar(select(TrailHead.size)) or 0
        last = read_checkpoint(connection, old.log_id)
        connection.execute(delete(TrailLog))
        connection.execute(delete(TrailTile))
        connection.execute(delete(TrailLeaf).where(TrailLeaf.seq > events))
        add_log(connection, origin, origin.rpartition("/")[2], declared=events)
        if key_file.exists():
            key_file.replace(kept)
        key = make_key(key_file, origin)
        details = {
            "reason": reason,
            "from": old.origin,
            "size": last.size if last else 0,
            "checkpoint": last.note.decode() if last else None,
            "key": str(key.verifier),
        }
        append_within(connection, [by.did(AdminAction.LOG_RESTARTED, origin, details)])
    return Started(_current(database), key, is_new=True)


def note_trust(database: Database, *, by: Actor) -> None:
    """Store that the signer goes on without what it remembered outside the database."""
    with database.write() as connection:
        append_within(connection, [by.did(AdminAction.LOG_HEAD_TRUSTED)])


def new_origin(name: str) -> str:
    """Return the name of a new log. Raises ``ProofError`` for a *name* that cannot be a part of it."""
    return f"{check_name(name)}/{new_log_id()}"


def _current(database: Database) -> Log:
    with database.read() as connection:
        log = read_log(connection)
    if log is None:
        raise NotConfiguredError(NO_LOG)
    return log

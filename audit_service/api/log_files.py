"""The log for auditors' tools, at the addresses of C2SP tlog-tiles: checkpoints, tiles and entries.

Nobody is named in them: an entry has commitments where an event has personal data.
"""

from base64 import b64encode
from http import HTTPStatus
from typing import Annotated

import msgspec
from flask import Response
from msgspec import Meta
from sqlalchemy import Connection
from werkzeug.exceptions import Gone, InternalServerError, NotFound

from audit_service.api.operations import Access, Answer, log_blueprint, operation
from audit_service.context import Viewer, current_context, end_reading
from audit_service.errors import ProofError
from audit_service.proofs.tile_path import ENTRIES_PATH, TILE_PATH, WIDTH, Tile, parse_entries, parse_tile
from audit_service.proving.disclosures import Signed, cosigned, read_disclosures, read_signed, snapshot
from audit_service.proving.log import Log, read_checkpoint
from audit_service.proving.tiles import StoredTree
from audit_service.web.answers import OUR_ERRORS, problem, register_errors

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
FOR_EVER = "private, max-age=31536000, immutable"  # a full tile never changes
CHANGED = "event {} is not the one that was signed: 'audit-service verify' says more"

Size = Annotated[int, Meta(ge=0, le=2**53, title="a number of events", description="that of a checkpoint")]
Old = Annotated[int, Meta(ge=0, le=2**53, title="a number of events", description="the size of the older tree")]
New = Annotated[int, Meta(ge=0, le=2**53, title="a number of events", description="the size of the newer tree")]


class CheckpointSize(msgspec.Struct, frozen=True, kw_only=True):
    """Which checkpoint is wanted; by default the newest."""

    size: Size | None = None


class TwoSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Which trees are compared; the newer one is that of the newest checkpoint by default."""

    old: Old
    new: New | None = None


@operation(
    "/checkpoint",
    "The newest checkpoint of the log",
    "A signed note (C2SP tlog-checkpoint) with the lines of those witnesses that have cosigned it.",
    takes=(CheckpointSize,),
    answer=Answer({"text/plain": str}, "The note."),
    access=Access.AUDITORS,
    others=(HTTPStatus.NOT_FOUND,),
    of=log_blueprint,
)
def show_checkpoint(_viewer: Viewer, wanted: CheckpointSize) -> Response:
    """Show a checkpoint."""
    end_reading()
    with snapshot(current_context().reader) as connection:
        log, checkpoint, note = _signed(connection)
        if wanted.size is not None and wanted.size != checkpoint.size:
            older = read_checkpoint(connection, log.log_id, wanted.size)
            if older is None:
                raise NotFound(f"there is no checkpoint of the size {wanted.size}")
            note = cosigned(connection, log.log_id, older)
    return _file(note, TEXT)


@operation(
    "/tile/<path:tile>",
    "Hashes of the log's tree",
    "A tile (C2SP tlog-tiles) of the tree that the newest checkpoint is of: up to 256 hashes of 32 bytes.",
    segments={"tile": {"schema": {"type": "string", "pattern": TILE_PATH}, "description": "level and number"}},
    answer=Answer({BYTES: str}, "The hashes."),
    access=Access.AUDITORS,
    others=(HTTPStatus.NOT_FOUND,),
    of=log_blueprint,
)
def show_tile(_viewer: Viewer, tile: str) -> Response:
    """Show the hashes of a tile."""
    try:
        wanted = parse_tile(tile)
    except ProofError as error:
        raise NotFound(str(error)) from None
    end_reading()
    with snapshot(current_context().reader) as connection:
        _require_within(wanted, _signed(connection))
        return _tile_file(StoredTree(connection).tile(wanted), wanted)


@operation(
    "/tile/entries/<path:tile>",
    "Entries of the log's leaves",
    "The entries (C2SP tlog-tiles) below a tile of the lowest level: of each its length as two bytes, and its JSON.",
    segments={"tile": {"schema": {"type": "string", "pattern": ENTRIES_PATH}, "description": "the tile's number"}},
    answer=Answer({BYTES: str}, "The entries."),
    access=Access.AUDITORS,
    others=(HTTPStatus.NOT_FOUND, HTTPStatus.GONE),
    of=log_blueprint,
)
def show_entries(_viewer: Viewer, tile: str) -> Response:
    """Show the entries below a tile, made anew of the events."""
    try:
        wanted = parse_entries(tile)
    except ProofError as error:
        raise NotFound(str(error)) from None
    first = wanted.number * WIDTH + 1
    end_reading()
    with snapshot(current_context().reader) as connection:
        signed = _signed(connection)
        _require_within(wanted, signed)
        require_kept(first, signed.log)
        given = read_disclosures(connection, first, wanted.end)
    changed = set(range(first, wanted.end + 1)) - {each.seq for each in given if each.is_as_signed}
    if changed:
        raise InternalServerError(CHANGED.format(min(changed)))
    return _tile_file(b"".join(len(each.entry).to_bytes(2) + each.entry for each in given), wanted)


@operation(
    "/consistency",
    "That the log has only grown",
    "The hashes, one a line in base64, that prove that the tree of the size `old` is the beginning of that of the size "
    "`new` (RFC 9162, section 2.1.4); by default that of the newest checkpoint. From 0, and to "
    "itself, there are none.",
    takes=(TwoSizes,),
    answer=Answer({"text/plain": str}, "The hashes."),
    access=Access.AUDITORS,
    others=(HTTPStatus.NOT_FOUND,),
    of=log_blueprint,
)
def show_consistency(_viewer: Viewer, sizes: TwoSizes) -> Response:
    """Show that a tree is the beginning of another."""
    end_reading()
    with snapshot(current_context().reader) as connection:
        signed = _signed(connection).checkpoint.size
        new = signed if sizes.new is None else sizes.new
        if max(new, sizes.old) > signed:
            raise NotFound(f"the newest checkpoint is of the size {signed}")
        if sizes.old > new:
            raise NotFound(f"no tree of {sizes.old} is the beginning of one of {new}")
        hashes = StoredTree(connection).consistency_proof(sizes.old, new) if sizes.old else []
    return _file("".join(f"{b64encode(each).decode()}\n" for each in hashes).encode(), TEXT)


def require_kept(seq: int, log: Log) -> None:
    """Raise ``Gone`` (410) if the event *seq* is among those that were removed by age."""
    if seq <= log.floor:
        raise Gone(
            f"events up to {log.floor} were removed; their hashes are kept, and prove what was handed out before"
        )


def _signed(connection: Connection) -> Signed:
    found = read_signed(connection)
    if found is None:
        raise NotFound("the log has no checkpoint yet")
    return found


def _require_within(tile: Tile, signed: Signed) -> None:
    if not tile.is_within(signed.checkpoint.size):
        raise NotFound(f"the newest checkpoint is of the size {signed.checkpoint.size}: its tree has no such tile")


def _tile_file(content: bytes, tile: Tile) -> Response:
    return _file(content, BYTES, FOR_EVER if tile.width == WIDTH else "no-store")


def _file(content: bytes, content_type: str, caching: str = "no-store") -> Response:
    return Response(content, content_type=content_type, headers={"Cache-Control": caching, "Vary": "Accept, Cookie"})


register_errors(log_blueprint, problem, OUR_ERRORS)
